// A coordinator in memory for the agent's tests: keeps what it is told, refuses what is stale, can be away.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/mutex.h"
#include "server/base/sha256.h"
#include "worker/agent/coordinator.h"

namespace strata::agent {

// Thread-safe.
class FakeCoordinator final : public Coordinator {
 public:
  struct StoredUpload {
    ArtifactFile file;
    std::string data;
    bool complete = false;
  };

  // What tests set and look at, under Lock().
  std::vector<Assignment> assigned;
  std::set<AttemptId> stale;
  bool away = false;
  bool knows_session = true;
  std::map<std::pair<AttemptId, int32_t>, std::vector<std::string>> events;
  std::map<AttemptId, Completion> completions;
  std::map<AttemptId, std::string> logs;
  std::map<std::string, DatasetInfo> datasets;
  std::map<std::string, std::string> files;     // dataset/path, or artifact's name
  std::map<std::string, StoredUpload> uploads;  // by kind and hash
  int64_t bytes_a_stream = 1 << 30;             // streams break off after so many
  int broken_chunks = 0;                        // so many chunks are lost with UNAVAILABLE
  int streams = 0, registrations = 0;
  bool left = false;
  absl::Status register_error;

  template <typename F>
  auto With(F f) {
    base::MutexLock lock(mutex_);
    if constexpr (std::is_void_v<decltype(f())>) {
      f();
      ++generation_;
      changed_.NotifyAll();
    } else {
      auto result = f();
      ++generation_;
      changed_.NotifyAll();
      return result;
    }
  }

  absl::StatusOr<Registration> Register(const std::vector<AttemptId>& attempts) override {
    base::MutexLock lock(mutex_);
    if (away) return Away();
    if (!register_error.ok()) return register_error;
    ++registrations;
    knows_session = true;
    Registration registration{absl::Milliseconds(600), {}, {}};
    for (const AttemptId& id : attempts) {
      if (stale.contains(id)) registration.stale.push_back(id);
      for (const auto& [key, list] : events) {
        if (key.first == id) registration.cursors.push_back({id, key.second, static_cast<int64_t>(list.size())});
      }
    }
    return registration;
  }

  absl::StatusOr<Assignments> Synchronize(int64_t generation, absl::Duration wait,
                                          const std::vector<AttemptId>&) override {
    base::MutexLock lock(mutex_);
    if (away) return Away();
    if (!knows_session) return absl::FailedPreconditionError("stale_session: register again");
    if (generation == generation_) changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(wait));
    if (away) return Away();
    return Assignments{generation_, assigned};
  }

  absl::StatusOr<int64_t> ReportEvents(const AttemptId& id, int32_t rank,
                                       const std::vector<std::string>& lines) override {
    base::MutexLock lock(mutex_);
    if (absl::Status status = Check(id); !status.ok()) return status;
    auto& list = events[{id, rank}];
    for (const std::string& line : lines) {
      const int64_t seq = std::stoll(line.substr(line.find("\"seq\":") + 6));
      if (seq == static_cast<int64_t>(list.size()) + 1) list.push_back(line);
      if (seq > static_cast<int64_t>(list.size())) return absl::FailedPreconditionError("gap: expected another number");
    }
    changed_.NotifyAll();
    return static_cast<int64_t>(list.size());
  }

  absl::Status CompleteAttempt(const AttemptId& id, const Completion& completion) override {
    base::MutexLock lock(mutex_);
    if (absl::Status status = Check(id); !status.ok()) return status;
    completions[id] = completion;
    std::erase_if(assigned, [&](const Assignment& a) { return a.id == id; });
    ++generation_;
    changed_.NotifyAll();
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> AppendLog(const AttemptId& id, int64_t offset, const std::string& text) override {
    base::MutexLock lock(mutex_);
    if (absl::Status status = Check(id); !status.ok()) return status;
    std::string& log = logs[id];
    if (offset != static_cast<int64_t>(log.size())) {
      return absl::FailedPreconditionError(absl::StrCat("the log stands at ", log.size()));
    }
    log += text;
    return static_cast<int64_t>(log.size());
  }

  absl::Status Deregister() override {
    base::MutexLock lock(mutex_);
    left = true;
    return away ? Away() : absl::OkStatus();
  }

  absl::StatusOr<DatasetInfo> GetDataset(const std::string& name) override {
    base::MutexLock lock(mutex_);
    if (away) return Away();
    const auto found = datasets.find(name);
    if (found == datasets.end()) return absl::NotFoundError("no such dataset");
    return found->second;
  }

  absl::Status ReadDatasetFile(const std::string& name, const std::string& path, int64_t offset,
                               const ByteSink& sink) override {
    return Stream(name + "/" + path, offset, sink);
  }
  absl::Status ReadArtifact(const std::string& name, int64_t offset, const ByteSink& sink) override {
    return Stream(name, offset, sink);
  }

  absl::StatusOr<Upload> StartUpload(const AttemptId& id, const ArtifactFile& file) override {
    base::MutexLock lock(mutex_);
    if (absl::Status status = Check(id); !status.ok()) return status;
    const std::string name = absl::StrCat(file.kind, " ", file.sha256);
    StoredUpload& upload = uploads[name];
    upload.file = file;
    return Upload{name, static_cast<int64_t>(upload.data.size()), upload.complete};
  }

  absl::StatusOr<int64_t> UploadChunk(const std::string& name, int64_t offset, std::string_view data) override {
    base::MutexLock lock(mutex_);
    if (away) return Away();
    StoredUpload& upload = uploads[name];
    if (broken_chunks > 0) {  // half of it arrives, the answer does not
      --broken_chunks;
      upload.data.append(data.substr(0, data.size() / 2));
      return absl::UnavailableError("cut off");
    }
    if (offset != static_cast<int64_t>(upload.data.size())) return absl::FailedPreconditionError("offset");
    upload.data.append(data);
    return static_cast<int64_t>(upload.data.size());
  }

  absl::Status FinishUpload(const std::string& name) override {
    base::MutexLock lock(mutex_);
    if (away) return Away();
    StoredUpload& upload = uploads[name];
    if (base::Sha256Hex(upload.data) != upload.file.sha256) {
      upload.data.clear();
      return absl::DataLossError("the hash differs");
    }
    upload.complete = true;
    changed_.NotifyAll();
    return absl::OkStatus();
  }

  void Interrupt() override { changed_.NotifyAll(); }

 private:
  static absl::Status Away() { return absl::UnavailableError("away"); }

  absl::Status Check(const AttemptId& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (away) return Away();
    if (!knows_session) return absl::FailedPreconditionError("stale_session: register again");
    if (stale.contains(id)) return absl::FailedPreconditionError("stale_attempt: fenced");
    return absl::OkStatus();
  }

  absl::Status Stream(const std::string& name, int64_t offset, const ByteSink& sink) {
    std::string data;
    bool whole = true;
    {
      base::MutexLock lock(mutex_);
      if (away) return Away();
      ++streams;
      const auto found = files.find(name);
      if (found == files.end()) return absl::NotFoundError(name);
      data = found->second.substr(static_cast<size_t>(offset));
      whole = static_cast<int64_t>(data.size()) <= bytes_a_stream;
      if (!whole) data.resize(static_cast<size_t>(bytes_a_stream));
    }
    absl::Status taken = sink(data);
    if (!taken.ok()) return taken;
    return whole ? absl::OkStatus() : absl::UnavailableError("cut off");
  }

  base::Mutex mutex_;
  base::CondVar changed_;
  int64_t generation_ = 1;
};

}  // namespace strata::agent
