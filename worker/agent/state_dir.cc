#include "worker/agent/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kSession[] = "/session";
constexpr absl::Duration kShortestSilence = absl::Seconds(10);  // that a health check objects to

// experiments/e-1/trials/t1/jobs/train -> e-1.t1.train; whatever else a name holds becomes a hyphen.
std::string JobKey(const std::string& job) {
  std::string key;
  const std::vector<std::string> parts = absl::StrSplit(job, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool collection = parts.size() == 6 && i % 2 == 0;
    if (!collection) absl::StrAppend(&key, key.empty() ? "" : ".", parts[i]);
  }
  for (char& c : key) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '_') c = '-';
  }
  return key.empty() || key[0] == '.' ? "job" + key : key;
}

json ToJson(const Assignment& a) {
  json ranks = json::array();
  for (const RankSlot& r : a.ranks) ranks.push_back({{"rank", r.rank}, {"slot", r.slot}});
  json averaged = json::array();
  for (const CheckpointRef& c : a.averaged) averaged.push_back({c.artifact, c.sha256, c.file_name});
  return {{"job", a.id.job},
          {"attempt", a.id.attempt},
          {"kind", static_cast<int>(a.kind)},
          {"ranks", ranks},
          {"world_size", a.world_size},
          {"spec", a.spec_json},
          {"dataset", a.dataset},
          {"dataset_digest", a.dataset_digest},
          {"checkpoint_artifact", a.checkpoint_from.artifact},
          {"checkpoint_sha256", a.checkpoint_from.sha256},
          {"checkpoint_file_name", a.checkpoint_from.file_name},
          {"averaged", averaged},
          {"evaluation", a.evaluation}};
}

Assignment AssignmentFrom(const json& j) {
  Assignment a;
  a.id = {j.at("job"), j.at("attempt")};
  a.kind = static_cast<JobKind>(j.at("kind").get<int>());
  for (const json& r : j.at("ranks")) a.ranks.push_back({r.at("rank"), r.at("slot")});
  a.world_size = j.at("world_size");
  a.spec_json = j.at("spec");
  a.dataset = j.at("dataset");
  a.dataset_digest = j.at("dataset_digest");
  a.checkpoint_from.artifact = j.at("checkpoint_artifact");
  a.checkpoint_from.sha256 = j.at("checkpoint_sha256");
  a.checkpoint_from.file_name = j.at("checkpoint_file_name");
  for (const json& c : j.value("averaged", json::array())) a.averaged.push_back({c.at(0), c.at(1), c.at(2)});
  a.evaluation = j.at("evaluation");
  return a;
}

json ToJson(const RankRecord& r) {
  return {{"rank", r.rank},
          {"slot", r.slot},
          {"pid", r.process.pid},
          {"start_ticks", r.process.start_ticks},
          {"boot_id", r.process.boot_id},
          {"ended", r.ended},
          {"exit_known", r.exit.known},
          {"code", r.exit.code},
          {"signal", r.exit.signal}};
}

RankRecord RankFrom(const json& j) {
  return {j.at("rank"),
          j.at("slot"),
          {j.at("pid"), j.at("start_ticks"), j.at("boot_id")},
          j.at("ended"),
          {j.at("exit_known"), j.at("code"), j.at("signal")}};
}

}  // namespace

bool AttemptRecord::started() const {
  return std::any_of(ranks.begin(), ranks.end(), [](const RankRecord& r) { return r.process.pid != 0; });
}

