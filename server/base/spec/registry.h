// The trainer's registry (schemes, tasks, metrics, options) as this build's `strata-trainer --describe` prints it.
#pragma once

#include <string>

namespace strata::base {

// JSON; "" where the build has no trainer, and names are then not checked. Lives as long as the process.
const std::string& BuiltInRegistry();

}  // namespace strata::base
