// The agent below gRPC with real processes: a coordinator in memory, and a trainer that follows a script.
#include "worker/agent/agent_testing.h"

namespace strata::agent {
namespace {

TEST_F(AgentTest, RunsAJobAndReportsEventsLogAndWeights) {
  StartAgent();
  Assign(Job(R"([["log", "grüße"], ["emit", "progress", {"update": 1}], ["save", "best", 2, "best weights"],
                 ["save", "final", 3, "final weights"], )" FINISHED "]"));
  EXPECT_EQ(Ended().outcome, "succeeded");
  const auto events = Events();
  ASSERT_EQ(events.size(), 5u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["seq"], i + 1);
  EXPECT_EQ(coordinator_.With([&] { return coordinator_.logs[{kJob, 1}]; }), "grüße\n");
  EXPECT_TRUE(coordinator_.With(
      [&] { return coordinator_.uploads["checkpoint_final " + base::Sha256Hex("final weights")].complete; }));
  EXPECT_TRUE(coordinator_.With(
      [&] { return coordinator_.uploads["checkpoint_best " + base::Sha256Hex("best weights")].complete; }));
  EXPECT_TRUE(Soon([&] { return !Exists(state_->AttemptFolder({kJob, 1})); }));
  EXPECT_EQ(stats_.spool_lag_events, 0);
}

TEST_F(AgentTest, SaysHowATrainerEnded) {
  struct Case {
    std::string script;
    std::string outcome, cause, message;
  };
  const std::vector<Case> cases = {
      {R"([["log", "about to fail"], ["crash", 11]])", "failed", "crashed", "SIGSEGV"},
      {R"([["log", "about to fail"], ["crash", 9]])", "failed", "crashed", "maybe by the kernel for want of memory"},
      {R"([["exit", 1]])", "failed", "crashed", "exit status 1"},
      {R"([["exit", 2]])", "failed", "start_failed", "refused its command line or spec"},
      {R"([["emit", "failed", {"cause": "out_of_memory", "message": "no memory for 9 x 9"}], ["exit", 1]])", "failed",
       "out_of_memory", "9 x 9"},
      {R"([["emit", "finished", {"state": "diverged"}]])", "diverged", "", ""},
      {"[" FINISHED R"(, ["crash", 11]])", "succeeded", "", ""},
      {R"([["emit", "stopped", {"update": 5}]])", "stopped", "", ""},
      {R"([["torn"], ["exit", 1]])", "failed", "crashed", "without a last event"},
  };
  StartAgent();
  for (size_t i = 0; i < cases.size(); ++i) {
    Assign(Job(cases[i].script, static_cast<int>(i) + 1));
    const Completion end = Ended(static_cast<int>(i) + 1);
    EXPECT_EQ(end.outcome, cases[i].outcome) << i;
    EXPECT_EQ(end.cause, cases[i].cause) << i;
    EXPECT_THAT(end.message, HasSubstr(cases[i].message)) << i;
  }
  EXPECT_THAT(coordinator_.With([&] {
    return coordinator_.completions[{kJob, 1}].message;
  }),
              HasSubstr("about to fail"));
}

TEST_F(AgentTest, AMissingDatasetIsNamedWithARemedy) {
  StartAgent();
  Assignment a = Job("[" FINISHED "]");
  a.dataset = "datasets/other";
  Assign(a);
  const Completion end = Ended();
  EXPECT_EQ(end.cause, "dataset_missing");
  EXPECT_THAT(end.message, HasSubstr("datasets/other"));
  EXPECT_THAT(end.message, HasSubstr("strata data add"));
}

TEST_F(AgentTest, ATrainerThatCannotBeExecutedIsAStartFailure) {
  StartAgent();
  Assignment a = Job("[" FINISHED "]");
  a.ranks = {{0, 7}};
  Assign(a);
  EXPECT_EQ(Ended().cause, "start_failed");
}

TEST_F(AgentTest, StopsWithACheckpointAndUploadsIt) {
  StartAgent();
  Assign(Job(R"([["wait"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  coordinator_.With([&] { coordinator_.assigned[0].stop = coordinator_.assigned[0].checkpoint = true; });
  EXPECT_EQ(Ended().outcome, "stopped");
  EXPECT_TRUE(coordinator_.With(
      [&] { return coordinator_.uploads["checkpoint_resumable " + base::Sha256Hex("state at 77")].complete; }));
}

TEST_F(AgentTest, KillsATrainerThatDoesNotStopInTime) {
  StartAgent();
  Assign(Job(R"([["hang"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // let it ignore the signal
  coordinator_.With([&] { coordinator_.assigned[0].stop = coordinator_.assigned[0].checkpoint = true; });
  EXPECT_EQ(Ended().outcome, "stopped");
}

TEST_F(AgentTest, AFencedAttemptIsKilledAndNothingMoreIsSaid) {
  StartAgent();
  Assign(Job(R"([["ticks", 100000, 5]])"));
  ASSERT_TRUE(Soon([&] { return coordinator_.events[{{kJob, 1}, 0}].size() > 3; }));
  const pid_t pid = Events()[0]["pid"];
  coordinator_.With([&] { coordinator_.stale.insert({kJob, 1}); });  // known by ReportEvents only: it is still assigned
  EXPECT_TRUE(Soon([&] { return !Alive(pid); }));
  EXPECT_TRUE(Soon([&] { return stats_.attempts_fenced == 1; }));
  EXPECT_TRUE(Soon([&] { return !Exists(state_->SpoolPath({kJob, 1}, 0)); }));
  EXPECT_TRUE(coordinator_.With([&] { return coordinator_.completions.empty(); }));
}

TEST_F(AgentTest, WhatIsNotAssignedIsKilledAndTheNextAttemptStartsAfterIt) {
  StartAgent();
  Assign(Job(R"([["hang"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  const pid_t pid = Events()[0]["pid"];
  coordinator_.With([&] { coordinator_.assigned = {Job("[" FINISHED "]", 2)}; });
  EXPECT_EQ(Ended(2).outcome, "succeeded");
  EXPECT_FALSE(Alive(pid));
  EXPECT_FALSE(coordinator_.With([&] { return coordinator_.completions.contains({kJob, 1}); }));
}

TEST_F(AgentTest, TrainersGoOnWhileTheCoordinatorIsAway) {
  StartAgent();
  Assign(Job(R"([["ticks", 200, 5], )" FINISHED "]"));
  ASSERT_TRUE(Soon([&] { return coordinator_.events[{{kJob, 1}, 0}].size() > 3; }));
  coordinator_.With([&] { coordinator_.away = true; });
  std::this_thread::sleep_for(std::chrono::milliseconds(1800));  // three lease times; the trainer ends meanwhile
  coordinator_.With([&] {
    coordinator_.away = false;
    coordinator_.knows_session = false;
  });
  EXPECT_EQ(Ended().outcome, "succeeded");
  EXPECT_EQ(Events().size(), 202u);
  EXPECT_GE(coordinator_.registrations, 2);
}

TEST_F(AgentTest, ARestartedAgentAdoptsItsTrainers) {
  StartAgent();
  Assign(Job(R"([["ticks", 200, 5], ["save", "final", 3, "final weights"], )" FINISHED "]"));
  ASSERT_TRUE(Soon([&] { return coordinator_.events[{{kJob, 1}, 0}].size() > 3; }));
  const pid_t pid = Events()[0]["pid"];
  Kill();
  EXPECT_TRUE(Alive(pid));
  StartAgent();
  EXPECT_EQ(Ended().outcome, "succeeded");
  const auto events = Events();
  ASSERT_EQ(events.size(), 203u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["seq"], i + 1);
  EXPECT_EQ(events[0]["pid"], pid);
  EXPECT_TRUE(coordinator_.With(
      [&] { return coordinator_.uploads["checkpoint_final " + base::Sha256Hex("final weights")].complete; }));
}

TEST_F(AgentTest, ARestartedAgentEndsWhatIsNotAssignedAnyMore) {
  StartAgent();
  Assign(Job(R"([["hang"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  const pid_t pid = Events()[0]["pid"];
  Kill();
  coordinator_.With([&] { coordinator_.assigned.clear(); });
  StartAgent();
  EXPECT_TRUE(Soon([&] { return !Alive(pid); }));
}

TEST_F(AgentTest, ATrainerThatDiedWhileNoAgentWatchedIsReported) {
  StartAgent();
  Assign(Job(R"([["hang"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  const pid_t pid = Events()[0]["pid"];
  Kill();
  ::kill(pid, SIGKILL);
  StartAgent();
  EXPECT_EQ(Ended().cause, "crashed");
}

TEST_F(AgentTest, AChunkThatArrivesDamagedIsSentAgain) {
  coordinator_.spoiled_chunks = 2;
  StartAgent();
  Assign(Job(R"([["save", "final", 3, "weights"], )" FINISHED "]"));
  EXPECT_EQ(Ended().outcome, "succeeded");
  EXPECT_TRUE(coordinator_.With(
      [&] { return coordinator_.uploads["checkpoint_final " + base::Sha256Hex("weights")].complete; }));
}

TEST_F(AgentTest, AnUploadGoesOnWhereItWasCutOff) {
  coordinator_.broken_chunks = 2;
  StartAgent();
  const std::string weights(3 << 20, 'w');
  Assign(Job(R"([["save", "final", 3, ")" + weights + R"("], )" FINISHED "]"));
  EXPECT_EQ(Ended().outcome, "succeeded");
  const auto upload =
      coordinator_.With([&] { return coordinator_.uploads["checkpoint_final " + base::Sha256Hex(weights)]; });
  EXPECT_TRUE(upload.complete);
  EXPECT_EQ(upload.data.size(), weights.size());
}

TEST_F(AgentTest, ResumesFromTheNamedCheckpointAndFromNoNewerOne) {
  StartAgent();
  Assign(Job(R"([["checkpoint", 100, "state at 100"], ["checkpoint", 200, "state at 200"], ["exit", 1]])"));
  EXPECT_EQ(Ended().outcome, "failed");
  Assignment second = Job("[" FINISHED "]", 2);
  second.checkpoint_from.artifact = "experiments/e-1/trials/t1/artifacts/a1";
  second.checkpoint_from.sha256 = base::Sha256Hex("state at 100");
  second.checkpoint_from.file_name = "update-00000100.safetensors";
  Assign(second);
  EXPECT_EQ(Ended(2).outcome, "succeeded");
  EXPECT_EQ(Events(2)[0]["found"], json::array({"update-00000100.safetensors"}));
  EXPECT_EQ(coordinator_.With([&] { return coordinator_.streams; }), 1);  // the dataset's; the checkpoint was here
}

TEST_F(AgentTest, FetchesACheckpointThatItLacksAndStartsAnewWithoutOne) {
  StartAgent();
  Assignment first = Job(R"([["checkpoint", 200, "state at 200"], ["exit", 1]])", 3);
  first.checkpoint_from.artifact = "experiments/e-1/trials/t1/artifacts/a1";
  first.checkpoint_from.sha256 = base::Sha256Hex("state at 100");
  first.checkpoint_from.file_name = "update-00000100.safetensors";
  coordinator_.With([&] {
    coordinator_.files[first.checkpoint_from.artifact] = "state at 100";
    coordinator_.bytes_a_stream = 5;
  });
  Assign(first);
  Ended(3);
  EXPECT_EQ(Events(3)[0]["found"], json::array({"update-00000100.safetensors"}));
  Assign(Job("[" FINISHED "]", 4));
  Ended(4);
  EXPECT_EQ(Events(4)[0]["found"], json());
}

TEST_F(AgentTest, OneRanksDeathEndsTheOthers) {
  StartAgent();
  Assignment a = Job(R"({"0": [["hang"]], "1": [["sleep", 100], ["log", "rank one dies"], ["crash", 6]]})");
  a.ranks = {{0, 0}, {1, 1}};
  a.world_size = 2;
  Assign(a);
  const Completion end = Ended();
  EXPECT_EQ(end.cause, "crashed");
  EXPECT_THAT(end.message, HasSubstr("rank 1"));
  EXPECT_THAT(end.message, HasSubstr("SIGABRT"));
  EXPECT_THAT(coordinator_.With([&] { return coordinator_.logs[{kJob, 1}]; }), HasSubstr("[rank 1] rank one dies"));
}

TEST_F(AgentTest, PassesTheRendezvousToTheOtherRanks) {
  StartAgent();
  Assignment a = Job(R"({"0": [["emit", "rendezvous", {"host": "127.0.0.1", "port": 4711}], ["sleep", 300], )" FINISHED
                     R"(], "1": [["wait_rendezvous"], )" FINISHED "]}");
  a.ranks = {{0, 0}, {1, 1}};
  a.world_size = 2;
  Assign(a);
  ASSERT_TRUE(Soon([&] { return coordinator_.events[{{kJob, 1}, 0}].size() >= 2; }));
  coordinator_.With([&] { coordinator_.assigned[0].rendezvous = "127.0.0.1:4711"; });
  EXPECT_EQ(Ended().outcome, "succeeded");
  EXPECT_EQ(Events(1, 1)[1]["message"], "rendezvous 127.0.0.1 4711\n");
}

TEST_F(AgentTest, LeavesGracefully) {
  StartAgent();
  Assign(Job(R"([["wait"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  agent_->Leave();
  runner_.join();
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_EQ(Ended().outcome, "stopped");
  EXPECT_TRUE(coordinator_.left);
  agent_.reset();
}

TEST_F(AgentTest, ANameThatIsTakenEndsTheAgent) {
  coordinator_.register_error = absl::AlreadyExistsError("the name w1 belongs to another worker");
  StartAgent();
  runner_.join();
  EXPECT_EQ(status_.code(), absl::StatusCode::kAlreadyExists);
  agent_.reset();
}

TEST_F(AgentTest, ASpoolThatIsNoSpoolFailsTheAttempt) {
  StartAgent();
  Assign(Job(R"([["emit", "progress", {"update": 1}], ["torn"], ["emit", "progress", {"update": 2}], ["hang"]])"));
  const Completion end = Ended();
  EXPECT_EQ(end.cause, "internal");
  EXPECT_THAT(end.message, HasSubstr("rank-0.spool"));
}

}  // namespace
}  // namespace strata::agent
