// Datasets that this worker has, by digest: fetched once from the coordinator, each file verified by its hash, visible
// only when whole. A fetch that was cut off goes on where it was.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "worker/agent/coordinator.h"

namespace strata::agent {

// Thread-safe. One fetch at a time; others wait for it, unless what they want is here already.
class DatasetCache {
 public:
  DatasetCache(std::string folder, Coordinator& coordinator) : folder_(std::move(folder)), coordinator_(coordinator) {}

  // The dataset's folder, fetched if it is not here. `give_up` ends a fetch early with CANCELLED.
  // NOT_FOUND: the coordinator has no such dataset, or only another content of that name; a sentence with the remedy.
  // DATA_LOSS: a file arrives with another hash than the manifest's. RESOURCE_EXHAUSTED: this disk is full.
  // Whatever passes (coordinator away) is waited for.
  absl::StatusOr<std::string> Ensure(const std::string& dataset, const std::string& digest,
                                     const std::function<bool()>& give_up);

  // A trainer found it broken: the next Ensure hashes its files again and fetches those that differ.
  void Suspect(const std::string& digest);

 private:
  absl::Status FetchAlone(const std::string& dataset, const std::string& digest, const std::string& folder,
                          const std::function<bool()>& give_up);
  absl::Status FetchFiles(const std::string& dataset, const std::string& digest, const std::string& folder,
                          const std::function<bool()>& give_up);

  const std::string folder_;
  Coordinator& coordinator_;
  base::Mutex mutex_;
  base::CondVar idle_;
  bool fetching_ ABSL_GUARDED_BY(mutex_) = false;
};

// Streams from `read(offset, sink)` into `path` by way of `path`.part, going on where an earlier try ended; verifies
// length and SHA-256, then renames. What passes is tried again until `give_up`, and what arrives damaged a few times:
// DATA_LOSS where it is damaged in the same way again.
struct Download {
  std::string path;
  int64_t bytes = -1;  // -1: not known before
  std::string sha256;
  std::function<absl::Status(int64_t offset, const ByteSink& sink)> read;
};
absl::Status Fetch(const Download& download, const std::function<bool()>& give_up);

}  // namespace strata::agent
