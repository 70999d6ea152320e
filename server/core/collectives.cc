#include "server/core/collectives.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace strata::core {
namespace {

using Position = std::pair<int64_t, std::string>;  // sequence and name: the furthest behind comes first

// What an agent adds to the name of a collective in which a rank was suspended by a signal.
constexpr char kSuspended[] = ", suspended";

// "Rank 2", "Ranks 0, 1 and 3": the first 8, then how many more.
std::string Ranks(const std::vector<int32_t>& ranks) {
  constexpr size_t kShown = 8;
  std::vector<std::string> shown;
  for (size_t i = 0; i < ranks.size() && i < kShown; ++i) shown.push_back(absl::StrCat(ranks[i]));
  if (ranks.size() > kShown) shown.push_back(absl::StrCat(ranks.size() - kShown, " more"));
  if (shown.size() == 1) return "Rank " + shown.front();
  const std::string last = shown.back();
  shown.pop_back();
  return absl::StrCat("Ranks ", absl::StrJoin(shown, ", "), " and ", last);
}

std::string At(const Position& position) {
  if (position.first == 0) return "before the first collective";
  return absl::StrCat("at collective ", position.first,
                      position.second.empty() ? "" : absl::StrCat(" (", position.second, ")"));
}

}  // namespace

std::string ComparePositions(const std::vector<RankPlace>& places) {
  std::map<Position, std::vector<int32_t>> standing;
  std::set<int64_t> sequences;
  std::vector<int32_t> silent;
  for (const RankPlace& place : places) {
    if (place.sequence < 0) {
      silent.push_back(place.rank);
      continue;
    }
    standing[{place.sequence, place.collective}].push_back(place.rank);
    sequences.insert(place.sequence);
  }
  if (places.size() < 2 || standing.empty()) return "";
  std::vector<std::string> sentences;
  if (standing.size() == 1) {
    const auto& [position, ranks] = *standing.begin();
    sentences.push_back(absl::StrCat(silent.empty() ? "All ranks" : Ranks(ranks), " stood ", At(position), "."));
  }
  for (auto at = standing.begin(); standing.size() > 1 && at != standing.end(); ++at) {
    const bool behind = at == standing.begin() && sequences.size() > 1;
    const bool one = at->second.size() == 1;
    sentences.push_back(absl::StrCat(Ranks(at->second), behind ? (one ? " is behind, " : " are behind, ") : " stood ",
                                     At(at->first), "."));
  }
  if (!silent.empty())
    sentences.push_back(absl::StrCat(Ranks(silent), silent.size() == 1 ? " has" : " have", " not told."));
  return absl::StrJoin(sentences, " ");
}

int32_t RankBehind(const std::vector<RankPlace>& places) {
  int64_t least = std::numeric_limits<int64_t>::max(), most = -1;
  int32_t behind = -1, suspended = -1;
  for (const RankPlace& place : places) {
    if (place.sequence < 0) continue;
    if (place.sequence < least) behind = place.rank;
    least = std::min(least, place.sequence);
    most = std::max(most, place.sequence);
    if (place.collective.ends_with(kSuspended)) suspended = place.rank;
  }
  return least < most ? behind : suspended;
}

}  // namespace strata::core
