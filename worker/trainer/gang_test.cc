// One job over several ranks: the real program, started for real. docs/DATA_PARALLEL.md.
#include "worker/trainer/gang.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "model/data/manifest.h"
#include "model/data/sentence_pairs.h"
#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

double Number(const json& value) { return value.is_number() ? value.get<double>() : std::nan(""); }

class GangTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteDataset(folder_ / "data");
    spec_ = SmallSpec();
    spec_["train"]["update_frequency"] = 1;
    spec_["train"]["updates"] = 50;
    spec_["train"]["log_every"] = 1;
    spec_["train"]["validate_every"] = 10;
    spec_["train"]["judge_after"] = 1000;
    spec_["resources"]["ranks"] = 4;
  }

  std::vector<std::string> Arguments(std::vector<std::string> more = {}) {
    WriteJson(folder_ / "spec.json", spec_);
    std::vector<std::string> arguments = {"--spec", folder_ / "spec.json", "--job",
                                          "train",  "--dataset",           folder_ / "data"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // A gang that has ended well.
  std::unique_ptr<Gang> Train(const std::string& name, int ranks, std::vector<std::string> more = {}) {
    auto gang = std::make_unique<Gang>(folder_ / name, Arguments(std::move(more)), ranks);
    EXPECT_TRUE(gang->Introduce()) << gang->Log(0);
    EXPECT_THAT(gang->WaitAll(), Each(0)) << gang->Log(0) << gang->Log(ranks - 1);
    return gang;
  }

  // name -> update -> value
  static std::map<std::string, std::map<int64_t, double>> Curves(const Gang& gang) {
    std::map<std::string, std::map<int64_t, double>> curves;
    for (const json& event : OfType(gang.Events(0), "measurements")) {
      for (const auto& [name, value] : event.at("scalars").items())
        curves[name][event.at("update").get<int64_t>()] = Number(value);
    }
    return curves;
  }

  static void ExpectSameTrajectory(const Gang& one, const Gang& other, const std::string& what) {
    const auto expected = Curves(one), actual = Curves(other);
    for (const char* name : {"train_loss", "gradient_norm", "valid_nll", "target_tokens"}) {
      const auto &there = expected.at(name), &here = actual.at(name);
      ASSERT_EQ(here.size(), there.size()) << what << " " << name;
      for (const auto& [update, value] : there)
        ASSERT_NEAR(here.at(update), value, 1e-5 * std::abs(value)) << what << " " << name << " at update " << update;
    }
  }

  ScratchFolder folder_;
  json spec_;
};

class TrajectoryTest : public GangTest, public ::testing::WithParamInterface<double> {};

TEST_P(TrajectoryTest, IsTheSameOnOneTwoAndFourRanks) {
  for (const char* rate : {"dropout", "attention_dropout", "activation_dropout", "word_dropout"})
    spec_["model"][rate] = GetParam();
  const auto one = Train("one", 1), two = Train("two", 2), four = Train("four", 4);
  ASSERT_THAT(Curves(*one).at("train_loss"), SizeIs(50));
  ExpectSameTrajectory(*one, *two, "two ranks");
  ExpectSameTrajectory(*one, *four, "four ranks");
  // The first rank alone tells what is measured; all of them hold the same weights in the end.
  for (int rank = 1; rank < 4; ++rank) {
    for (const char* type : {"measurements", "checkpoint", "artifact", "verdict"})
      EXPECT_THAT(OfType(four->Events(rank), type), SizeIs(0)) << type;
    EXPECT_EQ(four->Last(rank).at("weights_sha256"), four->Last(0).at("weights_sha256"));
    EXPECT_EQ(four->Last(rank).at("final_nll"), four->Last(0).at("final_nll"));
    EXPECT_EQ(four->Collective(rank), four->Collective(0));
    EXPECT_FALSE(fs::exists(four->Out(rank) / "checkpoints"));
  }
  EXPECT_GT(four->Collective(0).sequence, 100u);
}

INSTANTIATE_TEST_SUITE_P(Dropout, TrajectoryTest, ::testing::Values(0.0, 0.1),
                         [](const auto& info) { return info.param > 0 ? "on" : "off"; });

TEST_F(GangTest, AnEpochsLastUpdateMayHaveFewerBatchesThanRanks) {
  spec_["train"]["max_tokens"] = 100000;
  spec_["train"]["max_sentences"] = 64;
  const model::Manifest manifest = model::ReadManifest(folder_ / "data");
  const model::SentencePairs pairs(model::OpenSplit(folder_ / "data", manifest, "train"), 0, 0);
  const size_t batches = model::TrainingBatches(pairs, {.max_tokens = 100000, .max_sentences = 64}, 1).size();
  ASSERT_NE(batches % 4, 0u);
  spec_["train"]["updates"] = batches;  // several epochs
  const auto one = Train("one", 1), four = Train("four", 4);
  ExpectSameTrajectory(*one, *four, "four ranks");
}

TEST_F(GangTest, EverySchemeIsTheSameOnTwoRanks) {
  spec_["train"]["updates"] = 3;
  spec_["train"]["validate_every"] = 3;
  spec_["resources"]["ranks"] = 2;
  const json registry = json::parse(RunTrainer({"--describe"}).out);
  for (const json& scheme : registry.at("schemes")) {
    const std::string name = scheme.at("name");
    spec_["model"]["scheme"] = name;
    const auto one = Train(name + "-one", 1), two = Train(name + "-two", 2);
    ExpectSameTrajectory(*one, *two, name);
    if (HasFatalFailure()) return;
  }
}

TEST_F(GangTest, RanksAgreeOnATrainingThatDiverges) {
  spec_["train"]["learning_rate"] = 1000;
  spec_["train"]["warmup"] = 1;
  spec_["train"]["clip_norm"] = 0;
  spec_["train"]["judge_after"] = 10;
  const auto gang = Train("gang", 2);
  for (const int rank : {0, 1}) EXPECT_EQ(gang->Last(rank).at("state"), "diverged") << rank;
  EXPECT_EQ(gang->Last(0).at("updates"), gang->Last(1).at("updates"));
  EXPECT_THAT(OfType(gang->Events(0), "verdict"), SizeIs(1));
}

TEST_F(GangTest, StopsAllRanksAtOneUpdateAndGoesOnInTheSameBits) {
  spec_["train"]["checkpoint_every"] = 0;
  const auto whole = Train("whole", 2);
  for (const int asked : {0, 1}) {
    const std::string name = "stopped" + std::to_string(asked);
    {
      Gang gang(folder_ / name, Arguments(), 2);
      ASSERT_TRUE(gang.Introduce());
      ASSERT_TRUE(gang.Await(0, "measurements"));
      ::kill(gang.pid(asked), SIGTERM);
      ASSERT_THAT(gang.WaitAll(), Each(0)) << gang.Log(0) << gang.Log(1);
      ASSERT_EQ(gang.Last(0).at("type"), "stopped");
      ASSERT_EQ(gang.Last(1).at("type"), "stopped");
      EXPECT_EQ(gang.Last(0).at("update"), gang.Last(1).at("update"));
      EXPECT_TRUE(fs::exists(gang.Out(0) / gang.Last(0).at("file").get<std::string>()));
      EXPECT_TRUE(gang.Last(1).at("file").is_null());
    }
    // At another world size: the same to rounding, and it is said.
    for (const int ranks : {1, 4}) {
      const std::string other = name + "-on-" + std::to_string(ranks);
      fs::create_directories(folder_ / other);
      fs::copy(folder_ / name / "out", folder_ / other / "out", fs::copy_options::recursive);
      const auto resized = Train(other, ranks, {"--resume"});
      const double expected = Number(whole->Last(0).at("final_nll"));
      EXPECT_NEAR(Number(resized->Last(0).at("final_nll")), expected, 1e-5 * expected);
      ASSERT_THAT(OfType(resized->Events(0), "warning"), SizeIs(1));
      EXPECT_THAT(OfType(resized->Events(0), "warning")[0].at("message"),
                  HasSubstr("world_size 2 there and " + std::to_string(ranks) + " here"));
    }
    const auto again = Train(name, 2, {"--resume", "--attempt", "2"});
    EXPECT_EQ(again->Last(0).at("weights_sha256"), whole->Last(0).at("weights_sha256"));
  }
}

TEST_F(GangTest, KilledThreeTimesItEndsInTheSameBits) {
  spec_["train"]["checkpoint_every"] = 5;
  spec_["train"]["updates"] = 100;
  spec_["resources"]["ranks"] = 3;
  const auto whole = Train("whole", 3);
  int64_t from = 0;
  for (int kill = 0; kill < 3; ++kill) {
    Gang gang(folder_ / "killed", Arguments({"--resume"}), 3);
    ASSERT_TRUE(gang.Introduce());
    while (OfType(gang.Events(0), "checkpoint").size() < 3 && gang.Running(0))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(gang.Running(0)) << gang.Log(0);
    ::kill(gang.pid(2 - kill), SIGKILL);
    gang.WaitAll();
    const json resumed = OfType(gang.Events(0), "started")[0].at("resumed_from");
    EXPECT_EQ(resumed.is_null(), kill == 0);
    if (!resumed.is_null()) {
      EXPECT_GT(resumed.get<int64_t>(), from);
      from = resumed.get<int64_t>();
    }
  }
  const auto last = Train("killed", 3, {"--resume"});
  EXPECT_EQ(last->Last(0).at("weights_sha256"), whole->Last(0).at("weights_sha256"));
  EXPECT_EQ(last->Last(0).at("final_nll"), whole->Last(0).at("final_nll"));
}

TEST_F(GangTest, ARankThatIsKilledEndsTheOthersAsRankLost) {
  spec_["train"]["updates"] = 100000;
  spec_["train"]["validate_every"] = 100000;
  spec_["train"]["log_every"] = 1000;
  Gang gang(folder_ / "gang", Arguments(), 4);
  ASSERT_TRUE(gang.Introduce());
  ASSERT_TRUE(gang.Await(0, "progress")) << gang.Log(0);
  ::kill(gang.pid(2), SIGKILL);
  const auto killed = std::chrono::steady_clock::now();
  for (const int rank : {0, 1, 3}) {
    EXPECT_EQ(gang.Wait(rank), 1);
    EXPECT_EQ(gang.Last(rank).at("cause"), "rank_lost");
    EXPECT_THAT(gang.Last(rank).at("message"),
                HasSubstr("Rank " + std::to_string(rank) + " of 4 lost another rank in collective "));
    EXPECT_THAT(gang.Last(rank).at("message"), HasSubstr(gang.Collective(rank).name));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(10));
  EXPECT_GT(gang.Collective(2).sequence, 0u);
}

TEST_F(GangTest, EvaluatesTheSameBytesOnTwoRanksAsOnOne) {
  spec_["evaluate"][0]["n_best"] = 2;
  spec_["evaluate"][0]["split"] = "test,valid";
  const auto trained = Train("trained", 1);
  const std::vector<std::string> evaluate = {
      "--spec", folder_ / "spec.json", "--job", "evaluate", "--evaluation", "0", "--dataset", folder_ / "data"};
  std::vector<std::unique_ptr<Gang>> gangs;
  for (const int ranks : {1, 2, 3}) {
    auto arguments = evaluate;
    arguments.insert(arguments.end(), {"--checkpoint", trained->Out(0) / "checkpoints/final.safetensors"});
    gangs.push_back(std::make_unique<Gang>(folder_ / ("on" + std::to_string(ranks)), arguments, ranks));
    ASSERT_TRUE(gangs.back()->Introduce());
    ASSERT_THAT(gangs.back()->WaitAll(), Each(0)) << gangs.back()->Log(0);
    EXPECT_EQ(OfType(gangs.back()->Events(0), "measurements")[0].at("scalars"),
              OfType(gangs[0]->Events(0), "measurements")[0].at("scalars"));
    for (const char* file : {"hypotheses-test.txt", "hypotheses-valid.txt", "n-best.jsonl", "sentence_scores.jsonl"}) {
      EXPECT_FALSE(Contents(gangs[0]->Out(0) / file).empty()) << file;
      EXPECT_EQ(Contents(gangs.back()->Out(0) / file), Contents(gangs[0]->Out(0) / file)) << file << " on " << ranks;
    }
  }
  EXPECT_EQ(gangs[1]->Last(1).at("type"), "finished");
  EXPECT_EQ(gangs[1]->Last(1).at("weights_sha256"), gangs[0]->Last(0).at("weights_sha256"));
}

}  // namespace
}  // namespace strata::trainer::testing
