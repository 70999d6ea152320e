// Resource names as people write them: "quickstart-1", "quickstart-1/t3", "quickstart-1/t3/train", or in full.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace strata::client {

enum class NameKind { kExperiment, kTrial, kJob };

struct Name {
  NameKind kind = NameKind::kExperiment;
  std::string full;  // experiments/quickstart-1/trials/t3/jobs/train
};

// INVALID_ARGUMENT: neither form. Whether the resource exists is the service's to say.
absl::StatusOr<Name> ParseName(const std::string& text);

// The same, refusing another kind of thing than `kind`; for a job a trial's name stands for its TRAIN job.
absl::StatusOr<std::string> ParseNameOf(NameKind kind, const std::string& text);

// "experiments/quickstart-1/trials/t3" -> "quickstart-1/t3"; "workers/w1" -> "w1". Other texts stay as they are.
std::string ShortName(const std::string& full);

// The part after the last slash.
std::string LastPart(const std::string& name);

// "experiments/e-1/trials/t1/jobs/train" -> "experiments/e-1/trials/t1"; a trial -> its experiment.
std::string ParentOf(const std::string& full);

}  // namespace strata::client
