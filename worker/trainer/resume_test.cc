// A training that is interrupted ends in the same bits, and tells the same measurements, as one that is not. The real
// program, killed and stopped at many moments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>

#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteDataset(folder_ / "data");
    spec_ = SmallSpec();
    spec_["train"]["checkpoint_every"] = 7;
    WriteJson(folder_ / "spec.json", spec_);
  }

  std::vector<std::string> Arguments(const std::string& name, int attempt, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"--spec",    folder_ / "spec.json", "--job",     "train",
                                          "--dataset", folder_ / "data",      "--out",     folder_ / name,
                                          "--spool",   Spool(name, attempt),  "--attempt", std::to_string(attempt)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  fs::path Spool(const std::string& name, int attempt) {
    return folder_ / (name + "." + std::to_string(attempt) + ".jsonl");
  }

  int Train(const std::string& name, int attempt, std::vector<std::string> more = {}) {
    const Ended ended = RunTrainer(Arguments(name, attempt, std::move(more)));
    last_error_ = ended.err;
    return ended.status;
  }

  // Update -> its rows, the latest attempt's winning, as the coordinator keeps them.
  std::map<int64_t, json> Rows(const std::string& name, int attempts) {
    std::map<int64_t, json> rows;
    for (int attempt = 1; attempt <= attempts; ++attempt) {
      for (const json& event : OfType(ReadEvents(Spool(name, attempt)), "measurements")) {
        json& row = rows[event.at("update")];
        row["vectors"] = event.at("vectors");
        row["scalars"] = event.at("scalars");
      }
    }
    return rows;
  }
  json LastEvent(const std::string& name, int attempt) {
    const auto events = ReadEvents(Spool(name, attempt));
    return events.empty() ? json() : events.back();
  }
  // Waits until the spool has a row of an update >= `update`; then signals.
  void SignalAt(pid_t pid, const fs::path& spool, int64_t lines, int signal) {
    for (int tries = 0; tries < 60'000; ++tries) {
      if (static_cast<int64_t>(ReadEvents(spool).size()) >= lines) break;
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    ::kill(pid, signal);
  }

  void ExpectSameAsUndisturbed(const std::string& name, int attempts) {
    const json finished = LastEvent(name, attempts), expected = LastEvent("whole", 1);
    ASSERT_EQ(finished.at("type"), "finished") << finished << last_error_;
    for (const char* field : {"state", "updates", "weights_sha256", "best_nll", "final_nll"})
      EXPECT_EQ(finished.at(field), expected.at(field)) << name << " " << field;
    EXPECT_EQ(Rows(name, attempts), Rows("whole", 1)) << name;
  }

  ScratchFolder folder_;
  json spec_;
  std::string last_error_;
};

TEST_F(ResumeTest, AnUndisturbedTrainingIsTheSameTwice) {
  ASSERT_EQ(Train("whole", 1), 0) << last_error_;
  ASSERT_EQ(Train("again", 1), 0) << last_error_;
  ExpectSameAsUndisturbed("again", 1);
  EXPECT_THAT(Rows("whole", 1), SizeIs(12));  // 0, by 4, by 5, by 6, and 24
}

TEST_F(ResumeTest, KilledAtAnyMomentItEndsInTheSameBits) {
  ASSERT_EQ(Train("whole", 1), 0) << last_error_;
  const auto total = static_cast<int64_t>(ReadEvents(Spool("whole", 1)).size());
  int killed = 0;
  for (int64_t lines = 1; lines < total; lines += 2) {
    const std::string name = "killed" + std::to_string(lines);
    const pid_t pid = StartTrainer(Arguments(name, 1), folder_ / "log");
    SignalAt(pid, Spool(name, 1), lines, SIGKILL);
    if (WaitFor(pid) == 128 + SIGKILL) ++killed;
    ASSERT_EQ(Train(name, 2, {"--resume"}), 0) << last_error_;
    ExpectSameAsUndisturbed(name, 2);
  }
  EXPECT_GE(killed, 5);
}

TEST_F(ResumeTest, StoppedAtAnyMomentItEndsInTheSameBits) {
  ASSERT_EQ(Train("whole", 1), 0) << last_error_;
  const auto total = static_cast<int64_t>(ReadEvents(Spool("whole", 1)).size());
  int stopped = 0;
  for (int64_t lines = 1; lines < total - 2; lines += 2) {
    const std::string name = "stopped" + std::to_string(lines);
    int attempt = 1;
    // Stopped, resumed and stopped again a little later, then to the end.
    for (int64_t at : {lines, int64_t{4}}) {
      const pid_t pid = StartTrainer(Arguments(name, attempt, {"--resume"}), folder_ / "log");
      SignalAt(pid, Spool(name, attempt), at, SIGTERM);
      ASSERT_EQ(WaitFor(pid), 0);
      const json last = LastEvent(name, attempt);
      if (last.at("type") == "finished") break;
      ASSERT_EQ(last.at("type"), "stopped");
      EXPECT_TRUE(fs::exists(folder_ / name / last.at("file").get<std::string>()));
      ++stopped;
      ++attempt;
    }
    if (LastEvent(name, attempt).is_null()) {
      ASSERT_EQ(Train(name, attempt, {"--resume"}), 0) << last_error_;
    }
    ExpectSameAsUndisturbed(name, attempt);
  }
  EXPECT_GE(stopped, 5);
}

TEST_F(ResumeTest, ADamagedCheckpointIsPassedOverForTheOneBefore) {
  ASSERT_EQ(Train("whole", 1), 0);
  fs::copy(folder_ / "whole", folder_ / "damaged", fs::copy_options::recursive);
  const fs::path newest = folder_ / "damaged" / "checkpoints/update-00000024.safetensors";
  std::fstream(newest, std::ios::in | std::ios::out | std::ios::binary).seekp(-100, std::ios::end).write("x", 1);
  ASSERT_EQ(Train("damaged", 2, {"--resume"}), 0) << last_error_;
  const auto events = ReadEvents(Spool("damaged", 2));
  EXPECT_EQ(OfType(events, "started")[0].at("resumed_from"), 21);
  ASSERT_THAT(OfType(events, "warning"), SizeIs(1));
  EXPECT_THAT(OfType(events, "warning")[0].at("message"), HasSubstr("update-00000024"));
  EXPECT_EQ(events.back().at("weights_sha256"), LastEvent("whole", 1).at("weights_sha256"));
}

TEST_F(ResumeTest, WithoutAnIndexTheFilesOwnHashesAreHeld) {
  ASSERT_EQ(Train("whole", 1), 0);
  const fs::path checkpoints = folder_ / "whole" / "checkpoints";
  fs::remove(checkpoints / "index.json");
  std::fstream(checkpoints / "update-00000024.safetensors", std::ios::in | std::ios::out | std::ios::binary)
      .seekp(-100, std::ios::end)
      .write("x", 1);
  ASSERT_EQ(Train("whole", 2, {"--resume"}), 0) << last_error_;
  EXPECT_EQ(OfType(ReadEvents(Spool("whole", 2)), "started")[0].at("resumed_from"), 21);
  EXPECT_EQ(LastEvent("whole", 2).at("weights_sha256"), LastEvent("whole", 1).at("weights_sha256"));
}

TEST_F(ResumeTest, WhatAKilledTrainerLeftHalfWrittenIsRemoved) {
  ASSERT_EQ(Train("whole", 1), 0);
  const fs::path partial = folder_ / "whole/checkpoints/update-00000028.safetensors.partial";
  std::ofstream(partial) << "half";
  ASSERT_EQ(Train("whole", 2, {"--resume"}), 0) << last_error_;
  EXPECT_FALSE(fs::exists(partial));
}

TEST_F(ResumeTest, NoIntactCheckpointIsAFailureWithItsCause) {
  ASSERT_EQ(Train("whole", 1), 0);
  for (const auto& entry : fs::directory_iterator(folder_ / "whole" / "checkpoints")) {
    if (entry.path().filename().string().starts_with("update-")) fs::resize_file(entry.path(), 1000);
  }
  EXPECT_EQ(Train("whole", 2, {"--resume"}), 1);
  EXPECT_EQ(LastEvent("whole", 2).at("cause"), "checkpoint_corrupt");
  EXPECT_THAT(OfType(ReadEvents(Spool("whole", 2)), "warning"), SizeIs(2));
}

TEST_F(ResumeTest, ACheckpointOfAnotherSpecIsRefused) {
  ASSERT_EQ(Train("whole", 1), 0);
  spec_["train"]["learning_rate"] = 0.002;
  WriteJson(folder_ / "spec.json", spec_);
  EXPECT_EQ(Train("whole", 2, {"--resume"}), 2);
  EXPECT_EQ(LastEvent("whole", 2).at("cause"), "bad_spec");
  EXPECT_THAT(LastEvent("whole", 2).at("message"), HasSubstr("train.learning_rate is 0.005 there and 0.002 here"));
}

TEST_F(ResumeTest, CheckpointsAreNeverOverwrittenUnasked) {
  ASSERT_EQ(Train("whole", 1), 0);
  EXPECT_EQ(Train("whole", 2), 2);
  EXPECT_THAT(LastEvent("whole", 2).at("message"), HasSubstr("--resume"));
}

TEST_F(ResumeTest, OtherThreadsAreSaid) {
  ASSERT_EQ(Train("whole", 1), 0);
  ASSERT_EQ(Train("whole", 2, {"--resume", "--threads", "2"}), 0) << last_error_;
  const auto warnings = OfType(ReadEvents(Spool("whole", 2)), "warning");
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_THAT(warnings[0].at("message"), HasSubstr("threads 1 there and 2 here"));
}

std::string Ask(const fs::path& socket, const std::string& line) {
  const int connection = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {.sun_family = AF_UNIX};
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  for (int tries = 0; ::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0; ++tries) {
    if (tries > 5000) return "no connection";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  (void)!::write(connection, (line + "\n").data(), line.size() + 1);
  char answer[256] = {};
  (void)!::read(connection, answer, sizeof answer - 1);
  ::close(connection);
  return answer;
}

TEST_F(ResumeTest, ControlSocketTakesCheckpointAndStop) {
  ASSERT_EQ(Train("whole", 1), 0);
  spec_["train"]["checkpoint_every"] = 0;
  WriteJson(folder_ / "spec.json", spec_);
  const pid_t pid = StartTrainer(Arguments("asked", 1, {"--control", folder_ / "control"}), folder_ / "log");
  EXPECT_THAT(Ask(folder_ / "control", "dance"), HasSubstr("error"));
  EXPECT_EQ(Ask(folder_ / "control", "checkpoint"), "ok\n");
  EXPECT_EQ(Ask(folder_ / "control", "rendezvous 10.0.0.1 4711"), "ok\n");
  EXPECT_THAT(Ask(folder_ / "control", "rendezvous 10.0.0.1 99999"), HasSubstr("error"));
  EXPECT_EQ(Ask(folder_ / "control", "stop"), "ok\n");
  ASSERT_EQ(WaitFor(pid), 0);
  EXPECT_FALSE(fs::exists(folder_ / "control"));
  ASSERT_EQ(Train("asked", 2, {"--resume"}), 0) << last_error_;
  ExpectSameAsUndisturbed("asked", 2);
}

TEST_F(ResumeTest, KeepsTheLastTwoCheckpointsAndAnIndexOfAll) {
  ASSERT_EQ(Train("whole", 1), 0);
  const json index = json::parse(std::ifstream(folder_ / "whole" / "checkpoints/index.json"));
  std::map<std::string, std::string> kinds;
  for (const json& entry : index.at("checkpoints")) {
    kinds[entry.at("file")] = entry.at("kind");
    EXPECT_EQ(fs::file_size(folder_ / "whole" / "checkpoints" / entry.at("file").get<std::string>()),
              entry.at("bytes"));
  }
  EXPECT_EQ(kinds, (std::map<std::string, std::string>{{"update-00000021.safetensors", "resumable"},
                                                       {"update-00000024.safetensors", "resumable"},
                                                       {"best.safetensors", "best"},
                                                       {"final.safetensors", "final"}}));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_ / "whole" / "checkpoints")) ++files;
  EXPECT_EQ(files, 5u);
}

}  // namespace
}  // namespace strata::trainer::testing