absl::StatusOr<StateDir> StateDir::Open(const std::string& path) {
  StateDir dir;
  std::error_code error;
  dir.path_ = fs::absolute(path, error).string();
  for (const char* folder : {"attempts", "jobs", "datasets", "weights", "sockets"}) {
    absl::Status made = base::MakeFolders(absl::StrCat(dir.path_, "/", folder));
    if (!made.ok()) return made;
  }
  const std::string lock = absl::StrCat(dir.path_, "/lock");
  dir.lock_ = agent::Open(lock, O_RDWR | O_CREAT);
  if (dir.lock_.get() < 0) return base::FileError(errno, "open", lock);
  if (::flock(dir.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    const std::string holder = ReadProc(lock);
    return absl::FailedPreconditionError(absl::StrCat("--state-dir: ", dir.path_,
                                                      " is in use by another agent (process ", holder,
                                                      "). Stop that one, or give this one a folder of its own."));
  }
  const std::string pid = absl::StrCat(::getpid());
  if (::ftruncate(dir.lock_.get(), 0) != 0 || ::pwrite(dir.lock_.get(), pid.data(), pid.size(), 0) < 0) {
    return base::FileError(errno, "write", lock);
  }
  const std::string uid_path = absl::StrCat(dir.path_, "/worker_uid");
  auto uid = base::ReadFile(uid_path);
  if (!uid.ok() || uid->empty()) {
    uid = base::RandomHex(8);
    absl::Status written = base::WriteFileAtomically(uid_path, *uid);
    if (!written.ok()) return written;
  }
  dir.worker_uid_ = *std::move(uid);
  return dir;
}

std::string StateDir::AttemptFolder(const AttemptId& id) const {
  return absl::StrCat(path_, "/attempts/", JobKey(id.job), ".", id.attempt);
}

std::string StateDir::JobFolder(const std::string& job) const { return absl::StrCat(path_, "/jobs/", JobKey(job)); }

std::string StateDir::OutFolder(const Assignment& assignment) const {
  if (assignment.kind == JobKind::kTrain) return absl::StrCat(JobFolder(assignment.id.job), "/out");
  return absl::StrCat(AttemptFolder(assignment.id), "/out");
}

std::string StateDir::SpoolPath(const AttemptId& id, int32_t rank) const {
  return absl::StrCat(AttemptFolder(id), "/rank-", rank, ".spool");
}

std::string StateDir::LogPath(const AttemptId& id, int32_t rank) const {
  return absl::StrCat(AttemptFolder(id), "/rank-", rank, ".log");
}

std::string StateDir::CollectivesPath(const AttemptId& id, int32_t rank) const {
  return absl::StrCat(AttemptFolder(id), "/rank-", rank, ".collectives");
}

std::string StateDir::ControlPath(const AttemptId& id, int32_t rank) const {
  const std::string name =
      absl::StrCat(base::Sha256Hex(absl::StrCat(id.job, "#", id.attempt)).substr(0, 12), "-", rank);
  const std::string path = absl::StrCat(path_, "/sockets/", name);
  if (path.size() < 100) return path;  // sun_path holds 107 bytes; the trainer may need a temporary name
  return absl::StrCat("/tmp/strata-", worker_uid_.substr(0, 8), "-", name);
}

absl::Status StateDir::Save(const AttemptRecord& record) const {
  json ranks = json::array();
  for (const RankRecord& rank : record.ranks) ranks.push_back(ToJson(rank));
  const json file = {{"assignment", ToJson(record.assignment)}, {"processes", ranks}};
  return base::WriteFileAtomically(AttemptFolder(record.assignment.id) + "/attempt.json", file.dump(1));
}

std::vector<AttemptRecord> StateDir::Load() const {
  std::vector<AttemptRecord> records;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ + "/attempts", error)) {
    const auto text = base::ReadFile(entry.path().string() + "/attempt.json");
    const json file = text.ok() ? json::parse(*text, nullptr, false) : json();
    try {
      AttemptRecord record{AssignmentFrom(file.at("assignment")), {}};
      for (const json& rank : file.at("processes")) record.ranks.push_back(RankFrom(rank));
      if (record.started()) {
        records.push_back(std::move(record));
        continue;
      }
    } catch (const json::exception&) {
    }
    RemoveTree(entry.path().string());
  }
  return records;
}

void StateDir::NoteSession(absl::Duration lease) const {
  // On a full disk it fails, and so says that not all is well.
  (void)base::WriteFileAtomically(path_ + kSession, absl::StrCat(absl::ToDoubleSeconds(lease)));
}

void StateDir::NoteAnswer() const { ::utimensat(AT_FDCWD, (path_ + kSession).c_str(), nullptr, 0); }

void StateDir::NoteEnd() const { ::unlink((path_ + kSession).c_str()); }

absl::Status StateDir::CheckSession(const std::string& path, absl::Time now) {
  struct stat file {};
  const auto text = base::ReadFile(path + kSession);
  double lease = 0;
  if (!text.ok() || !absl::SimpleAtod(*text, &lease) || ::stat((path + kSession).c_str(), &file) != 0) {
    return absl::UnavailableError(
        absl::StrCat("No agent with the state folder ", path, " has a session with its coordinator."));
  }
  const absl::Duration silence = now - absl::TimeFromTimespec(file.st_mtim);
  if (silence <= std::max(absl::Seconds(lease), kShortestSilence)) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("The coordinator has not answered the agent with the state folder ", path,
                                             " for ", absl::FormatDuration(absl::Trunc(silence, absl::Seconds(1))),
                                             "."));
}

void StateDir::Remove(const AttemptId& id) const {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(AttemptFolder(id), error)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("rank-", 0) == 0 && name.ends_with(".spool")) {
      ::unlink(ControlPath(id, std::atoi(name.c_str() + 5)).c_str());
    }
  }
  ::unlink((AttemptFolder(id) + "/attempt.json").c_str());  // first: half-removed must not look like an attempt
  RemoveTree(AttemptFolder(id));
}

void StateDir::RemoveOldJobs(int days, const std::vector<std::string>& keep) const {
  std::error_code error;
  std::vector<fs::path> old;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ + "/jobs", error)) {
    fs::file_time_type newest = entry.last_write_time(error);
    for (const fs::directory_entry& inner : fs::recursive_directory_iterator(entry.path(), error)) {
      newest = std::max(newest, inner.last_write_time(error));
    }
    const bool kept = std::any_of(keep.begin(), keep.end(), [&](const std::string& job) {
      return fs::path(JobFolder(job)).filename() == entry.path().filename();
    });
    if (!kept && fs::file_time_type::clock::now() - newest > std::chrono::hours(24 * days)) old.push_back(entry.path());
  }
  for (const fs::path& path : old) RemoveTree(path.string());
}

}  // namespace strata::agent
