// strata-scenarios FOLDER [--rewrite]: plays each script of the folder against the controller and compares what it says
// with the lines that begin with ">". With --rewrite these lines are written anew; a person reads the diff.
//
// A script's lines: `worker NAME [slots=N] [device=D] [uid=U] [running=JOB#N]`, `submit JOB [ranks=N] [min=N] [batch=N]
// [priority=N] [upstream=JOB] [attempts=N] [accepts_diverged]`, `at TIME` (ticks every second until then; workers that
// are heard synchronise), `sleep DURATION` (of all machines), `silence NAME`, `hear NAME`, `restart DURATION` (the
// coordinator, after being down so long), `up JOB`, `rendezvous JOB ADDRESS`, `checkpoint JOB UPDATE`, `complete JOB
// NAME OUTCOME [CAUSE]`, `write JOB ATTEMPT`, `cancel JOB`, `retry JOB`, `hold JOB`, `release JOB`, `cordon NAME`,
// `uncordon NAME`, `drain NAME`, `leave NAME`, `why JOB`, `assignments NAME`. `complete` takes
// `stood=RANK:SEQUENCE:NAME,...`.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/controller.h"
#include "server/core/job.h"

namespace {

using namespace strata::core;  // NOLINT: a program of one file

const char* Name(WorkerState state) {
  return state == WorkerState::kReady ? "READY" : state == WorkerState::kLost ? "LOST" : "GONE";
}

// "a=b" words by key, bare words as they stand.
struct Words {
  std::vector<std::string> bare;
  std::map<std::string, std::string> named;
  explicit Words(const std::string& line) {
    std::istringstream in(line);
    for (std::string word; in >> word;) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        bare.push_back(word);
      } else {
        named[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
  }
  std::string at(size_t i) const { return i < bare.size() ? bare[i] : ""; }
  int32_t Number(const std::string& key, int32_t otherwise) const {
    return named.contains(key) ? std::stoi(named.at(key)) : otherwise;
  }
};

class Player {
 public:
  Player() { controller_ = std::make_unique<Controller>(ControllerOptions{}, State{}, now_); }

  // Plays one line; what it says goes to `out`.
  void Play(const std::string& line, std::vector<std::string>* out) {
    out_ = out;
    const Words words(line);
    const std::string what = words.at(0), name = words.at(1);
    if (what == "at") return Advance(name);
    if (what == "sleep") return Sleep(name);
    if (what == "silence") return void(silent_.insert(name));
    if (what == "hear") return void(silent_.erase(name));
    if (what == "restart") return Restart(name);
    if (what == "why") return Why(name);
    if (what == "write") return Say(controller_->CheckAttempt(name, std::stoi(words.at(2))));
    if (what == "assignments") return Assignments(name);
    if (what == "up") return Up(name);
    Do(Parse(what, name, words));
  }

 private:
  Event Parse(const std::string& what, const std::string& name, const Words& words) {
    const int32_t attempt = controller_->state().jobs.contains(name) ? controller_->state().jobs.at(name).attempts : 0;
    if (what == "worker") return Worker_(name, words);
    if (what == "submit") return JobsSubmitted{{Submitted(name, words)}};
    if (what == "rendezvous") return RendezvousOpened{name, attempt, words.at(2)};
    if (what == "checkpoint") return CheckpointAcknowledged{name, attempt, std::stoi(words.at(2))};
    if (what == "complete") {
      return AttemptCompleted{name,
                              words.Number("attempt", attempt),
                              words.at(2),
                              words.at(3),
                              words.at(4) != "early",
                              words.at(3) == "failed" ? words.at(4) : "",
                              "",
                              {},
                              Positions(words)};
    }
    if (what == "cancel") return CancelRequested{name};
    if (what == "retry") return RetryRequested{name};
    if (what == "hold") return HoldRequested{name};
    if (what == "release") return ReleaseRequested{name};
    if (what == "cordon") return CordonRequested{name};
    if (what == "uncordon") return UncordonRequested{name};
    if (what == "drain") return DrainRequested{name};
    if (what == "leave") return WorkerLeft{name, controller_->state().workers.at(name).session};
    throw std::runtime_error("no such command: " + what);
  }

