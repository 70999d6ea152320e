// Figures of a prepared dataset, for people: they stand in its manifest.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "worker/data/prepare.h"

namespace strata::data {

// Pairs read, kept and dropped by reason; words, subwords, lengths and unknowns of either side.
nlohmann::ordered_json SplitStatistics(const EncodedSplit& split);

// Cross entropy, in nats a token, of valid's targets (eos included) under the add-one unigram counts of train's: the
// level that a model which learns nothing but frequencies reaches.
double UnigramLevel(const EncodedSplit& train, const EncodedSplit& valid, size_t vocabulary_size);

// Pairs of `held_out` of which a side stands in train, word for word.
uint64_t Overlap(const EncodedSplit& train, const EncodedSplit& held_out);

}  // namespace strata::data
