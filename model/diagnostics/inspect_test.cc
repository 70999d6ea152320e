#include "model/diagnostics/inspect.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/diagnostics/similarity.h"
#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Threads that wait for each other gain nothing on models this small.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

constexpr char kFirstPlace[] = "gradient_norm_location_1_before_self_attention_norm";

std::unique_ptr<SequenceModel> Make(const std::string& scheme, int64_t encoder = 3, int64_t decoder = 4) {
  at::manual_seed(3);
  return CreateModel({.task = "translation",
                      .scheme = scheme,
                      .encoder_layers = encoder,
                      .decoder_layers = decoder,
                      .dim = 16,
                      .ffn_dim = 24,
                      .heads = 2,
                      .vocabulary = 30,
                      .dropout = 0.3});
}

Batch SmallBatch() {
  const auto tokens = [](std::vector<int64_t> values) { return at::tensor(values).view({2, 5}); };
  Batch batch{.target_tokens = 8, .sentences = 2};
  batch.source_BS = tokens({7, 9, 11, 12, kEos, 8, 10, kEos, kPad, kPad});
  batch.target_BT = tokens({5, 6, 7, 8, kEos, 9, 10, kEos, kPad, kPad});
  batch.target_input_BT = tokens({kEos, 5, 6, 7, 8, kEos, 9, 10, kPad, kPad});
  return batch;
}

Vectors Everything(SequenceModel& model, const std::string& layers = "") {
  return Inspect(model, SmallBatch(),
                 {.output_gradients = true, .parameter_gradients = true, .similarity = true, .variances = true, .location_layers = layers});
}

class EverySchemeTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Schemes, EverySchemeTest, ::testing::ValuesIn(SchemeNames()), [](const auto& info) { return info.param; });

TEST_P(EverySchemeTest, OnePassAgreesWithPassesOfTheirOwn) {
  const auto model = Make(GetParam());
  if (model->NeedsProfile()) model->Profile(SmallBatch());
  const Vectors all = Everything(*model);
  for (const auto& [stack, norms] : OutputGradientNorms(*model, SmallBatch())) {
    ASSERT_THAT(all.at("gradient_norm_output").at(stack), SizeIs(norms.size()));
    for (size_t i = 0; i < norms.size(); ++i) EXPECT_NEAR(all.at("gradient_norm_output").at(stack)[i] / norms[i], 1, 1e-4);
  }
  FlatParameters flat(model->Parameters());
  model->Loss(SmallBatch(), /*training=*/false).loss.backward();
  for (const auto& [stack, norms] : ParameterGradientNorms(flat, model->config(), 1.0 / 8)) {
    ASSERT_THAT(all.at("gradient_norm_parameters").at(stack), SizeIs(norms.size()));
    for (size_t i = 0; i < norms.size(); ++i) EXPECT_NEAR(all.at("gradient_norm_parameters").at(stack)[i] / norms[i], 1, 1e-4);
  }
}

TEST_P(EverySchemeTest, EachStackHasItsPlacesAndVariances) {
  const auto model = Make(GetParam());
  if (model->NeedsProfile()) model->Profile(SmallBatch());
  const Vectors all = Everything(*model, "1,last");
  int places = 0;
  for (const auto& [name, stacks] : all) {
    if (name.find("location") == std::string::npos) continue;
    ++places;
    const bool cross = name.find("cross") != std::string::npos;
    ASSERT_THAT(stacks, SizeIs(cross ? 1 : 2)) << name;
    for (const auto& [stack, values] : stacks) EXPECT_THAT(values, SizeIs(2)) << name << stack;
  }
  EXPECT_EQ(places, 5);
  EXPECT_THAT(all.at("variance_cross_attention"), SizeIs(1));
  for (const char* name : {"variance_self_attention", "variance_ffn"}) {
    EXPECT_THAT(all.at(name).at("encoder"), SizeIs(3));
    EXPECT_THAT(all.at(name).at("decoder"), SizeIs(4));
    for (const double variance : all.at(name).at("decoder")) EXPECT_GT(variance, 0);
  }
}

