// What the agent asks of the coordinator, as plain values: the seam between the agent's logic and gRPC. Tests have a
// fake. Meaning and status codes are those of proto/strata/v1 (worker_service, artifact_service, dataset_service).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/agent/assignment.h"

namespace strata::agent {

struct Cursor {
  AttemptId id;
  int32_t rank = 0;
  int64_t acknowledged = 0;
};

struct Registration {
  absl::Duration lease = absl::Seconds(6);
  std::vector<Cursor> cursors;
  std::vector<AttemptId> stale;
};

struct DatasetInfo {
  std::string digest;
  std::string manifest;  // the text of manifest.json
};

// A file that a trainer left.
struct ArtifactFile {
  std::string kind;  // checkpoint_resumable, checkpoint_best, checkpoint_final, checkpoint_epoch, or the trainer's name
  std::string sha256;
  int64_t bytes = 0;
  int32_t update = 0;
  std::string file_name;
};

struct Upload {
  std::string id;
  int64_t offset = 0;     // go on from here
  bool complete = false;  // the coordinator has it already
};

// Takes the next bytes of a stream; an error ends it and is returned.
using ByteSink = std::function<absl::Status(std::string_view)>;

// Thread-safe. Calls block, each no longer than a few seconds but Synchronize and the streams; every call carries the
// session of the last Register. While the coordinator is away they return UNAVAILABLE or DEADLINE_EXCEEDED.
class Coordinator {
 public:
  virtual ~Coordinator() = default;

  virtual absl::StatusOr<Registration> Register(const std::vector<AttemptId>& attempts) = 0;
  virtual absl::StatusOr<Assignments> Synchronize(int64_t generation, absl::Duration wait,
                                                  const std::vector<AttemptId>& running) = 0;
  // Returns the last seq that is committed.
  virtual absl::StatusOr<int64_t> ReportEvents(const AttemptId& id, int32_t rank,
                                               const std::vector<std::string>& events) = 0;
  virtual absl::Status CompleteAttempt(const AttemptId& id, const Completion& completion) = 0;
  // Returns where the log stands now.
  virtual absl::StatusOr<int64_t> AppendLog(const AttemptId& id, int64_t offset, const std::string& text) = 0;
  virtual absl::Status Deregister() = 0;

  virtual absl::StatusOr<DatasetInfo> GetDataset(const std::string& name) = 0;
  virtual absl::Status ReadDatasetFile(const std::string& name, const std::string& path, int64_t offset,
                                       const ByteSink& sink) = 0;
  virtual absl::Status ReadArtifact(const std::string& name, int64_t offset, const ByteSink& sink) = 0;
  virtual absl::StatusOr<Upload> StartUpload(const AttemptId& id, const ArtifactFile& file) = 0;
  // Returns how many bytes are acknowledged.
  virtual absl::StatusOr<int64_t> UploadChunk(const std::string& upload, int64_t offset, std::string_view data) = 0;
  virtual absl::Status FinishUpload(const std::string& upload) = 0;

  // Ends a Synchronize that waits, from another thread.
  virtual void Interrupt() = 0;
};

// What an error of the coordinator means to the agent.
enum class Trouble {
  kNone,
  kPassing,       // away, overloaded, disk full: try again
  kStaleSession,  // register again
  kStaleAttempt,  // fenced: end its processes
  kRefused,       // no use in repeating it
};
Trouble Classify(const absl::Status& status);

}  // namespace strata::agent
