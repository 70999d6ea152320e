// What each task's model does by itself; what every model does is in model/residual/conformance_test.cc.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "model/layers/convolution.h"
#include "model/layers/embedding.h"
#include "model/layers/packing.h"
#include "model/tasks/testing.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

double Loss(SequenceModel& model, const Batch& batch, bool training = false) {
  const at::NoGradGuard no_grad;
  return model.Loss(batch, training).loss.item<double>();
}

std::map<std::string, at::Tensor> Named(const SequenceModel& model) {
  std::map<std::string, at::Tensor> named;
  for (const auto& parameter : model.Parameters()) named[parameter.name] = parameter.tensor;
  return named;
}

TEST(TasksTest, OptionsOfOtherTasksAreRefused) {
  for (const auto& [task, change, why] :
       std::vector<std::tuple<std::string, std::function<void(ModelConfig&)>, std::string>>{
           {"translation",
            [](ModelConfig& c) {
              c.adaptive_cutoffs = {9, 15};
            },
            "model.adaptive_cutoffs is 9,15, which task.kind \"translation\""},
           {"headline", [](ModelConfig& c) { c.adaptive_softmax_dropout = 0.2; },
            "belongs to language_model. Write 0."},
           {"translation", [](ModelConfig& c) { c.time_masks = 2; }, "train.time_masks is 2"},
           {"language_model", [](ModelConfig& c) { c.frequency_masks = 2; }, "belongs to speech"},
           {"language_model", [](ModelConfig& c) { c.encoder_layers = 3; }, "has a decoder only"},
           {"language_model", [](ModelConfig& c) { c.share_embeddings = "none"; },
            "model.share_embeddings is \"none\""},
           {"language_model", [](ModelConfig& c) { c.adaptive_cutoffs = {9, kSmallVocabulary}; }, "below that"},
           {"language_model", [](ModelConfig& c) { c.label_smoothing = 0.1; }, "Write train.label_smoothing: 0"},
           {"speech", [](ModelConfig& c) { c.share_embeddings = "all"; }, "model.share_embeddings is \"all\""},
           {"speech", [](ModelConfig& c) { c.convolution_channels = 7; }, "model.convolution_channels is 7"}}) {
    ModelConfig config = SmallConfig(task, "post_ln");
    change(config);
    try {
      CreateModel(config);
      ADD_FAILURE() << task << ": " << why;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << task;
    }
  }
}

TEST(TasksTest, MetricsSayWhetherTheyDecodeAndWhichWayIsBetter) {
  EXPECT_THAT(DescribeTask("headline").metrics, ElementsAre("rouge"));
  EXPECT_THAT(DescribeMetric("rouge").values, ElementsAre("rouge1", "rouge2", "rougeL"));
  EXPECT_TRUE(DescribeMetric("rouge").higher_is_better);
  EXPECT_FALSE(DescribeMetric("perplexity").decodes);
  EXPECT_FALSE(DescribeMetric("perplexity").higher_is_better);
  EXPECT_FALSE(DescribeMetric("wer").higher_is_better);
}

class TaskWordDropoutTest : public ::testing::TestWithParam<std::string> {};

TEST_P(TaskWordDropoutTest, ActsInTrainingOnlyAndIsTheSameForASeed) {
  ModelConfig config = SmallConfig(GetParam(), "post_ln");
  const auto plain = SmallModel(config);
  config.word_dropout = 0.4;
  const auto model = SmallModel(config);
  const Batch batch = SmallBatch(GetParam());
  EXPECT_EQ(Loss(*model, batch, false), Loss(*plain, batch, false));
  EXPECT_EQ(Loss(*plain, batch, true), Loss(*plain, batch, false));
  Seed(3);
  const double first = Loss(*model, batch, true), second = Loss(*model, batch, true);
  EXPECT_NE(first, Loss(*model, batch, false));
  EXPECT_NE(first, second);
  Seed(3);
  EXPECT_EQ(first, Loss(*model, batch, true));
}

INSTANTIATE_TEST_SUITE_P(Tasks, TaskWordDropoutTest, ::testing::Values("translation", "language_model", "speech"),
                         [](const auto& info) { return info.param; });

