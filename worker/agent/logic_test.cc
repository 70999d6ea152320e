// The agent's parts by themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/sha256.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/fake_coordinator.h"
#include "worker/agent/file.h"
#include "worker/agent/life.h"
#include "worker/agent/log_relay.h"
#include "worker/agent/process.h"
#include "worker/agent/slots.h"
#include "worker/agent/spool.h"
#include "worker/agent/state_dir.h"

namespace strata::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A folder that goes away with the test.
class Folder {
 public:
  Folder() {
    std::string path = ::testing::TempDir() + "/agent-logic-XXXXXX";
    path_ = ::mkdtemp(path.data());
  }
  ~Folder() { RemoveTree(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void Append(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }

std::string Event(int seq, const std::string& type = "progress") {
  return absl::StrCat("{\"seq\":", seq, ",\"type\":\"", type, "\"}\n");
}

TEST(SlotsTest, ReadsAndWritesCores) {
  EXPECT_THAT(*ParseCores("0-3,8"), ElementsAre(0, 1, 2, 3, 8));
  EXPECT_EQ(FormatCores({0, 1, 2, 3, 8}), "0-3,8");
  for (const char* bad : {"", "a", "3-1", "1-2-3", "-1", "0,,1", "99999"}) {
    EXPECT_THAT(ParseCores(bad).status().message(), HasSubstr("names no cores")) << bad;
  }
}

TEST(SlotsTest, SharesCoresOutEvenly) {
  const auto slots = ShareOut({0, 1, 2, 3, 8}, 2);
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_THAT(slots[0].cores, ElementsAre(0, 1));
  EXPECT_THAT(slots[1].cores, ElementsAre(2, 3, 8));
}

TEST(SlotsTest, MoreSlotsThanCoresShareThem) {
  const auto slots = ShareOut({4, 5}, 3);
  EXPECT_THAT(slots[0].cores, ElementsAre(4));
  EXPECT_THAT(slots[1].cores, ElementsAre(5));
  EXPECT_THAT(slots[2].cores, ElementsAre(4));
}

TEST(SpoolTest, ReadsOnlyWholeLines) {
  Folder folder;
  Spool spool(folder / "s");
  EXPECT_TRUE(spool.Read().ok());  // not there yet
  Append(folder / "s", Event(1) + "{\"seq\":2,\"ty");
  ASSERT_TRUE(spool.Read().ok());
  EXPECT_EQ(spool.waiting(), 1);
  EXPECT_GT(spool.torn_bytes(), 0);
  Append(folder / "s", "pe\":\"finished\"}\n");
  ASSERT_TRUE(spool.Read().ok());
  EXPECT_EQ(spool.waiting(), 2);
  EXPECT_THAT(spool.last_word(), HasSubstr("finished"));
}

TEST(SpoolTest, BatchesAreBoundedAndLetGoWhenAcknowledged) {
  Folder folder;
  for (int i = 1; i <= 10; ++i) Append(folder / "s", Event(i, i == 3 ? "checkpoint" : "progress"));
  Spool spool(folder / "s");
  ASSERT_TRUE(spool.Read().ok());
  EXPECT_EQ(spool.Batch(4, 1 << 20).size(), 4u);
  EXPECT_EQ(spool.Batch(4, 1).size(), 1u);
  spool.Acknowledge(4);
  const auto fresh = spool.TakeAcknowledged();
  ASSERT_EQ(fresh.size(), 1u);
  EXPECT_EQ(fresh[0].seq, 3);
  EXPECT_EQ(spool.waiting(), 6);
  EXPECT_TRUE(spool.TakeAcknowledged().empty());
}

TEST(SpoolTest, GoesOnFromTheCursorAndBackIfTheCoordinatorSaysSo) {
  Folder folder;
  for (int i = 1; i <= 5; ++i) Append(folder / "s", Event(i, "checkpoint"));
  Spool spool(folder / "s");
  spool.Acknowledge(3);
  ASSERT_TRUE(spool.Read().ok());
  EXPECT_EQ(spool.waiting(), 2);
  EXPECT_EQ(spool.TakeAcknowledged().size(), 3u);  // an adopted attempt's uploads are looked at again
  spool.Acknowledge(1);
  ASSERT_TRUE(spool.Read().ok());
  EXPECT_EQ(spool.waiting(), 4);
  spool.Acknowledge(5);
  EXPECT_EQ(spool.TakeAcknowledged().size(), 2u);  // 4 and 5, not 2 and 3 again
}

TEST(SpoolTest, RefusesWhatIsNoSpool) {
  for (const std::string& text :
       {Event(2), std::string("no json\n"), std::string("{\"seq\":1}\n"), Event(1) + Event(1)}) {
    Folder folder;
    Append(folder / "s", text);
    Spool spool(folder / "s");
    EXPECT_EQ(spool.Read().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_EQ(spool.Read().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(LifeTest, AnOrdinaryLife) {
  Life life(absl::Seconds(60));
  EXPECT_EQ(life.Step({}, absl::ZeroDuration()), Action::kWait);
  EXPECT_EQ(life.Step({.prepared = true}, absl::ZeroDuration()), Action::kStart);
  EXPECT_EQ(life.Step({.prepared = true, .processes_gone = false}, absl::Hours(1)), Action::kWait);
  EXPECT_EQ(life.Step({.prepared = true}, absl::ZeroDuration()), Action::kWait);
  EXPECT_EQ(life.phase(), Phase::kDraining);
  EXPECT_EQ(life.Step({.events_acknowledged = true}, absl::ZeroDuration()), Action::kWait);
  EXPECT_EQ(life.Step({.events_acknowledged = true, .uploads_done = true}, absl::ZeroDuration()), Action::kComplete);
  EXPECT_EQ(life.Step({.events_acknowledged = true, .uploads_done = true}, absl::ZeroDuration()), Action::kComplete);
  EXPECT_EQ(life.Step({.completion_accepted = true}, absl::ZeroDuration()), Action::kCleanUp);
  EXPECT_FALSE(life.killed());
}

TEST(LifeTest, AStopIsPatientInTimeThatWasLived) {
  Life life(absl::Seconds(3));
  life.Adopt();
  const Sight asked{.wish = Wish::kStop, .processes_gone = false};
  EXPECT_EQ(life.Step(asked, absl::ZeroDuration()), Action::kAskToStop);
  EXPECT_EQ(life.Step(asked, absl::Hours(5)), Action::kWait);  // the machine slept
  EXPECT_EQ(life.Step(asked, absl::Seconds(1)), Action::kWait);
  EXPECT_EQ(life.Step(asked, absl::Seconds(1)), Action::kKill);
  EXPECT_TRUE(life.killed());
}

TEST(LifeTest, AbandonedMeansKilledAndSilent) {
  for (const Phase start : {Phase::kPreparing, Phase::kRunning, Phase::kDraining}) {
    Life life(absl::Seconds(60));
    if (start != Phase::kPreparing) life.Adopt();
    if (start == Phase::kDraining) life.Step({.processes_gone = true}, absl::ZeroDuration());
    const bool alive = start == Phase::kRunning;
    for (int i = 0; alive && i < 2; ++i) {
      EXPECT_EQ(life.Step({.wish = Wish::kAbandon, .processes_gone = false}, absl::ZeroDuration()), Action::kKill);
    }
    EXPECT_EQ(life.Step({.wish = Wish::kAbandon}, absl::ZeroDuration()), Action::kCleanUp) << Name(start);
    EXPECT_EQ(life.phase(), Phase::kDone);
  }
}

TEST(ReconcileTest, StartsUpdatesAndAbandons) {
  const AttemptId a{"a", 1}, b{"b", 1}, c{"c", 2};
  const auto plan = Reconcile({Assignment{.id = a}, Assignment{.id = b}}, {b, c}, false);
  ASSERT_EQ(plan.start.size(), 1u);
  EXPECT_EQ(plan.start[0].id, a);
  EXPECT_EQ(plan.update.size(), 1u);
  EXPECT_THAT(plan.abandon, ElementsAre(c));
  EXPECT_TRUE(Reconcile({Assignment{.id = a}}, {}, true).start.empty());
}

TEST(JudgeTest, TheKernelsKillAndAFullDiskAreNamed) {
  RankEnd end{.exit = {.known = true, .signal = SIGKILL}, .kernel_out_of_memory = true};
  EXPECT_EQ(Judge({end}, Wish::kRun, false, 0).cause, "out_of_memory");
  end = {.exit = {.known = true, .code = 1}, .disk_full = true};
  EXPECT_EQ(Judge({end}, Wish::kRun, false, -1).cause, "disk_full");
  end = {.exit = {.known = false}};
  EXPECT_THAT(Judge({end}, Wish::kRun, false, -1).message, HasSubstr("while no agent watched"));
}

TEST(JudgeTest, TheLogIsAddedWhereTheTrainerDidNotSayWhyItFailed) {
  RankEnd end{.last_word = R"({"type": "failed", "cause": "data_error", "message": "Shard 3 is torn."})",
              .exit = {.known = true, .code = 1},
              .log_tail = "frame #7"};
  EXPECT_EQ(FailureOf(end)->message, "Shard 3 is torn.");
  end.last_word = R"({"type": "failed"})";
  EXPECT_THAT(FailureOf(end)->message, HasSubstr("frame #7"));
  end.last_word = "";
  EXPECT_THAT(FailureOf(end)->message, HasSubstr("frame #7"));
}

TEST(JudgeTest, WhoDidNotMeetOrLostAPeerDoesNotKnowTheCause) {
  const RankEnd end{.last_word = "told", .exit = {.known = true, .code = 1}};
  for (const char* cause : {"rank_lost", "rendezvous_failed"}) {
    EXPECT_FALSE(IsOwnFailure(end, {"failed", cause, ""}, false)) << cause;
  }
  EXPECT_TRUE(IsOwnFailure(end, {"failed", "data_error", ""}, false));
}

TEST(JudgeTest, ATrainerEndedBySigtermBeforeItListenedHasStopped) {
  const RankEnd end{.exit = {.known = true, .signal = SIGTERM}};
  EXPECT_EQ(Judge({end}, Wish::kStop, false, -1).outcome, "stopped");
  EXPECT_EQ(Judge({end}, Wish::kRun, false, -1).outcome, "failed");
}

TEST(ProcessTest, RunsInItsOwnSessionOnItsCores) {
  Folder folder;
  const int core = AllowedCores().back();
  Command command{
      .arguments =
          {"/bin/sh", "-c",
           "echo $X; cat /proc/self/stat; grep Cpus_allowed_list /proc/self/status; cat /proc/self/oom_score_adj"},
      .environment = {{"X", "value of X"}},
      .log = folder / "log",
      .cores = {core}};
  const auto process = Start(command, [](const ProcessId&) { return absl::OkStatus(); });
  ASSERT_TRUE(process.ok()) << process.status();
  std::optional<ExitStatus> exit;
  while (!(exit = Poll(*process))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(exit->code, 0);
  const std::string log = ReadProc(folder / "log");
  EXPECT_THAT(log, HasSubstr("value of X"));
  EXPECT_THAT(log, HasSubstr(absl::StrCat(" ", process->pid, " ", process->pid, " ")));  // group and session
  EXPECT_THAT(log, HasSubstr(absl::StrCat("Cpus_allowed_list:\t", core, "\n")));
  EXPECT_THAT(log, HasSubstr("500\n"));
  EXPECT_TRUE(GroupIsGone(*process));
}

TEST(ProcessTest, WhatIsNotRecordedDoesNotRun) {
  Folder folder;
  const Command command{.arguments = {"/bin/sh", "-c", "echo ran"}, .log = folder / "log"};
  EXPECT_FALSE(Start(command, [](const ProcessId&) { return absl::CancelledError("no"); }).ok());
  EXPECT_EQ(ReadProc(folder / "log"), "");
  const Command none{.arguments = {folder / "none"}, .log = folder / "log"};
  EXPECT_EQ(Start(none, [](const ProcessId&) { return absl::OkStatus(); }).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ProcessTest, AGroupIsEndedWhole) {
  Folder folder;
  const Command command{.arguments = {"/bin/sh", "-c", "sleep 100 & sleep 100"}, .log = folder / "log"};
  const auto process = Start(command, [](const ProcessId&) { return absl::OkStatus(); });
  ASSERT_TRUE(process.ok());
  EXPECT_TRUE(IsRunning(*process, "sleep 100"));
  EXPECT_FALSE(IsRunning(*process, "another argument"));
  ProcessId reused = *process;
  ++reused.start_ticks;
  SignalGroup(reused, SIGKILL);  // another process with our pid: not touched
  EXPECT_TRUE(Identify(process->pid).has_value());
  EXPECT_FALSE(GroupIsGone(*process));
  SignalGroup(*process, SIGKILL);
  std::optional<ExitStatus> exit;
  while (!(exit = Poll(*process))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(exit->signal, SIGKILL);
  for (int i = 0; i < 500 && !GroupIsGone(*process); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(GroupIsGone(*process));
}

TEST(StateDirTest, OneAgentAtATime) {
  Folder folder;
  std::string uid;
  {
    const auto first = StateDir::Open(folder / "state");
    ASSERT_TRUE(first.ok());
    uid = first->worker_uid();
    const auto second = StateDir::Open(folder / "state");
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(second.status().message(), HasSubstr(absl::StrCat("process ", ::getpid())));
  }
  EXPECT_EQ(StateDir::Open(folder / "state")->worker_uid(), uid);
}

TEST(StateDirTest, KeepsAnAttemptAndDropsWhatNeverStarted) {
  Folder folder;
  const auto state = StateDir::Open(folder / "state");
  const Assignment a{
      .id = {"experiments/e-1/trials/t1/jobs/train", 2}, .ranks = {{0, 1}}, .spec_json = "{\"a\": \"b\\n\"}"};
  AttemptRecord record{a, {{.rank = 0, .slot = 1, .process = {4711, 12345678901234, "boot"}}}};
  ASSERT_TRUE(base::MakeFolders(state->AttemptFolder(a.id)).ok());
  ASSERT_TRUE(base::MakeFolders(state->AttemptFolder({"experiments/e-1/trials/t2/jobs/train", 1})).ok());
  ASSERT_TRUE(state->Save(record).ok());
  const auto loaded = state->Load();
  ASSERT_EQ(loaded.size(), 1u);
  EXPECT_EQ(loaded[0].assignment.id, a.id);
  EXPECT_EQ(loaded[0].assignment.spec_json, a.spec_json);
  EXPECT_EQ(loaded[0].ranks[0].process, record.ranks[0].process);
  EXPECT_FALSE(Exists(state->AttemptFolder({"experiments/e-1/trials/t2/jobs/train", 1})));
  EXPECT_LT(state->ControlPath(a.id, 0).size(), 104u);
}

TEST(DatasetCacheTest, FetchesOnceAndAgainOnlyWhatIsBroken) {
  Folder folder;
  FakeCoordinator coordinator;
  std::string lines, files;
  for (const auto& [name, text] : std::map<std::string, std::string>{{"a.shard", "first"}, {"text/b", "second"}}) {
    coordinator.files["datasets/d/" + name] = text;
    lines += name + " " + base::Sha256Hex(text) + "\n";
    files += absl::StrCat(files.empty() ? "" : ",", "{\"path\":\"", name, "\",\"bytes\":", text.size(),
                          ",\"sha256\":\"", base::Sha256Hex(text), "\"}");
  }
  const std::string digest = base::Sha256Hex(lines);
  coordinator.datasets["datasets/d"] = {digest, "{\"files\":[" + files + "]}"};
  coordinator.bytes_a_stream = 4;  // each file is cut off once
  DatasetCache cache(folder / "datasets", coordinator);
  const auto never = [] { return false; };
  const auto path = cache.Ensure("datasets/d", digest, never);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(ReadProc(*path + "/text/b"), "second");
  EXPECT_EQ(coordinator.streams, 4);
  EXPECT_TRUE(cache.Ensure("datasets/d", digest, never).ok());
  EXPECT_EQ(coordinator.streams, 4);
  std::ofstream(*path + "/a.shard") << "fXrst";
  cache.Suspect(digest);
  EXPECT_TRUE(cache.Ensure("datasets/d", digest, never).ok());
  EXPECT_EQ(coordinator.streams, 6);
  EXPECT_EQ(ReadProc(*path + "/a.shard"), "first");
}

TEST(FetchTest, WhatTheWayDamagedIsFetchedAgainWhatIsDamagedThereIsNot) {
  Folder folder;
  const auto never = [] { return false; };
  int reads = 0;
  Download download{folder / "file", 5, base::Sha256Hex("whole"), [&](int64_t, const ByteSink& sink) {
                      ++reads;
                      return sink(reads < 4 ? absl::StrCat("whol", reads) : "whole");
                    }};
  EXPECT_TRUE(Fetch(download, never).ok());
  EXPECT_EQ(reads, 4);
  reads = 0;
  download.read = [&](int64_t, const ByteSink& sink) { return ++reads, sink("other"); };
  EXPECT_EQ(Fetch(download, never).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(reads, 2);
}

TEST(DatasetCacheTest, SaysThatTheCoordinatorsCopyIsDamaged) {
  Folder folder;
  FakeCoordinator coordinator;
  const std::string hash = base::Sha256Hex("first"), digest = base::Sha256Hex("a.shard " + hash + "\n");
  coordinator.datasets["datasets/d"] = {
      digest, absl::StrCat(R"({"files":[{"path":"a.shard","bytes":5,"sha256":")", hash, R"("}]})")};
  coordinator.files["datasets/d/a.shard"] = "fXrst";
  DatasetCache cache(folder / "datasets", coordinator);
  const absl::Status status = cache.Ensure("datasets/d", digest, [] { return false; }).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("a.shard of datasets/d is damaged"));
  EXPECT_THAT(status.message(), HasSubstr("retry the job"));
}

TEST(DatasetCacheTest, RefusesOtherContentAndPathsThatLeadOutside) {
  Folder folder;
  FakeCoordinator coordinator;
  const auto never = [] { return false; };
  DatasetCache cache(folder / "datasets", coordinator);
  coordinator.datasets["datasets/d"] = {"digest-2", "{}"};
  EXPECT_THAT(cache.Ensure("datasets/d", "digest-1", never).status().message(), HasSubstr("another content"));
  coordinator.datasets["datasets/d"] = {"digest-1", R"({"files":[{"path":"../x","bytes":1,"sha256":"0"}]})"};
  EXPECT_THAT(cache.Ensure("datasets/d", "digest-1", never).status().message(), HasSubstr("outside"));
  coordinator.datasets["datasets/d"] = {"digest-1", R"({"files":[{"path":"x","bytes":1,"sha256":"0"}]})"};
  EXPECT_EQ(cache.Ensure("datasets/d", "digest-1", never).status().code(), absl::StatusCode::kDataLoss);
}

TEST(LogRelayTest, ReplacesBytesThatAreNoText) {
  EXPECT_EQ(ValidUtf8("grüße"), "grüße");
  EXPECT_EQ(ValidUtf8("a\xff"
                      "b\xc3"),
            "a?b?");
  EXPECT_EQ(ValidUtf8("\xed\xa0\x80"), "???");
}

TEST(LogRelayTest, GoesOnWhereTheLogStands) {
  Folder folder;
  FakeCoordinator coordinator;
  const AttemptId id{"job", 1};
  Append(folder / "log", "one\ntwo\npart");
  LogRelay relay(coordinator, id, {{0, folder / "log"}}, true, folder / "positions");
  ASSERT_TRUE(relay.Step(false).ok());
  EXPECT_EQ(coordinator.logs[id], "one\ntwo\n");
  ::unlink((folder / "positions").c_str());
  LogRelay again(coordinator, id, {{0, folder / "log"}}, true, folder / "positions");
  EXPECT_FALSE(again.Step(true).ok());  // the coordinator says where it stands
  ASSERT_TRUE(again.Step(true).ok());
  ASSERT_TRUE(again.Step(true).ok());
  EXPECT_TRUE(again.Done());
  EXPECT_EQ(coordinator.logs[id], "one\ntwo\npart");
}

}  // namespace
}  // namespace strata::agent
