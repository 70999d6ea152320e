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

namespace strata::agent {

struct AttemptId {
  std::string job;  // experiments/{experiment}/trials/{trial}/jobs/{job}
  int32_t attempt = 0;
  auto operator<=>(const AttemptId&) const = default;
};

enum class JobKind { kTrain, kEvaluate, kProbe };

struct RankSlot {
  int32_t rank = 0;
  int32_t slot = 0;
  bool operator==(const RankSlot&) const = default;
};

// A stored checkpoint.
struct CheckpointRef {
  std::string artifact;
  std::string sha256;
  std::string file_name;
  bool operator==(const CheckpointRef&) const = default;
};

// The ranks of one attempt that should run here, or stop.
struct Assignment {
  AttemptId id;
  JobKind kind = JobKind::kTrain;
  std::vector<RankSlot> ranks;
  int32_t world_size = 1;
  std::string spec_json;
  std::string dataset;  // datasets/{dataset}
  std::string dataset_digest;
  bool stop = false;
  bool checkpoint = false;              // with stop: write a checkpoint first
  CheckpointRef checkpoint_from;        // to go on from, or to evaluate; artifact empty: none
  std::vector<CheckpointRef> averaged;  // EVALUATE of a mean: its weights, oldest first
  int32_t evaluation = 0;
  std::string rendezvous;  // host:port of rank 0, once known
};

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

struct Assignments {
  int64_t generation = 0;
  std::vector<Assignment> list;
  bool leave = false;  // this worker is drained: sign off and end once nothing runs
};

// The last collective that a rank has begun.
struct RankPosition {
  int32_t rank = 0;
  int64_t sequence = 0;  // from 1; 0: none yet
  std::string name;
};

// How an attempt ended here.
struct Completion {
  std::string outcome;  // succeeded, diverged, stopped, failed
  std::string cause;
  std::string message;
  std::vector<RankPosition> positions;  // of the ranks here, where the attempt has several
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
