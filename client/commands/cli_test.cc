// The program itself, as a person calls it: what it prints and how it ends.
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "client/commands/fake_coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Outcome {
  int status = 0;
  std::string out;  // standard output
  std::string err;  // standard error
};

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Runs `strata ARGUMENTS` in a fresh folder with a STRATA_HOME of its own.
class CliTest : public testing::Test {
 protected:
  CliTest()
      : folder_(testing::TempDir() + "/strata_cli_" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }

  Outcome Run(const std::string& arguments) const {
    const std::string command = "cd " + folder_ + " && STRATA_HOME=" + folder_ + "/home STRATA_ADDRESS=" + address_ +
                                " " + STRATA_BINARY_DIR "/client/strata " + arguments + " >out 2>err </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadWhole(folder_ + "/out"), ReadWhole(folder_ + "/err")};
  }

  void Write(const std::string& name, const std::string& text) const { std::ofstream(folder_ + "/" + name) << text; }

  std::string folder_;
  std::string address_ = "127.0.0.1:1";  // nobody listens there
};

constexpr char kGrid[] = R"(experiment: demo
task: {kind: translation, dataset: d}
model: {dim: 64, heads: 4}
train: {updates: 600, warmup: 400}
grid: {scheme: [post_ln, b2t], depth: [3L-3L]}
)";

TEST_F(CliTest, EverySubcommandExplainsItself) {
  for (const char* command :
       {"plan",     "probe",     "up",       "down",      "submit",    "list",      "describe",     "top", "watch",       "logs",
        "cancel",   "hold",     "release",   "retry",   "wait",   "workers cordon",   "workers uncordon",   "workers drain",      "metrics",   "report",       "checkpoints", "workers",     "generate",  "score",
        "data add", "data list", "data show", "spec init", "spec explain", "spec schema", "completion"}) {
    const Outcome outcome = Run(std::string(command) + " --help");
    EXPECT_EQ(outcome.status, 0) << command;
    EXPECT_THAT(outcome.out, HasSubstr("Examples:\n  ")) << command;
    EXPECT_THAT(outcome.out, HasSubstr("Exit status: 0 ok")) << command;
  }
  EXPECT_EQ(Run("--help").status, 0);
  EXPECT_THAT(Run("--version").out, StartsWith("strata 0."));
}

TEST_F(CliTest, BadInputIsStatusTwoAndOneSentence) {
  Write("bad.yaml", std::string(kGrid) + "model: {}\n");
  Write("depth.yaml", "experiment: x\ngrid:\n  depth: [18L18L]\n");
  for (const auto& [arguments, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "subcommand"},
           {"sumbit x", "'strata' has no command \"sumbit\". Do you mean submit?"},
           {"up --detokeniser moses-de", "--detokeniser: \"moses-de\" is not NAME=COMMAND"},
           {"data ad x", "'strata data' has no command \"ad\". Do you mean add?"},
           {"submit nowhere.yaml", "nowhere.yaml: there is no such file"},
           {"submit bad.yaml", "bad.yaml:6: \"model\" stands twice"},
           {"submit depth.yaml",
            "depth.yaml:3: depth: \"18L18L\" is no depth. Write encoder "
            "and decoder layers as 18L-18L, or one stack as 16L."},
           {"submit bad.yaml --output yaml", "yaml"},
           {"describe 'a b'", "\"a b\" is no name"},
           {"watch a/b", "this needs an experiment"},
           {"top a/b", "this needs an experiment"},
           {"top --once", "EXPERIMENT: --once prints the board of one"},
           {"top", "Name an EXPERIMENT to follow it in plain lines"},
           {"logs a", "this needs a job"},
           {"metrics a/t1 --stack middle", "middle"},
           {"spec explain train.warmpu", "Do you mean train.warmup?"},
           {"completion fish", "fish"},
           {"data add nowhere", "'strata-data prepare' makes one"},
           {"up --slots 0", "--slots"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << arguments;
  }
}

TEST_F(CliTest, NoCoordinatorIsStatusThreeAndSaysHowToStartOne) {
  Write("grid.yaml", kGrid);
  for (const char* arguments : {"list", "submit grid.yaml", "describe demo-1", "wait demo-1", "workers",
                                "report demo-1", "top demo-1", "top demo-1 --once", "watch demo-1", "logs demo-1/t1"}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.status, 3) << arguments;
    EXPECT_EQ(outcome.err,
              "No coordinator at 127.0.0.1:1. Start one with 'strata up', or name another with --address.\n")
        << arguments;
  }
}

