// What the agent's tests share: an agent with real processes, a coordinator in memory, and a trainer that follows a
// script.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/base/sha256.h"
#include "worker/agent/agent.h"
#include "worker/agent/fake_coordinator.h"
#include "worker/agent/file.h"

namespace strata::agent {

using nlohmann::json;
using ::testing::HasSubstr;

inline constexpr char kJob[] = "experiments/e-1/trials/t1/jobs/train";

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    folder_ = ::testing::TempDir() + "/agent-" + std::to_string(::getpid()) + "-" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    RemoveTree(folder_);
    const std::string text = "hello shard";
    const std::string hash = base::Sha256Hex(text);
    digest_ = base::Sha256Hex("train.shard " + hash + "\n");
    const json file = {{"path", "train.shard"}, {"bytes", text.size()}, {"sha256", hash}};
    const json manifest = {{"files", json::array({file})}};
    coordinator_.datasets["datasets/d"] = {digest_, manifest.dump()};
    coordinator_.files["datasets/d/train.shard"] = text;
  }

  void TearDown() override {
    Kill();
    for (const AttemptRecord& record : state_ ? state_->Load() : std::vector<AttemptRecord>()) {
      for (const RankRecord& rank : record.ranks) SignalGroup(rank.process, SIGKILL);
    }
    state_.reset();
    RemoveTree(folder_);
  }

  void StartAgent() {
    auto state = StateDir::Open(folder_);
    ASSERT_TRUE(state.ok()) << state.status();
    state_ = std::make_unique<StateDir>(*std::move(state));
    agent_ = std::make_unique<Agent>(options_, coordinator_, *state_, stats_);
    runner_ = std::thread([this] { status_ = agent_->Run(); });
  }

  // What kill -9 does to an agent: its threads end, its trainers go on.
  void Kill() {
    if (!agent_) return;
    coordinator_.With([&] {
      coordinator_.register_error = absl::InvalidArgumentError("test is over");
      coordinator_.knows_session = false;
      coordinator_.away = false;
    });
    runner_.join();
    agent_.reset();
    state_.reset();
    coordinator_.With([&] { coordinator_.register_error = absl::OkStatus(); });
  }

  Assignment Job(const std::string& script, int attempt = 1, JobKind kind = JobKind::kTrain) {
    Assignment a;
    a.id = {kJob, attempt};
    a.kind = kind;
    a.ranks = {{0, 0}};
    a.spec_json = "{\"script\": " + script + ", \"resources\": {\"threads\": 1}}";
    a.dataset = "datasets/d";
    a.dataset_digest = digest_;
    return a;
  }

  void Assign(const Assignment& a) {
    coordinator_.With([&] { coordinator_.assigned.push_back(a); });
  }

  template <typename F>
  ::testing::AssertionResult Soon(F holds) {
    for (int i = 0; i < 3000; ++i) {
      if (coordinator_.With([&] { return static_cast<bool>(holds()); })) return ::testing::AssertionSuccess();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return ::testing::AssertionFailure() << "not within 15 s";
  }

  Completion Ended(int attempt = 1) {
    EXPECT_TRUE(Soon([&] { return coordinator_.completions.contains({kJob, attempt}); }));
    return coordinator_.With([&] { return coordinator_.completions[{kJob, attempt}]; });
  }

  std::vector<json> Events(int attempt = 1, int rank = 0) {
    std::vector<json> list;
    for (const std::string& line : coordinator_.With([&] { return coordinator_.events[{{kJob, attempt}, rank}]; })) {
      list.push_back(json::parse(line));
    }
    return list;
  }

  bool Alive(pid_t pid) { return Identify(pid).has_value(); }

  AgentOptions options_{.slots = ShareOut(AllowedCores(), 2),
                        .trainer = {.program = STRATA_BINARY_DIR "/tests/fake-trainer"},
                        .patience = absl::Milliseconds(1500),
                        .grace = absl::Milliseconds(200),
                        .farewell = absl::Seconds(10)};
  std::string folder_, digest_;
  FakeCoordinator coordinator_;
  Stats stats_;
  std::unique_ptr<StateDir> state_;
  std::unique_ptr<Agent> agent_;
  std::thread runner_;
  absl::Status status_;
};

#define FINISHED R"(["emit", "finished", {"state": "succeeded", "updates": 3}])"

}  // namespace strata::agent