  static std::vector<RankPosition> Positions(const Words& words) {
    std::vector<RankPosition> positions;
    std::istringstream in(words.named.contains("stood") ? words.named.at("stood") : "");
    for (std::string text; std::getline(in, text, ',');) {
      const size_t first = text.find(':'), second = text.find(':', first + 1);
      positions.push_back(
          {std::stoi(text.substr(0, first)), std::stoi(text.substr(first + 1)), text.substr(second + 1)});
    }
    return positions;
  }

  static Job Submitted(const std::string& name, const Words& words) {
    return {.name = name,
            .upstream = words.named.contains("upstream") ? words.named.at("upstream") : "",
            .accepts_diverged = words.at(2) == "accepts_diverged",
            .priority = words.Number("priority", 0),
            .ranks = words.Number("ranks", 1),
            .min_ranks = words.Number("min", 0),
            .global_batch = words.Number("batch", 0),
            .max_attempts = words.Number("attempts", 5)};
  }

  Event Worker_(const std::string& name, const Words& words) {
    Worker worker{
        .name = name, .uid = words.named.contains("uid") ? words.named.at("uid") : name, .host = "host-" + name};
    worker.session = absl::StrCat("s", ++sessions_);
    for (int32_t i = 0; i < words.Number("slots", 1); ++i)
      worker.slots.push_back({.index = i, .device = words.named.contains("device") ? words.named.at("device") : ""});
    WorkerRegistered event{.worker = worker};
    if (words.named.contains("running")) {
      const std::string& text = words.named.at("running");
      event.running.emplace_back(text.substr(0, text.find('#')), std::stoi(text.substr(text.find('#') + 1)));
    }
    return event;
  }

  void Say(const std::string& line) {
    const std::string time = absl::StrCat(absl::ToInt64Seconds(now_ - start_), "s ");
    out_->push_back("  > " + time + line);
  }
  void Say(const absl::Status& status) {
    Say(status.ok() ? "OK"
                    : absl::StrCat(absl::StatusCodeToString(status.code()), ": ", std::string(status.message())));
  }

  void Do(const Event& event) {
    const State before = controller_->state();
    const absl::StatusOr<Effects> effects = controller_->Step(event, now_);
    if (!effects.ok()) return Say(effects.status());
    for (const Worker& worker : effects->workers) {
      const auto was = before.workers.find(worker.name);
      if (was != before.workers.end() && was->second.state != worker.state) {
        Say(absl::StrCat(worker.name, " ", Name(was->second.state), " -> ", Name(worker.state)));
      }
    }
    for (const Attempt& attempt : effects->attempts) {
      const auto was = before.attempts.find({attempt.job, attempt.number});
      if (attempt.live() && was != before.attempts.end() && was->second.stop_reason != attempt.stop_reason) {
        Say(absl::StrCat("attempt ", attempt.number, " of ", attempt.job, " is to stop: ", attempt.stop_reason));
      }
      if (attempt.live()) continue;
      // A part that tells after the end changes nothing that is worth a line, until the comparison is there.
      if (was != before.attempts.end() && !was->second.live() && was->second.message == attempt.message) continue;
      Say(absl::StrCat("attempt ", attempt.number, " of ", attempt.job, " ", attempt.outcome,
                       attempt.cause.empty() ? "" : " (" + attempt.cause + ")", attempt.message.empty() ? "" : ": ",
                       attempt.message));
    }
    for (const Job& job : effects->jobs) SayJob(job, before);
  }

  void SayJob(const Job& job, const State& before) {
    const auto was = before.jobs.find(job.name);
    if (was == before.jobs.end() && job.state == JobState::kQueued) return Say(job.name + " QUEUED");
    std::string line =
        absl::StrCat(job.name, " ", was == before.jobs.end() ? "new" : strata::core::Name(was->second.state), " -> ",
                     strata::core::Name(job.state));
    if (was != before.jobs.end() && was->second.held != job.held)
      Say(job.name + (job.held ? " is held" : " is released"));
    if (was != before.jobs.end() && was->second.state == job.state) return;
    if (job.state == JobState::kPending) {
      const Attempt& attempt = controller_->state().attempts.at({job.name, job.attempts});
      absl::StrAppend(&line, " attempt=", job.attempts, " on");
      for (const RankPlace& place : attempt.places) absl::StrAppend(&line, " ", place.worker, ":", place.slot);
      if (attempt.resumed_from >= 0) absl::StrAppend(&line, " from update ", attempt.resumed_from);
    }
    if (!job.cause.empty()) absl::StrAppend(&line, " (", job.cause, ")");
    if (job.state == JobState::kQueued && job.not_before > now_) {
      absl::StrAppend(&line, " not before ", absl::ToInt64Seconds(job.not_before - start_), "s, failure ", job.failures,
                      " of at most ", job.max_attempts);
    }
    Say(line);
  }