TEST_F(CliTest, DownIsIdempotent) {
  const Outcome outcome = Run("down");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Nothing runs under"));
}

TEST_F(CliTest, AStalePidFileIsNoProcess) {
  std::filesystem::create_directories(folder_ + "/home/agent");
  Write("home/agent/pid.json", R"({"pid": 1, "start_time": ""})");
  EXPECT_THAT(Run("down").out, HasSubstr("Nothing runs"));
  Write("home/agent/pid.json", "{\"pid\": " + std::to_string(getpid()) + ", \"start_time\": \"another boot/1\"}");
  EXPECT_THAT(Run("down").out, HasSubstr("Nothing runs")) << "it would have ended this test";
}

class CliWithCoordinatorTest : public CliTest {
 protected:
  CliWithCoordinatorTest() { address_ = coordinator_.address(); }
  FakeCoordinator coordinator_;
};

TEST_F(CliWithCoordinatorTest, ListsEveryPage) {
  EXPECT_THAT(Run("list").out, testing::AllOf(HasSubstr("demo-1"), HasSubstr("demo-0"), HasSubstr("1 DIVERGED")));
  EXPECT_EQ(Run("list --quiet").out, "demo-1\ndemo-0\n");
  const auto json = nlohmann::json::parse(Run("list --output json").out);
  EXPECT_EQ(json["experiments"].size(), 2u);
}

TEST_F(CliWithCoordinatorTest, SubmitSaysWhatItWillTakeAndSendsTheSameRequestAgain) {
  Write("grid.yaml", kGrid);
  coordinator_.FailNextCreate();
  const Outcome outcome = Run("submit grid.yaml --set train.updates=20");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "demo-1\n");
  EXPECT_THAT(outcome.err,
              HasSubstr("6 trials, 3,600 updates, about 25 MiB of disk and 15 min 00 s of one slot's time."));
  EXPECT_THAT(outcome.err, HasSubstr("training ends inside the warm-up"));
  ASSERT_EQ(coordinator_.created().size(), 2u);
  EXPECT_EQ(coordinator_.created()[0].request_id(), coordinator_.created()[1].request_id());
  EXPECT_FALSE(coordinator_.created()[0].request_id().empty());
  EXPECT_EQ(coordinator_.created()[0].spec().base().train().updates(), 20);
}

TEST_F(CliWithCoordinatorTest, ProbeSubmitsProbesAndRanksWhatTheyShow) {
  Write("grid.yaml", kGrid);
  const Outcome outcome = Run("probe grid.yaml");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_EQ(coordinator_.created().size(), 1u);
  EXPECT_TRUE(coordinator_.created()[0].spec().probe_only());
  EXPECT_THAT(outcome.out, testing::AllOf(HasSubstr("post_ln"), HasSubstr("18L-18L"), HasSubstr("7.5"), HasSubstr("healthy")));
  const auto json = nlohmann::json::parse(Run("probe grid.yaml --output json").out);
  EXPECT_EQ(json["ranking"][0]["spread"], 7.5);
  EXPECT_EQ(json["ranking"][0]["finding"], "healthy");
}

TEST_F(CliWithCoordinatorTest, DryRunStoresNothing) {
  Write("grid.yaml", kGrid);
  EXPECT_EQ(Run("submit grid.yaml --dry-run").status, 0);
  EXPECT_TRUE(coordinator_.created().empty());
}

TEST_F(CliWithCoordinatorTest, WaitTellsResultsFromFailures) {
  EXPECT_EQ(Run("wait demo-1").status, 0) << "DIVERGED is a result";
  coordinator_.experiment().mutable_states(0)->set_state(v1::JOB_STATE_FAILED);
  const Outcome outcome = Run("wait demo-1");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("Not every trial has a result: 1 FAILED"));
  EXPECT_EQ(Run("wait other-1").status, 2);
  coordinator_.experiment().set_done(false);
  EXPECT_EQ(Run("wait demo-1 --timeout 0.1").status, 1);
}

