#include "model/data/batching.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "model/data/sentence_pairs.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::vector<uint32_t>> Lists(const Batches& batches) {
  std::vector<std::vector<uint32_t>> lists;
  for (size_t i = 0; i < batches.size(); ++i) lists.emplace_back(batches[i].begin(), batches[i].end());
  return lists;
}

TEST(BatchingTest, OrderAndBatchesAreFairseqs) {
  const auto golden =
      nlohmann::json::parse(std::ifstream(STRATA_SOURCE_DIR "/tests/golden/data/misc_schedule_batching.json"));
  ASSERT_GE(golden.at("batching").size(), 3u);
  for (const auto& c : golden.at("batching")) {
    const auto source = c.at("src_sizes").get<std::vector<int32_t>>(),
               target = c.at("tgt_sizes").get<std::vector<int32_t>>();
    const auto ordered = OrderBySize(c.at("initial_permutation").get<std::vector<uint32_t>>(), source, target);
    EXPECT_EQ(ordered, c.at("ordered_indices").get<std::vector<uint32_t>>());
    const Batches batches = MakeBatches(ordered, source, target,
                                        {.max_tokens = c.at("max_tokens"),
                                         .max_sentences = c.at("max_sentences"),
                                         .required_multiple = c.at("required_batch_size_multiple")});
    EXPECT_EQ(Lists(batches), c.at("batches").get<std::vector<std::vector<uint32_t>>>());
  }
}

TEST(BatchingTest, EverySentenceStandsInOneBatchWithinTheLimits) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const size_t count = 1 + seed * 3;
    std::vector<int32_t> sizes;
    for (const uint32_t value : Permutation(count, seed, 7)) sizes.push_back(1 + static_cast<int32_t>(value % 40));
    const BatchLimits limits{.max_tokens = 64,
                             .max_sentences = static_cast<int64_t>(seed % 5) * 4,
                             .required_multiple = 1 + static_cast<int64_t>(seed % 9)};
    const Batches batches = MakeBatches(OrderBySize(Permutation(count, seed, 1), sizes, sizes), sizes, sizes, limits);
    std::multiset<uint32_t> seen;
    for (size_t b = 0; b < batches.size(); ++b) {
      int32_t longest = 0;
      ASSERT_FALSE(batches[b].empty());
      for (const uint32_t sentence : batches[b]) {
        longest = std::max(longest, sizes[sentence]);
        seen.insert(sentence);
      }
      EXPECT_LE(longest * static_cast<int64_t>(batches[b].size()), 64);
    }
    EXPECT_EQ(seen.size(), count);
    EXPECT_EQ(std::set<uint32_t>(seen.begin(), seen.end()).size(), count);
  }
}

TEST(BatchingTest, RefusesASentenceThatFitsNoBatch) {
  const std::vector<int32_t> sizes{3, 9};
  try {
    MakeBatches({0, 1}, sizes, sizes, {.max_tokens = 8});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr("sentence 1 has 9 tokens"));
  }
}

Batches TenBatches() {
  Batches batches;
  for (uint32_t i = 0; i < 10; ++i) {
    batches.sentences.push_back(i);
    batches.offsets.push_back(i + 1);
  }
  return batches;
}

TEST(BatchSeedTest, DiffersByTrainingUpdateAndPlace) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    for (int64_t update = 0; update < 20; ++update) {
      for (int64_t place = 0; place < 8; ++place) seeds.insert(BatchSeed(seed, update, place));
    }
  }
  EXPECT_EQ(seeds.size(), 5u * 20 * 8);
  EXPECT_EQ(BatchSeed(1, 2, 3), BatchSeed(1, 2, 3));
}

