// The registry as JSON: what `strata-trainer --describe` prints and coordinator and command line are built with.
#pragma once

#include <nlohmann/json.hpp>

namespace strata::model {

// {"schemes": [{name, summary, source, tasks, options: [{name, summary, default, choices | min, max}], schedule}], "tasks": [{name, summary, metrics, depth, share_embeddings}],
//  "metrics": [{name, summary, tasks, higher_is_better, decodes, values}], "options": [{name, summary, schemes, tasks}]}, sorted by name.
nlohmann::json Describe();

}  // namespace strata::model
