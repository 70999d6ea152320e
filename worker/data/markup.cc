#include "worker/data/markup.h"

#include <algorithm>

namespace strata::data {
namespace {

// Where each section starts, and the end.
std::vector<size_t> Sections(const std::vector<Block>& blocks) {
  std::vector<size_t> starts = {0};
  for (size_t i = 1; i < blocks.size(); ++i) {
    if (blocks[i].heading) starts.push_back(i);
  }
  starts.push_back(blocks.size());
  return starts;
}

}  // namespace

void AlignBlocks(const std::vector<Block>& source, const std::vector<Block>& target, std::vector<Pair>* pairs) {
  const std::vector<size_t> from = Sections(source), to = Sections(target);
  if (from.size() != to.size()) return;
  for (size_t s = 0; s + 1 < from.size(); ++s) {
    const auto first = source.begin() + static_cast<std::ptrdiff_t>(from[s]);
    const auto last = source.begin() + static_cast<std::ptrdiff_t>(from[s + 1]);
    const auto other = target.begin() + static_cast<std::ptrdiff_t>(to[s]);
    const auto other_last = target.begin() + static_cast<std::ptrdiff_t>(to[s + 1]);
    if (!std::equal(first, last, other, other_last, [](const Block& a, const Block& b) { return a.kind == b.kind; }))
      continue;
    for (auto a = first, b = other; a != last; ++a, ++b) {
      if (!a->unfit && !b->unfit) AddParagraph(a->text, b->text, pairs);
    }
  }
}

}  // namespace strata::data
