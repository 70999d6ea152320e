// How values look in sentences. Inner to server/base/spec.
#pragma once

#include <string>

namespace strata::base {

// The text in double quotes, cut where it is very long.
std::string Quoted(const std::string& text);

// The shortest text that reads back to the same bits.
std::string ShortestNumber(double value);

}  // namespace strata::base