// Sentences of one token, in tasks without source words: nothing is left to drop.
TEST(WordDropoutTest, SparesTheDecodersFirstToken) {
  for (const char* task : {"language_model", "speech"}) {
    ModelConfig config = SmallConfig(task, "post_ln");
    config.word_dropout = 0.9;
    const auto model = SmallModel(config);
    Batch batch = SmallBatch(task);
    batch.target_BT = batch.target_BT.narrow(1, 0, 1);
    batch.target_input_BT = batch.target_input_BT.narrow(1, 0, 1);
    for (uint64_t seed = 0; seed < 5; ++seed) {
      Seed(seed);
      EXPECT_EQ(Loss(*model, batch, true), Loss(*model, batch, false)) << task;
    }
  }
}

TEST(LanguageModelTest, ContextCountsNothing) {
  for (const bool adaptive : {true, false}) {
    ModelConfig config = SmallConfig("language_model", "post_ln");
    if (!adaptive) config.adaptive_cutoffs.clear();
    const auto model = SmallModel(config);
    const at::NoGradGuard no_grad;
    const Batch batch = SmallBatch("language_model");
    const at::Tensor log_p = model->Logits(batch);
    EXPECT_LT((log_p[1].exp().sum(1) - 1).abs().max().item<double>(), 1e-5);
    Batch window = batch;
    window.target_BT = batch.target_BT.clone();
    window.target_BT.narrow(1, 0, 2).fill_(kPad);
    // What is left: 16 and the end of the first sentence, 6, 21 and the end of the second.
    const double expected =
        -(log_p[0][2][16] + log_p[0][3][kEos] + log_p[1][2][6] + log_p[1][3][21] + log_p[1][4][kEos]).item<double>();
    EXPECT_NEAR(model->Loss(window, false).nll.item<double>(), expected, 1e-4);
    EXPECT_TRUE(at::equal(model->Logits(window), log_p));
  }
}

TEST(LanguageModelTest, HasNothingToDecodeFrom) {
  const auto model = SmallModel(SmallConfig("language_model", "post_ln"));
  EXPECT_THROW(model->Decode(SmallBatch("language_model"), {}), std::logic_error);
}

TEST(LanguageModelTest, StartsAsTheAuthorsDoes) {
  ModelConfig config = SmallConfig("language_model", "post_ln");
  config.dim = 256;
  config.heads = 4;
  config.vocabulary = 3000;
  config.adaptive_cutoffs = {1000, 2000};
  config.decoder_layers = 1;
  const auto model = SmallModel(config);
  const auto tensors = Named(*model);
  const auto table = [&](int band) {
    return tensors.at("decoder.embed_tokens.embeddings." + std::to_string(band) + ".0.weight");
  };
  const auto projection = [&](int band) {
    return tensors.at("decoder.embed_tokens.embeddings." + std::to_string(band) + ".1.weight");
  };
  for (const int band : {0, 1, 2}) {
    const int64_t width = 256 >> band;
    ASSERT_EQ(table(band).sizes(), at::IntArrayRef({1000, width}));
    ASSERT_EQ(projection(band).sizes(), at::IntArrayRef({256, width}));
    const double deviation = 1 / std::sqrt(static_cast<double>(width)),
                 bound = std::sqrt(6.0 / static_cast<double>(256 + width));
    EXPECT_NEAR(table(band).std().item<double>(), deviation, 0.02 * deviation) << band;
    EXPECT_EQ(table(band)[kPad].abs().max().item<double>(), 0) << band;
    EXPECT_LE(projection(band).abs().max().item<double>(), bound);
    EXPECT_NEAR(projection(band).std().item<double>(), bound / std::sqrt(3.0), 0.02 * bound) << band;
  }
  EXPECT_LE(tensors.at("decoder.adaptive_softmax.head.class_proj.weight").abs().max().item<double>(),
            std::sqrt(6.0 / 258));
  const auto aliases = model->Aliases();
  EXPECT_THAT(aliases, ::testing::Contains(std::pair<std::string, std::string>(
                           "decoder.adaptive_softmax.tail.1.2.weight", "decoder.embed_tokens.embeddings.2.0.weight")));
}

