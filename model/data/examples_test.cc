// Blocks of text and clips of speech as batches.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "model/data/clips.h"
#include "model/data/feature_shard.h"
#include "model/data/text_blocks.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

constexpr int kPieces = 40;

std::vector<Piece> Pieces() {
  std::vector<Piece> pieces = {{"<s>", PieceKind::kControl},
                               {"<pad>", PieceKind::kControl},
                               {"</s>", PieceKind::kControl},
                               {"<unk>", PieceKind::kUnknown}};
  for (int id = 4; id < kPieces; ++id) pieces.push_back({"p" + std::to_string(id), PieceKind::kNormal});
  return pieces;
}

using Lines = std::vector<std::vector<int32_t>>;

// A dataset in a folder of its own, without a vocabulary's file.
class Dataset {
 public:
  explicit Dataset(const std::string& name)
      : folder_(std::filesystem::path(::testing::TempDir()) / ("examples_test_" + name)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    manifest_.name = name;
    manifest_.vocabulary_size = kPieces;
  }
  ~Dataset() { std::filesystem::remove_all(folder_); }

  // `streams` times the same lines, one file each entry of `files`.
  void AddShards(const std::vector<Lines>& files, int streams = 1) {
    DatasetSplit& split = manifest_.splits["train"];
    for (const Lines& lines : files) {
      ShardWriter writer(Pieces(), streams);
      for (const auto& line : lines) {
        const std::vector<std::span<const int32_t>> sides(static_cast<size_t>(streams), std::span(line));
        writer.Add(sides);
      }
      split.shards.push_back("train-" + std::to_string(split.shards.size()) + ".shard");
      writer.Write(folder_ / split.shards.back());
      split.sentences += writer.sentences();
      split.target_tokens += writer.tokens(0);
      if (streams > 1) split.source_tokens += writer.tokens(0);
    }
  }
  // Clip c of the split has lengths[c] frames, all of value c + 1.
  void AddFeatures(const std::vector<std::vector<int64_t>>& files, int bins) {
    DatasetSplit& split = manifest_.splits["train"];
    float value = 0;
    for (const auto& lengths : files) {
      split.features.push_back("train-" + std::to_string(split.features.size()) + ".features");
      FeatureShardWriter writer(folder_ / split.features.back(), bins);
      for (const int64_t frames : lengths) writer.Add(std::vector<float>(static_cast<size_t>(frames * bins), ++value));
      writer.Finish();
    }
    manifest_.features = {.bins = bins, .cmvn = "none"};
  }

  const std::filesystem::path& folder() const { return folder_; }
  Manifest& manifest() { return manifest_; }

 private:
  std::filesystem::path folder_;
  Manifest manifest_;
};

std::vector<int64_t> Row(const at::Tensor& matrix, int64_t row) {
  const at::Tensor r = matrix[row].contiguous();
  return {r.const_data_ptr<int64_t>(), r.const_data_ptr<int64_t>() + r.numel()};
}

