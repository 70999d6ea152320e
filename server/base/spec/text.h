// How values look in sentences. Inner to server/base/spec.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace strata::base {

// The text in double quotes, cut where it is very long.
std::string Quoted(const std::string& text);

// The shortest text that reads back to the same bits.
std::string ShortestNumber(double value);

struct Field;

// A text of several values (FieldRule.form) in its one canonical form; others as they are. INVALID_ARGUMENT says what
// is wrong with it.
absl::StatusOr<std::string> CanonicalText(const Field& field, const std::string& text);

}  // namespace strata::base
