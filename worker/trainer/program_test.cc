// The program as a person or an agent meets it: what it prints, what it refuses, how it fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <map>

#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteDataset(folder_ / "data");
    WriteJson(folder_ / "spec.json", spec_);
  }
  Ended Run(const std::string& job, std::vector<std::string> more = {}) {
    WriteJson(folder_ / "spec.json", spec_);
    std::vector<std::string> arguments = {"--spec",    folder_ / "spec.json", "--job", job,
                                          "--dataset", folder_ / "data",      "--out", folder_ / "out",
                                          "--spool",   folder_ / "spool"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTrainer(arguments);
  }
  std::vector<json> Events() { return ReadEvents(folder_ / "spool"); }
  // The last event is `failed`; returns it.
  json Failed() {
    const auto events = Events();
    return events.empty() || events.back().at("type") != "failed"
               ? json{{"cause", "none"}, {"message", "no failed event"}}
               : events.back();
  }

  ScratchFolder folder_;
  json spec_ = SmallSpec();
};

TEST_F(ProgramTest, TrainsEvaluatesAndProbes) {
  ASSERT_EQ(Run("train").status, 0);
  auto events = Events();
  EXPECT_EQ(events.front().at("type"), "started");
  EXPECT_EQ(events.front().at("parameters"), 40 * 16 + 2 * (4 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 4 * 16) +
                                                 2 * (8 * (16 * 16 + 16) + 2 * 16 * 32 + 32 + 16 + 6 * 16));
  EXPECT_EQ(events.back().at("type"), "finished");
  EXPECT_LT(events.back().at("final_nll").get<double>(), 4);
  EXPECT_THAT(OfType(events, "progress"), SizeIs(::testing::Ge(1)));
  for (const json& event : OfType(events, "measurements"))
    EXPECT_FALSE(event.at("scalars").contains("seconds_per_update"));

  ASSERT_EQ(Run("evaluate",
                {"--evaluation", "0", "--checkpoint", folder_ / "out/checkpoints/final.safetensors", "--attempt", "2"})
                .status,
            0);
  const json hash = events.back().at("weights_sha256");
  events = Events();
  EXPECT_EQ(events.back().at("weights_sha256"), hash);
  const json row = OfType(events, "measurements").back();
  EXPECT_EQ(row.at("update"), 24);
  for (const char* name : {"bleu", "bleu_precision_1", "bleu_precision_4", "bleu_brevity_penalty"})
    EXPECT_TRUE(row.at("scalars").contains(name)) << name;
  std::vector<std::string> files;
  for (const json& artifact : OfType(events, "artifact")) files.push_back(artifact.at("file"));
  EXPECT_THAT(files, ::testing::IsSupersetOf({"hypotheses.txt", "sentence_scores.jsonl"}));
  std::ifstream hypotheses(folder_ / "out/hypotheses.txt");
  int lines = 0;
  for (std::string line; std::getline(hypotheses, line);) ++lines;
  EXPECT_EQ(lines, 12);

  ASSERT_EQ(Run("probe", {"--attempt", "3"}).status, 0);
  const json probe = OfType(Events(), "measurements").back();
  std::map<std::string, size_t> lengths;  // of the decoder's vectors
  for (const json& vector : probe.at("vectors")) {
    if (vector.at("stack") == "decoder") lengths[vector.at("name")] = vector.at("values").size();
  }
  for (const char* name : {"gradient_norm_output", "gradient_norm_parameters", "similarity_to_last", "layer_verdict", "variance_ffn"})
    EXPECT_EQ(lengths[name], 2u) << name;
  EXPECT_EQ(lengths["similarity"], 4u);
}

