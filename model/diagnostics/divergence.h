// Has a training failed? The rule behind DIVERGED ("Training failed" in the paper's tables), in words in
// docs/DIVERGENCE.md.
//
// Plain C++, pure: the same validations give the same verdict. A Judge is fed each validation in order; its state is
// the list of them, so it is restored by feeding them again.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::model {

enum class DivergenceRule { kNonFinite = 1, kBlowUp = 2, kVanished = 3, kFlat = 4 };

// "non_finite", "blow_up", "vanished", "flat".
const char* RuleName(DivergenceRule rule);

// What one validation knows. Numbers may be NaN or infinite.
struct Validation {
  int64_t update = 0;                 // updates done; the first validation's is 0, before any training
  double nll = 0;                     // plain NLL on the validation set, nats a token
  double loss = 0;                    // training loss, not finite if it was not at any update since the last validation
  double gradient_norm = 0;           // of all parameters, likewise
  std::optional<double> layer_ratio;  // gradient norm of the layer's output, first over last layer (see LayerRatio)
};

struct JudgeSettings {
  double unigram_nll = 0;  // cross entropy of the validation targets under the training targets' unigram counts
  int64_t warmup = 0;      // updates of learning-rate warm-up
  int64_t judge_after = 400;

  // Rules `vanished` and `flat` are silent before this update.
  int64_t FirstJudged() const { return warmup > judge_after ? warmup : judge_after; }
};

struct Verdict {
  DivergenceRule rule = DivergenceRule::kNonFinite;
  int64_t update = 0;
  std::map<std::string, double> evidence;  // the values and thresholds that decided, by name
};

// First over last of `norms` (one a layer, first to last); 0 where either is 0 or not finite; nothing for no layers.
std::optional<double> LayerRatio(const std::vector<double>& norms);

// Not thread-safe.
class Judge {
 public:
  explicit Judge(JudgeSettings settings) : settings_(settings) {}

  // The verdict if this validation brings the first one, else nothing. Validations come in order of their updates, the
  // first at 0: throws std::invalid_argument otherwise.
  std::optional<Verdict> Add(const Validation& validation);

  const std::vector<Validation>& validations() const { return validations_; }
  const std::optional<Verdict>& verdict() const { return verdict_; }  // the first
  // Without a verdict, and too few updates for rules 3 and 4 to speak.
  bool TooShort() const;
  double best_nll() const { return best_nll_; }  // lowest so far; infinite before the first
  const JudgeSettings& settings() const { return settings_; }

 private:
  std::optional<Verdict> NonFinite(const Validation& now) const;
  // Whether `now` stands above initialisation, or above the unigram level after having been well below it.
  bool BlownUp(const Validation& now, std::map<std::string, double>& evidence) const;
  std::optional<Verdict> Vanished(const Validation& now) const;
  std::optional<Verdict> Flat(const Validation& now) const;
  std::optional<Verdict> Decide(const Validation& now);

  JudgeSettings settings_;
  std::vector<Validation> validations_;
  std::optional<Verdict> verdict_;
  double best_nll_ = std::numeric_limits<double>::infinity();
  bool was_blown_up_ = false;  // at the last validation
};

}  // namespace strata::model
