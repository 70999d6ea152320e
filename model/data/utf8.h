// UTF-8, as the Unicode standard defines well-formed sequences.
#pragma once

#include <cstddef>
#include <string_view>

namespace strata::model {

// Length of the well-formed character that `bytes` starts with; 0 if it starts with none (or is empty).
size_t CharacterLength(std::string_view bytes);

}  // namespace strata::model
