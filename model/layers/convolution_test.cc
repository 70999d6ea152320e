// What stands before a speech encoder: strided convolutions over packed clips, and SpecAugment.
#include "model/layers/convolution.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "model/layers/spec_augment.h"
#include "model/tasks/testing.h"

namespace strata::model {
namespace {

[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

// Against torch's Conv1d, clip by clip, with the gradients, for every length about the kernel's and the stride's edges.
TEST(ConvolutionTest, IsTorchsOverEveryClip) {
  ParameterStore store;
  const Convolution convolution(store, "c", 3, 4, Precision::kFloat32);
  store.Draw(1);
  for (auto& parameter : store.parameters()) parameter.tensor.set_data(parameter.tensor.detach().to(at::kDouble));
  const at::Tensor weight = store.parameters()[0].tensor, bias = store.parameters()[1].tensor;
  auto plan = std::make_shared<ConvolutionPlan>();
  int64_t rows = 0;
  for (int64_t length = 1; length <= 9; ++length) {
    plan->clips.push_back(
        {.in_begin = rows, .in_rows = length, .out_begin = plan->out_rows, .out_rows = HalfLength(length)});
    rows += length;
    plan->out_rows += HalfLength(length);
  }
  Seed(2);
  const at::Tensor x = at::randn({rows, 3}, at::kDouble).set_requires_grad(true);
  std::vector<at::Tensor> parts;
  for (const auto& clip : plan->clips) {
    const at::Tensor in = x.narrow(0, clip.in_begin, clip.in_rows).t().unsqueeze(0);
    parts.push_back(at::conv1d(in, weight, bias, 2, 2)[0].t());
    ASSERT_EQ(parts.back().size(0), clip.out_rows);
  }
  const at::Tensor expected = at::cat(parts), ours = convolution(x, plan), upstream = at::randn_like(expected);
  EXPECT_LT((ours - expected).abs().max().item<double>(), 1e-12);
  const auto gradients = [&](const at::Tensor& y) {
    std::vector<at::Tensor> result;
    for (const at::Tensor& input : {x, weight, bias}) input.mutable_grad() = at::Tensor();
    (y * upstream).sum().backward();
    for (const at::Tensor& input : {x, weight, bias}) result.push_back(input.grad().clone());
    return result;
  };
  const auto got = gradients(ours), wanted = gradients(expected);
  for (size_t i = 0; i < 3; ++i) EXPECT_LT((got[i] - wanted[i]).abs().max().item<double>(), 1e-12) << i;
}

TEST(ConvolutionTest, StartsAsTorchs) {
  ParameterStore store;
  const Convolution convolution(store, "c", 80, 64, Precision::kFloat32);
  store.Draw(1);
  const double bound = 1 / std::sqrt(400.0);
  for (const auto& parameter : store.parameters()) {
    EXPECT_LE(parameter.tensor.abs().max().item<double>(), bound);
    EXPECT_GT(parameter.tensor.abs().max().item<double>(), 0.9 * bound);
    EXPECT_EQ(parameter.parts[0].role, Role::kConvolution);
  }
  EXPECT_NEAR(store.parameters()[0].tensor.std().item<double>(), bound / std::sqrt(3.0), 0.02 * bound);
}

TEST(SpecAugmentTest, MasksEachClipBySeedAndNumber) {
  const at::Tensor features = at::ones({3, 40, 16});
  const std::vector<int64_t> frames = {40, 40, 25};
  const SpecAugment masks{.frequency_masks = 2, .frequency_mask_bins = 5, .time_masks = 2, .time_mask_frames = 9};
  const at::Tensor masked = Mask(features, frames, masks, 11);
  EXPECT_TRUE(at::equal(masked, Mask(features, frames, masks, 11)));
  EXPECT_FALSE(at::equal(masked, Mask(features, frames, masks, 12)));
  EXPECT_FALSE(at::equal(masked[0], masked[1]));
  // A clip's masks do not depend on the clips beside it.
  EXPECT_TRUE(at::equal(masked[0], Mask(features.narrow(0, 0, 1), {40}, masks, 11)[0]));
  EXPECT_EQ(features.min().item<float>(), 1);
  EXPECT_TRUE(masked[2].narrow(0, 25, 15).eq(1).all().item<bool>()) << "behind the clip's end nothing changes";
}

TEST(SpecAugmentTest, WidthsAndPlacesAreUniform) {
  const int64_t bins = 12, frames = 10, clips = 4000;
  const at::Tensor features = at::ones({clips, frames, bins});
  const std::vector<int64_t> lengths(clips, frames);
  const at::Tensor banks = Mask(features, lengths, {.frequency_masks = 1, .frequency_mask_bins = 3}, 5).select(1, 0);
  const at::Tensor stretches = Mask(features, lengths, {.time_masks = 1, .time_mask_frames = 100}, 6).select(2, 0);
  // Widths 0 to 3 are 1000 each; four standard deviations are 110.
  const at::Tensor widths = (1 - banks).sum(1);
  for (int64_t width = 0; width <= 3; ++width) EXPECT_NEAR(widths.eq(width).sum().item<double>(), 1000, 110) << width;
  // Of width 1, each of the 12 places is as likely.
  const at::Tensor places = (1 - banks).index_select(0, widths.eq(1).nonzero().squeeze(1)).sum(0) / widths.eq(1).sum();
  EXPECT_LT((places - 1.0 / 12).abs().max().item<double>(), 0.04);
  // A mask that may be longer than the clip is at most the clip: 0 to 10 frames.
  const at::Tensor times = (1 - stretches).sum(1);
  for (int64_t width = 0; width <= frames; ++width)
    EXPECT_NEAR(times.eq(width).sum().item<double>(), clips / 11.0, 75) << width;
}

}  // namespace
}  // namespace strata::model