std::vector<uint32_t> All(const Examples& examples) {
  std::vector<uint32_t> all(examples.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::unique_ptr<Examples> OpenText(Dataset& data, const ExampleOptions& options) {
  return OpenTextBlocks(data.folder(), data.manifest(), "train", options);
}

TEST(TextBlocksTest, CutsTheStreamAndFeedsThePreviousToken) {
  Dataset data("blocks");
  // The stream is 4 5 2 2 6 7 8 2 | 2 9 2.
  data.AddShards({{{4, 5}, {}, {6, 7, 8}}, {{}, {9}}});
  const auto blocks = OpenText(data, {.block_tokens = 4});
  ASSERT_EQ(blocks->size(), 3u);
  EXPECT_THAT(blocks->Sizes(0), ElementsAre(4, 4, 3));
  EXPECT_THAT(blocks->Sizes(1), ElementsAre(4, 4, 3));
  const Batch batch = blocks->Collate(All(*blocks));
  EXPECT_THAT(Row(batch.target_BT, 0), ElementsAre(4, 5, kEos, kEos));
  EXPECT_THAT(Row(batch.target_input_BT, 0), ElementsAre(kEos, 4, 5, kEos));
  EXPECT_THAT(Row(batch.target_BT, 1), ElementsAre(6, 7, 8, kEos));
  EXPECT_THAT(Row(batch.target_input_BT, 1), ElementsAre(kEos, 6, 7, 8));
  EXPECT_THAT(Row(batch.target_BT, 2), ElementsAre(kEos, 9, kEos, kPad));
  EXPECT_THAT(Row(batch.target_input_BT, 2), ElementsAre(kEos, kEos, 9, kPad));
  EXPECT_EQ(batch.target_tokens, 11);
  EXPECT_EQ(batch.sentences, 3);
  EXPECT_FALSE(batch.source_BS.defined());
  EXPECT_EQ(blocks->pieces().size(), static_cast<size_t>(kPieces));
}

TEST(TextBlocksTest, ABlockThatBeginsWithinALineIsFedTheTokenBeforeIt) {
  Dataset data("within");
  data.AddShards({{{4, 5, 6, 7, 8}}});
  const auto blocks = OpenText(data, {.block_tokens = 3});
  const Batch batch = blocks->Collate(std::vector<uint32_t>{1});
  EXPECT_THAT(Row(batch.target_BT, 0), ElementsAre(7, 8, kEos));
  EXPECT_THAT(Row(batch.target_input_BT, 0), ElementsAre(6, 7, 8));
}

TEST(TextBlocksTest, WindowsScoreEveryTokenOnceBehindTheirContext) {
  Dataset data("windows");
  // 200 lines of pseudo-random length, empty ones among them, in three shards; the stream by hand beside it.
  std::vector<Lines> files(3);
  std::vector<int64_t> stream;
  std::vector<uint64_t> counts(kPieces);
  uint32_t state = 7;
  const auto next = [&](uint32_t bound) { return (state = state * 1664525u + 1013904223u) / 65536u % bound; };
  for (int l = 0; l < 200; ++l) {
    std::vector<int32_t> line(next(9));
    for (int32_t& id : line) id = static_cast<int32_t>(4 + next(kPieces - 4));
    stream.insert(stream.end(), line.begin(), line.end());
    stream.push_back(kEos);
    files[static_cast<size_t>(l) / 80].push_back(line);
  }
  for (const int64_t id : stream) ++counts[static_cast<size_t>(id)];
  data.AddShards(files);
  for (const auto& [block, context] :
       std::vector<std::pair<int64_t, int64_t>>{{16, 0}, {16, 5}, {16, 15}, {1, 0}, {7, 3}, {100000, 10}}) {
    const auto examples = OpenText(data, {.block_tokens = block, .context_tokens = context});
    std::vector<int64_t> scored, sizes;
    for (uint32_t b = 0; b < examples->size(); ++b) {
      const Batch batch = examples->Collate(std::vector<uint32_t>{b});
      const std::vector<int64_t> target = Row(batch.target_BT, 0), input = Row(batch.target_input_BT, 0);
      ASSERT_LE(target.size(), static_cast<size_t>(block));
      EXPECT_EQ(examples->Sizes(0)[b], static_cast<int32_t>(target.size()));
      const size_t begin = scored.size() - (b == 0 ? 0 : static_cast<size_t>(context));  // of the window, in the stream
      const size_t before = scored.size();
      for (size_t t = 0; t < target.size(); ++t) {
        ASSERT_EQ(input[t], begin + t == 0 ? kEos : stream[begin + t - 1])
            << block << "/" << context << " window " << b << ":" << t;
        if (b > 0 && t < static_cast<size_t>(context)) {
          ASSERT_EQ(target[t], kPad);
        } else {
          scored.push_back(target[t]);
        }
      }
      EXPECT_EQ(batch.target_tokens, static_cast<int64_t>(scored.size() - before));
    }
    EXPECT_EQ(scored, stream) << block << "/" << context;
    std::vector<uint64_t> counted(kPieces);
    examples->CountTargets(counted);
    EXPECT_EQ(counted, counts);
  }
}

TEST(TextBlocksTest, ALimitEndsTheStreamBehindALine) {
  Dataset data("limit");
  data.AddShards({{{4, 5}, {}, {6, 7, 8}}, {{}, {9}}});
  for (const auto& [limit, tokens] :
       std::vector<std::pair<uint64_t, int64_t>>{{1, 3}, {2, 4}, {3, 8}, {4, 9}, {5, 11}, {9, 11}}) {
    const auto blocks = OpenText(data, {.limit = limit, .block_tokens = 100});
    EXPECT_EQ(blocks->Collate(All(*blocks)).target_tokens, tokens) << limit;
  }
}

std::string WhyNot(const std::function<void()>& open) {
  try {
    open();
  } catch (const DataError& error) {
    return error.what();
  }
  return "it was taken";
}

TEST(TextBlocksTest, RefusesWhatIsNoTextOrNoWindow) {
  Dataset data("refused"), pairs("pairs");
  data.AddShards({{{4, 5}}});
  pairs.AddShards({{{4, 5}}}, 2);
  EXPECT_THAT(WhyNot([&] { OpenText(pairs, {}); }), HasSubstr("needs one stream of text"));
  EXPECT_THAT(WhyNot([&] { OpenText(data, {.max_length = 40}); }), HasSubstr("train.max_length is 40"));
  EXPECT_THAT(WhyNot([&] { OpenText(data, {.block_tokens = 8, .context_tokens = 8}); }),
              HasSubstr("context_tokens is 8 in windows of 8"));
}

// Each kind of data names its own remedy where an example is longer than a batch.
TEST(TextBlocksTest, ABlockLongerThanABatchIsRefused) {
  Dataset data("long_block");
  data.AddShards({{{4, 5, 6, 7, 8, 9}}});
  const auto blocks = OpenText(data, {.block_tokens = 6});
  EXPECT_THAT(WhyNot([&] { TrainingBatches(*blocks, {.max_tokens = 5}, 1); }),
              HasSubstr("or lower train.block_tokens"));
}

std::unique_ptr<Examples> OpenSpeech(Dataset& data, const ExampleOptions& options) {
  return OpenClips(data.folder(), data.manifest(), "train", options);
}

TEST(ClipsTest, CollatesFeaturesAndTranscripts) {
  Dataset data("clips");
  data.AddShards({{{4, 5}, {6}}, {{7, 8, 9}}});
  data.AddFeatures({{5, 2}, {3}}, 2);
  const auto clips = OpenSpeech(data, {});
  ASSERT_EQ(clips->size(), 3u);
  EXPECT_THAT(clips->Sizes(0), ElementsAre(5, 2, 3));
  EXPECT_THAT(clips->Sizes(1), ElementsAre(3, 2, 3)) << "never more than the frames";
  const Batch batch = clips->Collate(std::vector<uint32_t>{2, 0});
  EXPECT_THAT(batch.source_frames, ElementsAre(3, 5));
  EXPECT_EQ(batch.source_features_BSF.sizes(), at::IntArrayRef({2, 5, 2}));
  EXPECT_TRUE(batch.source_features_BSF[0].narrow(0, 0, 3).eq(3).all().item<bool>());
  EXPECT_TRUE(batch.source_features_BSF[0].narrow(0, 3, 2).eq(0).all().item<bool>());
  EXPECT_TRUE(batch.source_features_BSF[1].eq(1).all().item<bool>());
  EXPECT_THAT(Row(batch.target_BT, 0), ElementsAre(7, 8, 9, kEos));
  EXPECT_THAT(Row(batch.target_input_BT, 0), ElementsAre(kEos, 7, 8, 9));
  EXPECT_THAT(Row(batch.target_BT, 1), ElementsAre(4, 5, kEos, kPad));
  EXPECT_THAT(Row(batch.target_input_BT, 1), ElementsAre(kEos, 4, 5, kPad));
  EXPECT_EQ(batch.target_tokens, 7);
  std::vector<uint64_t> counts(kPieces);
  clips->CountTargets(counts);
  EXPECT_EQ(counts[kEosId], 3u);
  EXPECT_EQ(counts[8], 1u);
}

TEST(ClipsTest, LeavesOutLongClipsAndStopsAtTheLimit) {
  Dataset data("long");
  data.AddShards({{{4}, {5}, {6}, {7}}});
  data.AddFeatures({{50, 200, 51, 10}}, 1);
  const auto clips = OpenSpeech(data, {.limit = 3, .max_length = 50});
  EXPECT_THAT(clips->Sizes(0), ElementsAre(50));
  EXPECT_EQ(clips->left_out(), 2u);
  EXPECT_THAT(OpenSpeech(data, {.max_length = 51})->Sizes(0), ElementsAre(50, 51, 10));
  EXPECT_THAT(WhyNot([&] { TrainingBatches(*OpenSpeech(data, {}), {.max_tokens = 100}, 1); }),
              HasSubstr("leave long clips out with train.max_length"));
}

TEST(ClipsTest, RefusesFilesThatDoNotBelongTogether) {
  Dataset text("text"), fewer("fewer"), bins("bins");
  text.AddShards({{{4}}});
  EXPECT_THAT(WhyNot([&] { OpenSpeech(text, {}); }), HasSubstr("has no features"));
  fewer.AddShards({{{4}, {5}}});
  fewer.AddFeatures({{10}}, 4);
  EXPECT_THAT(WhyNot([&] { OpenSpeech(fewer, {}); }), HasSubstr("holds 1 clips, the shard beside it 2"));
  bins.AddShards({{{4}}});
  bins.AddFeatures({{10}}, 4);
  bins.manifest().features.bins = 80;
  EXPECT_THAT(WhyNot([&] { OpenSpeech(bins, {}); }), HasSubstr("has 4 filter banks a frame, the manifest says 80"));
}

}  // namespace
}  // namespace strata::model
