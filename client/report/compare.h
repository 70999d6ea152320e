// Experiments side by side.
#pragma once

#include <string>
#include <vector>

#include "client/report/report.h"

namespace strata::client {

// What a row of the lowest validation NLL is called.
inline constexpr const char* kBestNll = "best NLL";

// "bleu test", "bleu average", "rouge1 test (evaluate-2)".
std::string ScoreName(const Score& score);

// Two or more experiments: their configurations (only the fields that differ), their cells, and how each differs from
// the first one's. Cells are matched by scheme, depth and what a label says.
Document CompareDocument(const std::vector<Report>& reports);

}  // namespace strata::client