TEST_F(ProgramTest, SmallBatchesSummedAreOneLargeBatch) {
  // Without dropout, an update of the whole epoch: the same tokens in many batches or in two.
  spec_["model"]["dropout"] = 0;
  spec_["train"]["updates"] = 1;
  spec_["train"]["log_every"] = 1;
  spec_["train"]["update_frequency"] = 1000;
  ASSERT_EQ(Run("train").status, 0);
  const json small = OfType(Events(), "measurements").back();
  spec_["train"]["max_tokens"] = 100'000;
  fs::remove_all(folder_ / "out");
  ASSERT_EQ(Run("train", {"--attempt", "2"}).status, 0);
  const json large = OfType(Events(), "measurements").back();
  EXPECT_EQ(small.at("scalars").at("target_tokens"), large.at("scalars").at("target_tokens"));
  for (const char* name : {"train_loss", "train_nll", "gradient_norm"}) {
    EXPECT_NEAR(small.at("scalars").at(name).get<double>() / large.at("scalars").at(name).get<double>(), 1, 1e-5)
        << name;
  }
}

TEST_F(ProgramTest, DivergesWithAVerdictAndStopsOrGoesOn) {
  spec_["train"]["learning_rate"] = 900;
  spec_["train"]["clip_norm"] = 0;
  spec_["train"]["updates"] = 40;
  ASSERT_EQ(Run("train").status, 0);
  auto events = Events();
  ASSERT_THAT(OfType(events, "verdict"), SizeIs(1));
  EXPECT_EQ(events.back().at("state"), "diverged");
  EXPECT_LT(events.back().at("updates"), 40);
  EXPECT_EQ(events.back().at("updates"), OfType(events, "verdict")[0].at("update"));
  EXPECT_FALSE(OfType(events, "verdict")[0].at("evidence").empty());

  spec_["train"]["on_divergence"] = "continue";
  fs::remove_all(folder_ / "out");
  ASSERT_EQ(Run("train", {"--attempt", "2"}).status, 0);
  const json first = OfType(events, "verdict")[0];
  events = Events();
  ASSERT_THAT(OfType(events, "verdict"), SizeIs(2));
  EXPECT_EQ(OfType(events, "verdict")[1].at("evidence"), first.at("evidence"));
  EXPECT_EQ(events.back().at("state"), "diverged");
  EXPECT_EQ(events.back().at("updates"), 40);
}

TEST_F(ProgramTest, RefusesAWrongSpecWithOneClearError) {
  for (const auto& [pointer, value, why] :
       std::vector<std::tuple<std::string, json, std::string>>{{"/model/scheme", "sideways", "sideways"},
                                                               {"/model/depth", "0L-2L", "0L-2L"},
                                                               {"/model/depth", "18L18L", "18L-18L"},
                                                               {"/train/learning_rate", -1, "train.learning_rate"},
                                                               {"/model/heads", 3, "model.heads"},
                                                               {"/task/kind", "cooking", "cooking"}}) {
    spec_ = SmallSpec();
    spec_[json::json_pointer(pointer)] = value;
    fs::remove(folder_ / "spool");
    const Ended ended = Run("train");
    if (pointer == "/task/kind") {
      EXPECT_NE(ended.status, 0);
    } else {
      EXPECT_EQ(ended.status, 2) << pointer;
      EXPECT_EQ(Failed().at("cause"), "bad_spec");
    }
    EXPECT_THAT(Failed().at("message"), HasSubstr(why));
    EXPECT_THAT(ended.err, HasSubstr(why));
  }
}

TEST_F(ProgramTest, DamagedOrMissingDataIsADataError) {
  const auto expect = [&](const std::string& why) {
    fs::remove(folder_ / "spool");
    EXPECT_EQ(Run("train").status, 1) << why;
    EXPECT_EQ(Failed().at("cause"), "data_error") << why;
    EXPECT_THAT(Failed().at("message"), HasSubstr(why));
  };
  const fs::path shard = folder_ / "data/train-00000.shard";
  const auto size = fs::file_size(shard);
  fs::resize_file(shard, size / 2);
  expect("train-00000.shard");
  fs::remove(shard);
  expect("train-00000.shard");
  fs::remove(folder_ / "data/manifest.json");
  expect("manifest.json");
}

