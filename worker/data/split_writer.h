// Encodes the text of one split and writes it: shards, raw text for scoring, figures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/data/manifest.h"
#include "worker/data/statistics.h"
#include "worker/data/vocabulary.h"

namespace strata::data {

// A split's lines. Line n of each belongs together; `source` is empty for one stream, `reference` is the text that
// hypotheses are scored against (often `target` itself).
struct SplitLines {
  std::span<const std::string_view> source, target, reference;
};

struct SplitForm {
  std::string name;
  int streams = 2;
  int max_length = 0;       // subwords; pairs with a longer side are dropped; 0: none are
  bool keep_empty = false;  // else pairs with an empty side are dropped
  bool with_text = false;   // raw text under text/
};

// Called for each pair that is kept.
class SplitVisitor {
 public:
  virtual ~SplitVisitor() = default;
  virtual void Kept(std::string_view source, std::string_view target) = 0;
};

// Writes into `folder`, a million sentences a shard, encoding on all cores. `visitor` may be null. Words and lines are
// counted where there is one stream. Throws model::DataError.
model::DatasetSplit WriteSplit(const std::filesystem::path& folder, const Vocabulary& vocabulary,
                               const SplitLines& lines, const SplitForm& form, SplitVisitor* visitor,
                               SplitFigures* figures);

}  // namespace strata::data