TEST_F(CliWithCoordinatorTest, WatchOutlivesABrokenStreamAndPrintsPlainLines) {
  const Outcome outcome = Run("watch demo-1");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("demo-1/t1 post_ln 18L-18L: DIVERGED (vanished at update 450)"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\033")));
}

TEST_F(CliWithCoordinatorTest, DescribesTrialsAndRefusesWhatIsNot) {
  const std::string table = Run("describe demo-1").out;
  EXPECT_THAT(table, HasSubstr("DIVERGED"));
  EXPECT_THAT(table, HasSubstr("  vanished at update 450\n"));  // the state has a column of its own
  EXPECT_THAT(Run("describe demo-1/t1").out, HasSubstr("450 of 600"));
  EXPECT_EQ(Run("describe demo-1/t9").status, 2);
  const Outcome retry = Run("retry demo-1/t1");
  EXPECT_EQ(retry.status, 1);
  EXPECT_THAT(retry.err, HasSubstr("which is a result"));
}

TEST_F(CliWithCoordinatorTest, HoldsAJobAndDrainsAWorkerUntilItIsGone) {
  EXPECT_EQ(Run("hold demo-1/t1/train").out, "demo-1/t1/train is QUEUED, held.\n");
  EXPECT_EQ(Run("hold demo-1/t1").out, "demo-1/t1 has ended: nothing is left to hold.\n");
  EXPECT_EQ(Run("hold demo-1/t9/train").status, 2);
  EXPECT_EQ(Run("workers drain w1 --no-wait").out, "w1 is READY, being drained.\n");
  const Outcome drained = Run("workers drain w1");
  EXPECT_EQ(drained.status, 0);
  EXPECT_EQ(drained.out, "w1 is GONE, cordoned.\n");
  EXPECT_THAT(drained.err, HasSubstr("1 slot still in use"));
  EXPECT_EQ(Run("workers drain w9").status, 2);
  EXPECT_THAT(Run("workers").out, HasSubstr("No workers."));
  EXPECT_EQ(Run("submit grid.yaml --priority 101").status, 2);
}

TEST_F(CliWithCoordinatorTest, PrintsMeasurementsInEachForm) {
  EXPECT_THAT(Run("metrics demo-1/t1").out, HasSubstr("gradient_norm_output  decoder"));
  EXPECT_EQ(Run("metrics demo-1/t1 --series valid_nll --output csv").out, "update,valid_nll\n0,7.5\n50,NaN\n");
  EXPECT_EQ(Run("metrics demo-1/t1 --series gradient_norm_output --stack decoder --output csv").out,
            "update,layer_1,layer_2\n0,0.5,2\n");
  const auto json = nlohmann::json::parse(Run("metrics demo-1/t1 --series valid_nll --output json").out);
  EXPECT_EQ(json["points"][1]["value"], "NaN");
  EXPECT_EQ(Run("metrics demo-1/t1 --series gradient_norm_output").status, 2);
  EXPECT_EQ(Run("metrics demo-1/t1 --series nothing").status, 2);
}

TEST_F(CliWithCoordinatorTest, FollowsLogsToTheirEnd) {
  EXPECT_EQ(Run("logs demo-1/t1").out, "one\ntwo\n");
  EXPECT_EQ(Run("logs demo-1/t1 --follow").out, "one\ntwo\n");
}

TEST_F(CliWithCoordinatorTest, GenerateLooksAtItsFileAndTrialFirst) {
  Write("letter.txt", "a line\n");
  Write("empty.txt", "");
  Write("empty.wav", "");
  for (const auto& [arguments, message] : std::vector<std::pair<std::string, std::string>>{
           {"generate demo-1/t9 letter.txt", "There is no experiments/demo-1/trials/t9"},
           {"generate demo-1 letter.txt", "this needs a trial"},
           {"generate demo-1/t1 nowhere.txt", "nowhere.txt: there is no such file"},
           {"generate demo-1/t1 .", ". is a folder"},
           {"generate demo-1/t1 empty.txt", "empty.txt is empty. Give text of at least one line, or a sound."},
           {"generate demo-1/t1 empty.wav", "empty.wav is empty. Give text of at least one line, or a sound."},
           {"generate demo-1/t1 letter.txt --checkpoint newest", "newest"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << arguments;
  }
}

TEST_F(CliWithCoordinatorTest, DownloadsCheckHashes) {
  EXPECT_EQ(Run("checkpoints demo-1/t1 --download final").status, 0);
  EXPECT_EQ(ReadWhole(folder_ + "/final.safetensors"), "abc");
  const Outcome damaged = Run("checkpoints demo-1/t1 --download best --to best.bin");
  EXPECT_EQ(damaged.status, 1);
  EXPECT_THAT(damaged.err, HasSubstr("Nothing was kept"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/best.bin"));
}

}  // namespace
}  // namespace strata::client
