// Attempts of several ranks on one worker: what is told of their end, ranks that hang, a worker that is drained.
#include "absl/strings/str_cat.h"
#include "worker/agent/agent_testing.h"
#include "worker/agent/stall.h"

namespace strata::agent {
namespace {

using ::testing::Contains;
using ::testing::Not;

#define LOST R"(["emit", "failed", {"cause": "rank_lost", "message": "the other went away"}], ["exit", 1])"

class GangAttemptTest : public AgentTest {
 protected:
  // `scripts`: of the ranks here; `first`: rank of the first of them.
  Assignment Gang(const std::vector<std::string>& scripts, int world_size = 2, int first = 0) {
    std::string all;
    for (size_t i = 0; i < scripts.size(); ++i) {
      absl::StrAppend(&all, i == 0 ? "{" : ", ", "\"", first + static_cast<int>(i), "\": ", scripts[i]);
    }
    Assignment a = Job(all + "}");
    a.ranks.clear();
    for (int i = 0; i < static_cast<int>(scripts.size()); ++i) a.ranks.push_back({first + i, i});
    a.world_size = world_size;
    return a;
  }
  // Sets resources.stall_seconds.
  static Assignment Patient(Assignment a, double seconds) {
    json spec = json::parse(a.spec_json);
    spec["resources"]["stall_seconds"] = seconds;
    a.spec_json = spec.dump();
    return a;
  }
};

TEST_F(GangAttemptTest, ACrashIsTheCauseNotItsPeersLoss) {
  StartAgent();
  // The peer is seen to end first (the signal that follows ends the other's sleep); the crash has its own cause all the
  // same.
  Assign(Gang({R"([["collective", 7, "update 3, sums"], ["sleep", 1000], )" LOST "]",
               R"([["collective", 6, "update 2, sums"], ["sleep", 5000], ["emit", "failed",
                   {"cause": "out_of_memory", "message": "no memory for 9 x 9"}], ["exit", 1]])"}));
  const Completion end = Ended();
  EXPECT_EQ(end.outcome, "failed");
  EXPECT_EQ(end.cause, "out_of_memory");
  EXPECT_THAT(end.message, HasSubstr("9 x 9"));
  ASSERT_EQ(end.positions.size(), 2u);
  EXPECT_EQ(end.positions[0].sequence, 7);
  EXPECT_EQ(end.positions[0].name, "update 3, sums");
  EXPECT_EQ(end.positions[1].rank, 1);
  EXPECT_EQ(end.positions[1].sequence, 6);
}

TEST_F(GangAttemptTest, ALossIsTheCauseWhereNobodyHereCrashed) {
  StartAgent();
  Assign(Gang({"[" LOST "]", R"([["wait"]])"}, 3));
  EXPECT_EQ(Ended().cause, "rank_lost");
}

TEST_F(GangAttemptTest, OfAFencedPartItIsToldOnceHowItEnded) {
  StartAgent();
  Assign(Gang({R"([["collective", 9, "update 4, sums"], ["hang"]])"}, 2, 1));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 1}].empty(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  coordinator_.With([&] { coordinator_.assigned.clear(); });
  const Completion end = Ended();
  EXPECT_EQ(end.outcome, "failed");
  EXPECT_EQ(end.cause, "rank_lost");
  ASSERT_EQ(end.positions.size(), 1u);
  EXPECT_EQ(end.positions[0].rank, 1);
  EXPECT_EQ(end.positions[0].name, "update 4, sums");
  EXPECT_TRUE(Soon([&] { return stats_.attempts_fenced == 1; }));
}

TEST_F(GangAttemptTest, RanksThatMakeNoProgressAreKilled) {
  StartAgent();
  const std::string begun = R"(["emit", "progress", {"update": 5, "seconds_per_update": 0.1}])";
  Assign(Patient(Gang({"[" + begun + R"(, ["hang"]])", R"([["hang"]])"}), 0.3));
  const Completion end = Ended();
  EXPECT_EQ(end.cause, "stalled");
  EXPECT_THAT(end.message, HasSubstr("resources.stall_seconds"));
  EXPECT_FALSE(Alive(Events(1, 0)[0]["pid"]));
  EXPECT_FALSE(Alive(Events(1, 1)[0]["pid"]));
}

TEST_F(GangAttemptTest, ARankAloneThatIsSuspendedIsNamed) {
  StartAgent();
  Assign(Patient(Job(R"([["ticks", 100000, 5]])"), 0.5));
  ASSERT_TRUE(Soon([&] { return coordinator_.events[{{kJob, 1}, 0}].size() > 3; }));
  const pid_t pid = Events()[0]["pid"];
  ::kill(pid, SIGSTOP);
  const Completion end = Ended();
  EXPECT_EQ(end.cause, "stalled");
  EXPECT_THAT(end.message, HasSubstr("Rank 0 is suspended"));
  EXPECT_TRUE(end.positions.empty());
  EXPECT_FALSE(Alive(pid));
}

TEST_F(GangAttemptTest, APositionSaysThatItsRankWasSuspended) {
  StartAgent();
  Assign(Gang(
      {R"([["collective", 7, "update 3, sums"], ["hang"]])", R"([["collective", 7, "update 3, sums"], ["hang"]])"}));
  ASSERT_TRUE(Soon([&] {
    return coordinator_.events.contains({{kJob, 1}, 1}) && coordinator_.events.contains({{kJob, 1}, 0});
  }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const pid_t pid = Events(1, 1)[0]["pid"];
  ::kill(pid, SIGSTOP);
  while (!IsSuspended(*Identify(pid))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  coordinator_.With([&] { coordinator_.assigned.clear(); });  // the other worker has completed it
  const Completion end = Ended();
  ASSERT_EQ(end.positions.size(), 2u);
  EXPECT_EQ(end.positions[0].name, "update 3, sums");
  EXPECT_EQ(end.positions[1].name, "update 3, sums, suspended");
}

TEST_F(GangAttemptTest, ADrainedWorkerLeavesOnceNothingRuns) {
  StartAgent();
  Assign(Job(R"([["wait"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  coordinator_.With([&] {
    coordinator_.leave = true;
    coordinator_.assigned[0].stop = coordinator_.assigned[0].checkpoint = true;
  });
  EXPECT_EQ(Ended().outcome, "stopped");
  runner_.join();
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_TRUE(coordinator_.left);
  agent_.reset();
}

TEST_F(GangAttemptTest, OnlyRankZerosWorkerFetchesTheCheckpoint) {
  StartAgent();
  Assignment a = Gang({"[" FINISHED "]"}, 2, 1);
  a.checkpoint_from = {"experiments/e-1/trials/t1/artifacts/none", base::Sha256Hex("x"), "update-00000100.safetensors"};
  Assign(a);
  EXPECT_EQ(Ended().outcome, "succeeded");
}

TEST(TrainerCommandTest, SeveralRanksGetAnAddressAndAFileAndOnlyTheFirstTheWeights) {
  const std::string folder = ::testing::TempDir() + "/command-" + std::to_string(::getpid());
  {
    const auto state = StateDir::Open(folder);
    ASSERT_TRUE(state.ok());
    const TrainerOptions trainer{.program = "trainer", .advertise = "10.0.0.7"};
    Assignment a{.id = {kJob, 1}, .kind = JobKind::kEvaluate, .world_size = 2};
    const Prepared prepared{.weights = {"w"}};
    const auto arguments = [&](int rank) { return TrainerCommand(trainer, *state, a, prepared, rank, {}).arguments; };
    EXPECT_THAT(arguments(0), Contains("10.0.0.7"));
    EXPECT_THAT(arguments(0), Contains("--checkpoint"));
    EXPECT_THAT(arguments(1), Contains(state->CollectivesPath(a.id, 1)));
    EXPECT_THAT(arguments(1), Not(Contains("--checkpoint")));
    a.world_size = 1;
    EXPECT_THAT(arguments(0), Not(Contains("--advertise-address")));
  }
  RemoveTree(folder);
}

TEST(StallWatchTest, CountsTheTimeWithoutASignOfLife) {
  StallWatch watch(absl::Seconds(3), absl::Minutes(10));
  for (int i = 0; i < 599; ++i) watch.Step(0, absl::Seconds(1));
  EXPECT_FALSE(watch.stalled());  // the start takes its time
  watch.Step(10, absl::Seconds(1));
  watch.Pace(0.2);
  watch.Step(10, absl::Hours(8));  // the machine slept
  watch.Step(10, absl::Seconds(1));
  EXPECT_FALSE(watch.stalled());
  watch.Step(11, absl::Seconds(1));
  for (int i = 0; i < 2; ++i) watch.Step(11, absl::Seconds(1));
  EXPECT_FALSE(watch.stalled());
  watch.Step(11, absl::Seconds(1));
  EXPECT_TRUE(watch.stalled());
  EXPECT_THAT(watch.Explain(), HasSubstr("3 s"));
}

TEST(StallWatchTest, TheDefaultIsAMinuteOrFiveMedianUpdates) {
  StallWatch watch(absl::ZeroDuration(), absl::Minutes(10));
  EXPECT_EQ(watch.limit(), absl::Minutes(10));
  watch.Pace(0);
  EXPECT_EQ(watch.limit(), absl::Minutes(10));
  watch.Begun();
  EXPECT_EQ(watch.limit(), absl::Seconds(60));
  for (const double seconds : {30.0, 1000.0, 29.0, 31.0, 0.1}) watch.Pace(seconds);
  EXPECT_EQ(watch.limit(), absl::Seconds(150));
  EXPECT_EQ(StallLimit(R"({"resources": {"stall_seconds": 7}})"), absl::Seconds(7));
  EXPECT_EQ(StallLimit("{}"), absl::ZeroDuration());
}

}  // namespace
}  // namespace strata::agent
