// Where the ranks of a gang stood when its attempt ended. Pure.
#pragma once

#include <string>
#include <vector>

#include "server/core/types.h"

namespace strata::core {

// Sentences that say which rank is behind, at which collective, and where the others stand; empty for a single rank, or
// where no rank told.
std::string ComparePositions(const std::vector<RankPlace>& places);

// The rank that held the others up: the one that is furthest behind, or, where all stand at one collective, the one
// that was suspended in it. -1: none can be told from the others.
int32_t RankBehind(const std::vector<RankPlace>& places);

}  // namespace strata::core
