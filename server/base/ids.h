// Identifiers that nobody can guess and that never collide.
#pragma once

#include <string>

namespace strata::base {

// `bytes` random bytes from the kernel, in hex.
std::string RandomHex(int bytes = 16);

}  // namespace strata::base