  void Synchronize() {
    for (const auto& [name, worker] : State(controller_->state()).workers) {
      if (silent_.contains(name) || worker.state != WorkerState::kReady) continue;
      WorkerSynchronized event{.worker = name, .session = worker.session, .generation = controller_->Generation(name)};
      for (const WorkerAssignment& assignment : controller_->Assignments(name))
        event.running.emplace_back(assignment.job, assignment.attempt);
      Do(event);
    }
  }

  void Advance(const std::string& text) {
    absl::Duration until;
    if (!absl::ParseDuration(text, &until)) throw std::runtime_error("no time: " + text);
    while (now_ < start_ + until) {
      now_ += absl::Seconds(1);
      Synchronize();
      Do(Ticked{});
    }
  }

  void Sleep(const std::string& text) {
    absl::Duration time;
    if (!absl::ParseDuration(text, &time)) throw std::runtime_error("no duration: " + text);
    now_ += time;
    Do(Ticked{});
  }

  void Restart(const std::string& text) {
    absl::Duration down;
    if (!absl::ParseDuration(text, &down)) throw std::runtime_error("no duration: " + text);
    now_ += down;
    controller_ = std::make_unique<Controller>(ControllerOptions{}, State(controller_->state()), now_);
    Do(Ticked{});
  }

  void Up(const std::string& name) {
    const Attempt attempt = controller_->state().attempts.at({name, controller_->state().jobs.at(name).attempts});
    for (const RankPlace& place : attempt.places) Do(RankStarted{name, attempt.number, place.rank});
  }

  void Why(const std::string& name) {
    const Controller::Waiting waiting = controller_->WhyWaiting(name, now_);
    Say(absl::StrCat("place ", waiting.position, ": ", waiting.reason));
  }

  void Assignments(const std::string& name) {
    for (const WorkerAssignment& assignment : controller_->Assignments(name)) {
      std::string line = absl::StrCat(assignment.job, " attempt=", assignment.attempt, assignment.stop ? " stop" : "",
                                      assignment.checkpoint ? " with a checkpoint" : "");
      for (const RankPlace& place : assignment.ranks)
        absl::StrAppend(&line, " rank ", place.rank, " on slot ", place.slot);
      Say(absl::StrCat(line, assignment.rendezvous.empty() ? "" : " rendezvous " + assignment.rendezvous));
    }
    if (controller_->Assignments(name).empty()) Say(controller_->Leaves(name) ? "nothing: leave" : "nothing");
  }

  const absl::Time start_ = absl::FromUnixSeconds(1'800'000'000);
  absl::Time now_ = start_;
  std::unique_ptr<Controller> controller_;
  std::set<std::string> silent_;
  int sessions_ = 0;
  std::vector<std::string>* out_ = nullptr;
};

std::vector<std::string> Read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The script with what the controller really says.
std::vector<std::string> Play(const std::vector<std::string>& script) {
  Player player;
  std::vector<std::string> out;
  for (const std::string& line : script) {
    if (line.starts_with("  >")) continue;
    out.push_back(line);
    if (!line.empty() && line[0] != '#') player.Play(line, &out);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("strata-scenarios FOLDER [--rewrite]\n", stderr);
    return 2;
  }
  const bool rewrite = argc > 2 && std::string(argv[2]) == "--rewrite";
  int scripts = 0, differ = 0;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    ++scripts;
    const std::vector<std::string> wanted = Read(path), said = Play(wanted);
    if (rewrite) {
      std::ofstream out(path);
      for (const std::string& line : said) out << line << "\n";
    } else if (wanted != said) {
      ++differ;
      const auto at = std::mismatch(wanted.begin(), wanted.end(), said.begin(), said.end());
      std::printf("%s:%zu differs\n  wanted %s\n  said   %s\n", path.filename().c_str(),
                  static_cast<size_t>(at.first - wanted.begin()) + 1,
                  at.first == wanted.end() ? "(end)" : at.first->c_str(),
                  at.second == said.end() ? "(end)" : at.second->c_str());
    }
  }
  std::printf("%d scenarios, %d differ\n", scripts, differ);
  return scripts > 0 && differ == 0 ? 0 : 1;
}