TEST(EpochOrderTest, AnEpochHoldsEveryBatchOnceAndEpochsDiffer) {
  const Batches batches = TenBatches();
  EpochOrder order(batches, /*seed=*/3, /*per_update=*/4);
  std::vector<std::vector<uint32_t>> epochs(3);
  for (auto& epoch : epochs) {
    for (const size_t expected : {4u, 4u, 2u}) {
      const auto next = order.Next();
      EXPECT_EQ(next.size(), expected);
      epoch.insert(epoch.end(), next.begin(), next.end());
    }
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  for (auto& epoch : epochs) {
    std::sort(epoch.begin(), epoch.end());
    EXPECT_THAT(epoch, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
}

TEST(EpochOrderTest, GoesOnFromAnyPosition) {
  const Batches batches = TenBatches();
  for (int stop = 0; stop < 12; ++stop) {
    EpochOrder whole(batches, 5, 3), resumed(batches, 5, 3);
    for (int i = 0; i < stop; ++i) whole.Next();
    resumed.Seek(whole.position());
    for (int i = 0; i < 9; ++i) EXPECT_EQ(whole.Next(), resumed.Next()) << stop;
  }
}

TEST(EpochOrderTest, OrderDependsOnTheSeedAlone) {
  EXPECT_EQ(Permutation(5, 1, 2), Permutation(5, 1, 2));
  EXPECT_NE(Permutation(50, 1, 2), Permutation(50, 2, 2));
  EXPECT_THAT(Permutation(8, 1, 2), ElementsAre(3, 1, 4, 0, 2, 6, 5, 7));
}

TEST(EpochOrderTest, RefusesAPositionOutsideOfTheEpoch) {
  const Batches batches = TenBatches();
  EpochOrder order(batches, 1, 1);
  EXPECT_THROW(order.Seek({.epoch = 0, .batch = 11}), std::invalid_argument);
  EXPECT_THROW(order.Seek({.epoch = -1, .batch = 0}), std::invalid_argument);
}

class SentencePairsTest : public ::testing::Test {
 protected:
  // Writes shards with the given target lengths; a target of length n holds the ids 4, 5, ..., the source one more.
  std::vector<Shard> Shards(const std::vector<std::vector<int>>& lengths) {
    std::vector<Piece> pieces;
    for (int i = 0; i < 20; ++i) pieces.push_back({.text = "p" + std::to_string(i)});
    std::vector<Shard> shards;
    for (size_t i = 0; i < lengths.size(); ++i) {
      ShardWriter writer(pieces, 2);
      for (const int length : lengths[i]) {
        std::vector<int32_t> ids(static_cast<size_t>(length) + 1);
        std::iota(ids.begin(), ids.end(), 4);
        const std::span<const int32_t> sides[] = {ids, std::span(ids).first(static_cast<size_t>(length))};
        writer.Add(sides);
      }
      const auto path = std::filesystem::path(::testing::TempDir()) /
                        ("pairs" + std::to_string(::getpid()) + "-" + std::to_string(i) + ".shard");
      writer.Write(path);
      shards.push_back(Shard::Open(path));
      std::filesystem::remove(path);
    }
    return shards;
  }
};

TEST_F(SentencePairsTest, ReadsAcrossShardsAndLeavesOutLongPairs) {
  const SentencePairs all(Shards({{1, 5, 2}, {3, 6}}));
  EXPECT_EQ(all.size(), 5u);
  EXPECT_EQ(all.Target(3).size(), 3u);
  EXPECT_THAT(all.Sizes(0), ElementsAre(3, 7, 4, 5, 8));
  const SentencePairs shorter(Shards({{1, 5, 2}, {3, 6}}), /*limit=*/0, /*max_length=*/4);
  EXPECT_EQ(shorter.left_out(), 2u);
  EXPECT_THAT(shorter.Sizes(1), ElementsAre(2, 3, 4));
  EXPECT_EQ(SentencePairs(Shards({{1, 5, 2}, {3, 6}}), /*limit=*/4).size(), 4u);
}

TEST_F(SentencePairsTest, SaysWhatToDoAboutAPairThatIsTooLong) {
  const SentencePairs pairs(Shards({{1, 9}}));
  try {
    TrainingBatches(pairs, {.max_tokens = 8}, 1);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("train.max_length"));
  }
  EXPECT_EQ(FixedBatches(pairs, {.max_tokens = 8}).size(), 2u);
  EXPECT_THROW(TrainingBatches(SentencePairs(Shards({{3}}), 0, 1), {}, 1), DataError);
}

TEST_F(SentencePairsTest, UnigramLevelIsThatOfAddOneCounts) {
  // Training targets: 4 and three ends; 4, 5 / 4 / (none). Counts plus one over 20 pieces: 4: 3, 5: 2, eos: 4;
  // total 26.
  const SentencePairs training(Shards({{2, 1, 0}})), validation(Shards({{2}}));
  EXPECT_NEAR(UnigramNll(training, validation, 20), -(std::log(3 / 26.) + std::log(2 / 26.) + std::log(4 / 26.)) / 3,
              1e-12);
}

}  // namespace
}  // namespace strata::model
