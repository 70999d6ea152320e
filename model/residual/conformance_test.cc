// Holds every registered scheme, with every task that takes it, to what a model must do.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/residual/conformance_subjects.h"
#include "model/residual/residual_scheme.h"
#include "model/tasks/registry.h"
#include "model/tasks/task.h"

namespace strata::model {
namespace {

// Threads that wait for each other gain nothing on models this small.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

// One test a scheme: a process for each subject would cost more than the test.
class SchemeTest : public ::testing::TestWithParam<std::string> {
 protected:
  static void ForEachSubject(const std::function<void(const Subject&)>& test) {
    for (const Subject& subject : SubjectsOf(GetParam())) {
      SCOPED_TRACE(subject.scheme + "(" + subject.options + ") in " + subject.task);
      test(subject);
    }
  }
};

TEST_P(SchemeTest, IsTheSameBitsForTheSameSeed) {
  ForEachSubject([](const Subject& subject) {
    for (const double dropout : {0.0, 0.3}) {
      ModelConfig config = SmallConfig(subject);
      config.dropout = config.attention_dropout = config.activation_dropout = dropout;
      std::vector<double> losses;
      for (const uint64_t seed : {5, 5, 6}) {
        const auto model = Make(config, seed);
        losses.push_back(model->Loss(SmallBatch(config), /*training=*/true).loss.item<double>());
      }
      EXPECT_EQ(losses[0], losses[1]);
      EXPECT_NE(losses[0], losses[2]);
    }
  });
}

TEST_P(SchemeTest, DropsOnlyInTraining) {
  ForEachSubject([](const Subject& subject) {
    ModelConfig config = SmallConfig(subject);
    config.dropout = 0.3;
    const auto model = Make(config);
    const auto loss = [&](bool training) { return model->Loss(SmallBatch(config), training).loss.item<double>(); };
    EXPECT_EQ(loss(false), loss(false));
    EXPECT_NE(loss(true), loss(true));
    EXPECT_NE(loss(true), loss(false));
  });
}

TEST_P(SchemeTest, GradientsReachEveryParameter) {
  ForEachSubject([](const Subject& subject) {
    const auto model = Make(SmallConfig(subject));
    model->Loss(SmallBatch(model->config()), /*training=*/true).loss.backward();
    for (const auto& [name, tensor] : model->Parameters()) {
      ASSERT_TRUE(tensor.grad().defined()) << name;
      EXPECT_FALSE(tensor.grad().is_sparse()) << name;
      EXPECT_TRUE(at::isfinite(tensor.grad()).all().item<bool>()) << name;
      EXPECT_GT(tensor.grad().abs().max().item<double>(), 1e-7) << name;
    }
  });
}

TEST_P(SchemeTest, FairseqViewsCoverEveryElementOnce) {
  ForEachSubject([](const Subject& subject) {
    const auto model = Make(SmallConfig(subject));
    std::map<std::string, int64_t> covered;
    for (const NamedView& view : model->FairseqViews()) {
      EXPECT_EQ(view.begin, covered[view.parameter]) << view.name;
      covered[view.parameter] += view.rows;
    }
    for (const auto& [name, tensor] : model->Parameters()) EXPECT_EQ(covered[name], tensor.size(0)) << name;
  });
}

TEST_P(SchemeTest, PaddingChangesNothing) {
  ForEachSubject([](const Subject& subject) {
    const auto model = Make(SmallConfig(subject));
    const at::NoGradGuard no_grad;
    const Batch batch = SmallBatch(model->config());
    Batch padded = batch;
    const auto pad_left = [](const at::Tensor& rows) { return at::cat({at::full({3, 2}, kPad, at::kLong), rows}, 1); };
    if (batch.source_BS.defined()) padded.source_BS = pad_left(batch.source_BS);
    padded.target_BT = pad_left(batch.target_BT);
    padded.target_input_BT = pad_left(batch.target_input_BT);
    EXPECT_NEAR(model->Loss(batch, false).loss.item<double>(), model->Loss(padded, false).loss.item<double>(), 1e-5);
    // And each sentence alone gives the same logits as in company.
    const at::Tensor together = model->Logits(batch);
    EXPECT_EQ(together.sizes(), at::IntArrayRef({3, 4, kVocabulary}));
    if (subject.task == "speech") return;  // a clip's last position does depend on its company, as in fairseq
    for (int64_t b = 0; b < 3; ++b) {
      const Batch alone = Alone(batch, b);
      const at::Tensor logits = model->Logits(alone)[0];
      EXPECT_LT((logits - together[b].narrow(0, 0, logits.size(0))).abs().max().item<double>(), 1e-5) << b;
    }
  });
}

TEST_P(SchemeTest, TapsGiveEveryLayerAndItsGradient) {
  ForEachSubject([](const Subject& subject) {
    const auto model = Make(SmallConfig(subject));
    const Batch batch = SmallBatch(model->config());
    LayerTaps taps, plain;
    taps.location_layers = {0, 2};
    const double loss = model->Loss(batch, false, &plain).loss.item<double>();
    const at::Tensor tapped = model->Loss(batch, false, &taps).loss;
    EXPECT_NEAR(tapped.item<double>(), loss, 1e-5 * std::abs(loss));
    EXPECT_EQ(taps.stacks["encoder"].outputs_ND.size(), static_cast<size_t>(model->config().encoder_layers));
    EXPECT_EQ(taps.stacks["decoder"].outputs_ND.size(), 3u);
    for (auto& [name, stack] : taps.stacks) {
      for (at::Tensor& output : stack.outputs_ND) output.retain_grad();
    }
    tapped.backward();
    for (auto& [name, stack] : taps.stacks) {
      for (at::Tensor& output : stack.outputs_ND) EXPECT_GT(output.grad().norm().item<double>(), 0) << name;
    }
  });
}

// A layer that has norms is tapped before and after each, one that has none nowhere.
TEST_P(SchemeTest, LocationsStandAroundEachNorm) {
  ForEachSubject([](const Subject& subject) {
    const auto model = Make(SmallConfig(subject));
    std::map<std::string, at::Tensor> parameters;
    for (const auto& [name, tensor] : model->Parameters()) parameters[name] = tensor.detach();
    LayerTaps taps;
    taps.location_layers = {1};
    const at::NoGradGuard no_grad;
    model->Loss(SmallBatch(model->config()), false, &taps);
    for (const auto& [stack, seen] : taps.stacks) {
      size_t norms = 0;
      for (const auto& [kind, norm] : {std::pair("self_attention", "self_attn_layer_norm"),
                                       {"cross_attention", "encoder_attn_layer_norm"},
                                       {"ffn", "final_layer_norm"}}) {
        const auto gamma = parameters.find(stack + ".layers.1." + norm + ".weight");
        if (gamma == parameters.end()) continue;
        ++norms;
        const auto& locations = seen.locations.at(1);
        const at::Tensor before = locations.at(std::string(kind) + "_before_norm"),
                         after = locations.at(std::string(kind) + "_after_norm");
        const at::Tensor expected =
            at::layer_norm(before, {12}, gamma->second, parameters.at(stack + ".layers.1." + norm + ".bias"), 1e-5);
        EXPECT_LT((after - expected).abs().max().item<double>(), 1e-5) << stack << " " << kind;
      }
      const auto places = seen.locations.find(1);
      EXPECT_EQ(places == seen.locations.end() ? 0 : places->second.size(), 2 * norms) << stack;
    }
  });
}

// Central differences in float64 against the gradient, in a few elements of every parameter.
TEST_P(SchemeTest, GradientsAreThoseOfTheLoss) {
  ForEachSubject([](const Subject& subject) {
    ModelConfig config = SmallConfig(subject);
    config.dropout = config.attention_dropout = config.activation_dropout = 0.2;
    const auto model = Make(config);
    const Batch batch = SmallBatch(config);
    for (auto& parameter : model->Parameters()) {
      at::Tensor tensor = parameter.tensor;
      tensor.set_data(tensor.detach().to(at::kDouble));
    }
    const auto loss = [&] {
      Seed(77);  // the same masks each time
      return model->Loss(batch, /*training=*/true).loss;
    };
    loss().backward();
    constexpr double kStep = 1e-6;
    for (auto& [name, tensor] : model->Parameters()) {
      const at::Tensor flat = tensor.detach().view({-1}), gradient = tensor.grad().reshape({-1});
      for (int64_t probe = 0; probe < 4; ++probe) {
        const int64_t i = (probe * 7919 + 13) % flat.numel();
        at::Tensor element = flat.narrow(0, i, 1);
        const at::NoGradGuard no_grad;
        const double before = element.item<double>();
        element.fill_(before + kStep);
        const double up = loss().item<double>();
        element.fill_(before - kStep);
        const double down = loss().item<double>();
        element.fill_(before);
        const double expected = (up - down) / (2 * kStep), got = gradient[i].item<double>();
        EXPECT_NEAR(got, expected, 1e-6 + 1e-5 * std::abs(expected)) << name << "[" << i << "]";
      }
    }
  });
}

// The score of what beam search finds is what a whole forward pass gives the same tokens: cached keys and values are
// right.
TEST_P(SchemeTest, DecodingAgreesWithTheForwardPass) {
  ForEachSubject([](const Subject& subject) {
    for (const std::string& sharing : DescribeTask(subject.task).share_embeddings) {
      ModelConfig config = SmallConfig(subject);
      config.share_embeddings = sharing;
      const auto model = Make(config);
      const Batch batch = SmallBatch(config);
      const DecodeOptions options{.beam = 3, .max_length_b = 40, .n_best = 3};
      if (config.encoder_layers == 0) {
        EXPECT_THROW(model->Decode(batch, options), std::logic_error);
        return;
      }
      const Hypotheses found = model->Decode(batch, options);
      ASSERT_EQ(found.size(), 3u);
      const at::NoGradGuard no_grad;
      for (int64_t b = 0; b < 3; ++b) {
        ASSERT_EQ(found[b].size(), 3u);
        for (const Hypothesis& hypothesis : found[b]) {
          Batch forced = batch;  // the same company, and this hypothesis for all of it
          std::vector<int64_t> input = hypothesis.tokens;
          input.insert(input.begin(), kEos);
          input.pop_back();
          forced.target_BT = Tokens({hypothesis.tokens, hypothesis.tokens, hypothesis.tokens});
          forced.target_input_BT = Tokens({input, input, input});
          const at::Tensor log_p = at::log_softmax(model->Logits(forced)[b], -1);
          ASSERT_EQ(hypothesis.tokens.back(), kEos);
          ASSERT_GE(hypothesis.tokens.size(), 2u);
          ASSERT_LE(hypothesis.tokens.size(), 41u);
          for (size_t t = 0; t < hypothesis.tokens.size(); ++t) {
            EXPECT_NEAR(log_p[t][hypothesis.tokens[t]].item<double>(), hypothesis.positional_scores[t], 1e-4)
                << b << ":" << t;
          }
        }
      }
    }
  });
}

TEST_P(SchemeTest, RescaleInitShrinksTheLayersWeightsOnly) {
  ForEachSubject([](const Subject& subject) {
    ModelConfig config = SmallConfig(subject);
    Seed(5);
    const auto plain = CreateModel(config);
    config.rescale_init = true;
    Seed(5);
    const auto rescaled = CreateModel(config);
    const auto before = plain->Parameters(), after = rescaled->Parameters();
    for (size_t i = 0; i < before.size(); ++i) {
      const std::string& name = before[i].name;
      const bool weight = name.find(".layers.") != std::string::npos && before[i].tensor.dim() == 2;
      const double layers = name.rfind("encoder", 0) == 0 ? 2 : 3;
      const at::Tensor expected = weight ? before[i].tensor / std::sqrt(layers) : before[i].tensor;
      EXPECT_LT((after[i].tensor - expected).abs().max().item<double>(), 1e-6) << name;
    }
  });
}

// Under depth_scaled_init every scheme starts from the same bits in every weight of the layers.
TEST_P(SchemeTest, DepthScaledInitIsTheSameForEveryScheme) {
  ForEachSubject([](const Subject& subject) {
    const auto make = [&](const std::string& scheme, const std::string& options, bool rescale) {
      ModelConfig config = SmallConfig({scheme, options, subject.task});
      config.depth_scaled_init = true;
      config.rescale_init = rescale;
      Seed(5);
      return CreateModel(config);
    };
    const auto model = make(subject.scheme, subject.options, false), post_ln = make("post_ln", "", false);
    const auto rescaled = make(subject.scheme, subject.options, true);
    std::map<std::string, at::Tensor> theirs, smaller;
    for (const auto& [name, tensor] : post_ln->Parameters()) theirs[name] = tensor;
    for (const auto& [name, tensor] : rescaled->Parameters()) smaller[name] = tensor;
    int weights = 0;
    for (const auto& [name, tensor] : model->Parameters()) {
      if (name.find(".layers.") == std::string::npos || tensor.dim() != 2) continue;
      ++weights;
      EXPECT_TRUE(at::equal(tensor, theirs.at(name))) << name;
      const int64_t layer = std::stoll(name.substr(name.find(".layers.") + 8)) + 1;
      const bool joint = name.find("in_proj") != std::string::npos;
      const double fans = joint ? 24 : static_cast<double>(tensor.size(0) + tensor.size(1));
      const double bound = std::sqrt(6 / fans / static_cast<double>(layer)), top = tensor.abs().max().item<double>();
      EXPECT_LE(top, bound) << name;
      EXPECT_GT(top, 0.9 * bound) << name;
      const double layers = name.rfind("encoder", 0) == 0 ? 2 : 3;
      EXPECT_LT((smaller.at(name) * std::sqrt(layers) - tensor).abs().max().item<double>(), 1e-6) << name;
    }
    EXPECT_GE(weights, 12);
  });
}

// Only a scheme that asks for a profile has anything to gain from one; the same batch gives the same again.
TEST_P(SchemeTest, AProfileIsSetOnceAndForAll) {
  ForEachSubject([](const Subject& subject) {
    const auto model = Make(SmallConfig(subject));
    const auto snapshot = [&] {
      std::vector<at::Tensor> values;
      for (const auto& parameter : model->Parameters()) values.push_back(parameter.tensor.detach().clone());
      return values;
    };
    const std::vector<at::Tensor> before = snapshot();
    model->Profile(SmallBatch(model->config()));
    const std::vector<at::Tensor> once = snapshot();
    model->Profile(SmallBatch(model->config()));
    const std::vector<at::Tensor> twice = snapshot();
    bool changed = false;
    for (size_t i = 0; i < once.size(); ++i) {
      changed |= !at::equal(before[i], once[i]);
      EXPECT_TRUE(at::equal(once[i], twice[i])) << model->Parameters()[i].name;
    }
    EXPECT_EQ(changed, model->NeedsProfile());
    EXPECT_TRUE(std::isfinite(model->Loss(SmallBatch(model->config()), true).loss.item<double>()));
  });
}

INSTANTIATE_TEST_SUITE_P(Registry, SchemeTest, ::testing::ValuesIn(SchemeNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace strata::model