// What fairseq computes over the padded batch: two convolutions with their gated linear units, nothing masked between
// them.
at::Tensor Subsample(const SequenceModel& model, const at::Tensor& features_BSF) {
  const auto tensors = Named(model);
  at::Tensor x = features_BSF.transpose(1, 2);
  for (const char* layer : {"0", "1"}) {
    const std::string name = std::string("encoder.subsample.conv_layers.") + layer;
    x = at::glu(at::conv1d(x, tensors.at(name + ".weight"), tensors.at(name + ".bias"), 2, 2), 1);
  }
  return x.transpose(1, 2);
}

TEST(SpeechTest, SubsamplesAsAPaddedBatchDoes) {
  const auto model = SmallModel(SmallConfig("speech", "post_ln"));
  const at::NoGradGuard no_grad;
  Seed(1);
  for (int64_t frames = 1; frames <= 14; ++frames) {
    for (const int64_t padding : {0, 1, 2, 3, 4, 5, 9}) {
      Batch batch = SmallBatch("speech");
      batch.source_features_BSF = at::zeros({3, frames + padding, kSmallBins});
      for (int64_t b = 0; b < 3; ++b) batch.source_features_BSF[b].narrow(0, 0, frames).normal_();
      batch.source_frames = {frames, frames, frames};
      LayerTaps taps;
      model->Logits(batch, &taps);
      const int64_t length = HalfLength(HalfLength(frames));
      const Packing packing = PackLengths({length, length, length}, length);
      const at::Tensor ours = Unpack(taps.stacks.at("encoder").input_ND, packing);
      Positions positions(12);
      const at::Tensor expected = Subsample(*model, batch.source_features_BSF).narrow(1, 0, length) * std::sqrt(12.0) +
                                  positions.Table(20).narrow(0, 2, length);
      ASSERT_EQ(ours.sizes(), expected.sizes());
      ASSERT_LT((ours - expected).abs().max().item<double>(), 1e-5) << frames << "+" << padding;
    }
  }
}

TEST(SpeechTest, TakesTheNamesOfItsUpstream) {
  ModelConfig config = SmallConfig("speech", "post_ln");
  config.share_embeddings = "none";
  std::set<std::string> names;
  for (const NamedView& view : SmallModel(config)->FairseqViews()) names.insert(view.name);
  EXPECT_THAT(
      names, ::testing::IsSupersetOf({"encoder.subsample.conv_layers.1.bias", "encoder.transformer_layers.0.fc1.weight",
                                      "decoder.output_projection.weight", "decoder.layers.2.fc1.weight"}));
}

TEST(SpeechTest, MasksInTrainingOnlyAndTheSameForASeed) {
  ModelConfig config = SmallConfig("speech", "post_ln");
  config.frequency_masks = config.time_masks = 2;
  config.frequency_mask_bins = 3;
  config.time_mask_frames = 4;
  const auto model = SmallModel(config);
  const Batch batch = SmallBatch("speech");
  const at::Tensor before = batch.source_features_BSF.clone();
  Seed(3);
  const double first = Loss(*model, batch, true), second = Loss(*model, batch, true);
  EXPECT_NE(first, second);
  EXPECT_NE(first, Loss(*model, batch, false));
  Seed(3);
  EXPECT_EQ(first, Loss(*model, batch, true));
  EXPECT_TRUE(at::equal(before, batch.source_features_BSF));
}

TEST(SpeechTest, RefusesFeaturesOfAnotherKind) {
  const auto model = SmallModel(SmallConfig("speech", "post_ln"));
  const auto why = [&](const std::function<void(Batch&)>& change) -> std::string {
    Batch batch = SmallBatch("speech");
    change(batch);
    try {
      model->Loss(batch, false);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "it was taken";
  };
  EXPECT_THAT(why([](Batch& b) {
                b.source_features_BSF = at::zeros({3, 17, 80});
              }),
              HasSubstr("clips have 80 filter banks, but this model was made for 6"));
  EXPECT_THAT(why([](Batch& b) { b.source_features_BSF = at::Tensor(); }),
              HasSubstr("a batch of speech needs features"));
  EXPECT_THAT(why([](Batch& b) { b.source_frames[1] = 18; }), HasSubstr("a clip has 18 frames in a batch of 17"));
  EXPECT_THAT(why([](Batch& b) { b.source_frames[2] = 0; }), HasSubstr("a clip has 0 frames"));
}

}  // namespace
}  // namespace strata::model
