// Where the main score of a trial is stored: the first value of its first evaluation.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "strata/v1/resources.pb.h"

namespace strata::client::top {

struct ScoreQuery {
  std::string metric;             // name of the series
  std::vector<std::string> jobs;  // full names; the first that has points tells
  int attempts = 0;               // of the evaluation: after another one the score is another
};

// Nothing while there is no score.
std::optional<ScoreQuery> QueryOf(const v1::Trial& trial);

}  // namespace strata::client::top
