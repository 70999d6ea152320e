// `strata-trainer --judge`: the rule of divergence over a recorded curve. Plain C++.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace strata::trainer {

// Reads a curve (JSON lines: a header with unigram_nll, warmup and maybe judge_after; then one validation a line with
// update, val_nll, train_loss, train_nll, grad_norm, grad_norm_max, enc, dec; null and "NaN" are not finite) and
// returns
// {"verdict": "DIVERGED" | "TRAINS" | "TOO_SHORT", "rule": name or null, "update": number or null}. A field other than
// update and val_nll may be missing and says nothing then. Throws Failure (bad_spec) naming file, line and what is
// wrong.
nlohmann::ordered_json JudgeCurve(const std::string& file);

}  // namespace strata::trainer
