// UTF-8 in logs: what trainers and libraries print may hold any bytes, and gRPC's strings may not.
#pragma once

#include <cstddef>
#include <string>

namespace strata::base {

// Bytes of the UTF-8 character at `at` (at < text.size()): 1 to 4; 0 if none begins there; -1 if the text ends inside it.
int Utf8Length(const std::string& text, size_t at);

}  // namespace strata::base