TEST_P(EverySchemeTest, ForwardPassAloneGivesTheSameBits) {
  const auto model = Make(GetParam());
  const Vectors forward = Inspect(*model, SmallBatch(), {.similarity = true, .variances = true});
  const Vectors both = Inspect(*model, SmallBatch(), {.output_gradients = true, .similarity = true, .variances = true});
  for (const auto& [name, stacks] : forward) EXPECT_EQ(stacks, both.at(name)) << name;
}

TEST(InspectTest, BeforePreLnsFirstNormStandsTheLayerBefore) {
  const auto model = Make("pre_ln");
  const Vectors all = Everything(*model, "2,4,3");
  const std::vector<double>& outputs = all.at("gradient_norm_output").at("decoder");
  EXPECT_THAT(all.at(kFirstPlace).at("decoder"), ElementsAre(outputs[0], outputs[2], outputs[1]));
  EXPECT_TRUE(std::isnan(all.at(kFirstPlace).at("encoder")[1]));  // the encoder has 3 layers
}

TEST(InspectTest, AVarianceIsThatOfWhatTheSublayerAdds) {
  const auto model = Make("pre_ln");
  const at::NoGradGuard no_grad;
  LayerTaps taps;
  taps.variances = true;
  taps.location_layers = {2};
  model->Loss(SmallBatch(), /*training=*/false, &taps);
  const LayerTaps::Stack& decoder = taps.stacks.at("decoder");
  const at::Tensor added = decoder.outputs_ND[2] - decoder.locations.at(2).at("ffn_before_norm");
  const double expected = (added - added.mean()).pow(2).mean().item<double>();
  EXPECT_NEAR(decoder.variances.at("ffn")[2] / expected, 1, 1e-4);
}

TEST(InspectTest, TouchesNeitherGradientsNorRandomState) {
  const auto model = Make("b2t");
  at::manual_seed(9);
  const double expected = at::rand({1}).item<double>();
  at::manual_seed(9);
  Everything(*model);
  EXPECT_EQ(at::rand({1}).item<double>(), expected);
  for (const auto& [name, tensor] : model->Parameters()) EXPECT_FALSE(tensor.grad().defined()) << name;
}

TEST(InspectTest, DeepStacksHaveSimilarityToTheLastAlone) {
  const auto model = Make("pre_ln", 1, 101);
  const Vectors all = Inspect(*model, SmallBatch(), {.similarity = true});
  EXPECT_THAT(all.at("similarity"), SizeIs(1));
  EXPECT_THAT(all.at("similarity_to_last").at("decoder"), SizeIs(101));
}

TEST(SimilarityTest, IsTheMeanCosineOverPositions) {
  at::manual_seed(1);
  std::vector<at::Tensor> outputs;
  for (int i = 0; i < 3; ++i) outputs.push_back(at::randn({20'000, 48}) + 0.5 * i);  // several pieces
  const std::vector<double> all = Similarity(outputs), last = SimilarityToLast(outputs);
  ASSERT_THAT(all, SizeIs(9));
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      const double expected = at::cosine_similarity(outputs[i], outputs[j], 1).mean().item<double>();
      EXPECT_NEAR(all[3 * i + j], expected, 1e-5) << i << " " << j;
    }
    EXPECT_NEAR(last[i], all[6 + i], 1e-5);
  }
}

TEST(LocationLayersTest, ReadsNumbersAndLast) {
  EXPECT_THAT(LocationLayers("1,9,last", 18), ElementsAre(0, 8, 17));
  EXPECT_THAT(LocationLayers("3, 1", 2), ElementsAre(-1, 0));
  EXPECT_THAT(LocationLayers("", 18), ElementsAre(0, 8, 17));
  EXPECT_THAT(LocationLayers("", 1), ElementsAre(0, 0, 0));
}

TEST(LocationLayersTest, RefusesWhatNamesNoLayerOfTheModel) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"0", "\"0\" is neither"}, {"1,,2", "\"\" is neither"}, {"first", "neither"}, {"1,19", "from 1 to 18"}, {"-1", "neither"}, {"2,", "neither"}}) {
    try {
      CheckLocationLayers(text, {.encoder_layers = 6, .decoder_layers = 18});
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  }
  CheckLocationLayers("1,9,18", {.encoder_layers = 6, .decoder_layers = 18});
}

}  // namespace
}  // namespace strata::model
