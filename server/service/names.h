// Resource names: experiments/{e}/trials/{t}/jobs/{j}, .../artifacts/{a}, workers/{w}, datasets/{d}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::service {

// The ids in `name`, which must have the form of `pattern`: "experiments/*/trials/*". InvalidArgument shows the form.
absl::StatusOr<std::vector<std::string>> ParseName(const std::string& name, const std::string& pattern);

// Everything before the last collection: the trial of a job or an artifact, the experiment of a trial.
std::string ParentOf(const std::string& name);
// The last id.
std::string LeafOf(const std::string& name);
// Whether this is the leaf of the job that a trial stands for: train, or probe where nothing is trained.
bool IsMainLeaf(std::string_view leaf);
// Lower-case letters, digits, dots and hyphens, not more than `longest`, beginning with a letter or digit.
bool IsId(std::string_view text, size_t longest);

}  // namespace strata::service
