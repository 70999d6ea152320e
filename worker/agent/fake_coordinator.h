// A coordinator in memory for the agent's tests: keeps what it is told, refuses what is stale, can be away.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/base/mutex.h"
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

  // What tests set and look at, inside With().
  std::vector<Assignment> assigned;
  std::set<AttemptId> stale;
  bool away = false;
  bool knows_session = true;
  bool leave = false;  // the worker is drained
  std::map<std::pair<AttemptId, int32_t>, std::vector<std::string>> events;
  std::map<AttemptId, Completion> completions;
  std::map<AttemptId, std::string> logs;
  std::map<std::string, DatasetInfo> datasets;
  std::map<std::string, std::string> files;     // dataset/path, or artifact's name
  std::map<std::string, StoredUpload> uploads;  // by kind and hash
  std::vector<std::string> finished;            // uploads in the order in which they ended, as "kind update"
  int64_t bytes_a_stream = 1 << 30;             // streams break off after so many
  int broken_chunks = 0;                        // so many chunks are lost with UNAVAILABLE
  int spoiled_chunks = 0;                       // so many chunks arrive damaged
  std::function<absl::Status(int64_t offset)> on_chunk;  // called without the lock; an error is the chunk's answer
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

  absl::StatusOr<Registration> Register(const std::vector<AttemptId>& attempts) override;
  absl::StatusOr<Assignments> Synchronize(int64_t generation, absl::Duration wait,
                                          const std::vector<AttemptId>&) override;
  absl::StatusOr<int64_t> ReportEvents(const AttemptId& id, int32_t rank,
                                       const std::vector<std::string>& lines) override;
  absl::Status CompleteAttempt(const AttemptId& id, const Completion& completion) override;
  absl::StatusOr<int64_t> AppendLog(const AttemptId& id, int64_t offset, const std::string& text) override;
  absl::Status Deregister() override;
  absl::StatusOr<DatasetInfo> GetDataset(const std::string& name) override;
  absl::Status ReadDatasetFile(const std::string& name, const std::string& path, int64_t offset,
                               const ByteSink& sink) override;
  absl::Status ReadArtifact(const std::string& name, int64_t offset, const ByteSink& sink) override;
  absl::StatusOr<Upload> StartUpload(const AttemptId& id, const ArtifactFile& file) override;
  absl::StatusOr<int64_t> UploadChunk(const std::string& name, int64_t offset, std::string_view data) override;
  absl::Status FinishUpload(const std::string& name) override;
  void Interrupt() override { changed_.NotifyAll(); }

 private:
  static absl::Status Away() { return absl::UnavailableError("away"); }

  absl::Status Check(const AttemptId& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Stream(const std::string& name, int64_t offset, const ByteSink& sink);

  base::Mutex mutex_;
  base::CondVar changed_;
  int64_t generation_ = 1;
};

}  // namespace strata::agent