TEST_F(ProgramTest, AllPairsTooLongIsADataErrorThatNamesTheRemedy) {
  spec_["train"]["max_length"] = 1;
  EXPECT_EQ(Run("train").status, 1);
  EXPECT_THAT(Failed().at("message"), HasSubstr("train.max_length"));
  spec_["train"]["max_length"] = 0;
  spec_["train"]["max_tokens"] = 8;
  fs::remove_all(folder_ / "out");
  fs::remove(folder_ / "spool");
  EXPECT_EQ(Run("train").status, 1);
  EXPECT_THAT(Failed().at("message"), HasSubstr("train.max_tokens"));
}

TEST_F(ProgramTest, TooLittleRoomForACheckpointIsDiskFull) {
  // A limit on the size of files stands for a full disk: write(2) fails in the middle of a checkpoint.
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {.rlim_cur = 20'000, .rlim_max = before.rlim_max};
  WriteJson(folder_ / "spec.json", spec_);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Ended ended = Run("train");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(Failed().at("cause"), "disk_full");
  EXPECT_THAT(Failed().at("message"), AllOf(HasSubstr("best.safetensors"), HasSubstr("Free some space")));
  for (const auto& entry : fs::directory_iterator(folder_ / "out/checkpoints"))
    EXPECT_NE(entry.path().extension(), ".partial");
}

TEST_F(ProgramTest, NoMemoryIsOutOfMemoryWithTheBatchsShape) {
  spec_["model"]["ffn_dim"] = 65536;  // half a gigabyte a layer for the batch of all training pairs
  spec_["train"]["max_tokens"] = 10'000;
  WriteJson(folder_ / "spec.json", spec_);
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  const rlimit small = {.rlim_cur = 5ull << 29, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &small), 0);
  const Ended ended = Run("train");
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(Failed().at("cause"), "out_of_memory") << ended.err;
  EXPECT_THAT(Failed().at("message"), HasSubstr("with a batch of 296 sentences x 11 source and 11 target tokens"));
}

TEST_F(ProgramTest, WrongUsageIsStatusTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"--job", "dance"},
                                             {"--job", "train"},
                                             {"--no-such-option"},
                                             {"--judge", "/no/such/file"},
                                             {"--print-spec", "/no/such/file"},
                                             {"--plan", folder_ / "spec.json"}}) {
    const Ended ended = RunTrainer(arguments);
    EXPECT_EQ(ended.status, 2);
    EXPECT_FALSE(ended.err.empty());
  }
  EXPECT_EQ(Run("evaluate").status, 2);
  const Ended ranks = Run("train", {"--world-size", "2"});
  EXPECT_EQ(ranks.status, 2);
  EXPECT_THAT(ranks.err, HasSubstr("--advertise-address"));
}

TEST_F(ProgramTest, PrintsSpecPlanRegistryAndVerdict) {
  const Ended spec = RunTrainer({"--print-spec", folder_ / "spec.json"});
  EXPECT_THAT(spec.out, HasSubstr("model.scheme=b2t\n"));
  const json plan = json::parse(RunTrainer({"--plan", folder_ / "spec.json", "--dataset", folder_ / "data"}).out);
  EXPECT_EQ(plan.at("vocabulary"), 40);
  EXPECT_GT(plan.at("memory_bytes").at("total"), 4 * plan.at("parameters").get<int64_t>());
  const json registry = json::parse(RunTrainer({"--describe"}).out);
  EXPECT_THAT(registry.at("schemes"), SizeIs(::testing::Ge(3)));
  const Ended verdict = RunTrainer({"--judge", STRATA_SOURCE_DIR "/tests/curves/post_18_s1.jsonl"});
  EXPECT_EQ(verdict.out, "{\"verdict\":\"DIVERGED\",\"rule\":\"vanished\",\"update\":450}\n");
  EXPECT_EQ(verdict.status, 0);
}

}  // namespace
}  // namespace strata::trainer::testing
