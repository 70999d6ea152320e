// The writes of upkeep; see transaction.h.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace strata::store {

// Deletes experiments with all that is theirs: trials, jobs, attempts, measurements, artifacts' and uploads' rows.
// FailedPrecondition if a trial of another experiment refers to one of their trials or jobs; names both.
struct EraseExperiments {
  std::vector<std::string> names;
};
// FailedPrecondition if trials use it, unless `though_used`. Its name is without datasets/.
struct EraseDataset {
  std::string name;
  bool though_used = false;
};
// Its file is damaged, and awaited again. The dataset stays complete.
struct ReopenDatasetFile {
  std::string dataset, path;
};
// All rows of vectors of a job.
struct EraseVectors {
  std::string job;
};
// Artifacts of this kind of the job went by their age.
struct NoteCollected {
  std::string job, kind;
  absl::Time time;
};
// What a deletion answered, for the same request asked again.
struct PutDeletion {
  std::string request_id;
  absl::Time time;
  std::string answer;
};

}  // namespace strata::store
