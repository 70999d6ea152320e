#include "model/diagnostics/divergence.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace strata::model {
namespace {

constexpr double kAboveStart = 0.5;       // blow_up: nats above the start
constexpr double kOnceLearned = 0.5;      // blow_up: nats below the unigram level that count as having learned
constexpr double kVanishedMargin = 0.75;  // vanished: nats below the unigram level that a dead stack does not reach
constexpr double kVanishedRatio = 1e-4;   // vanished: median ratio below which gradients do not arrive
constexpr size_t kRatios = 5;             // vanished: ratios in the median
constexpr double kFlatMargin = 0.2;       // flat: nats below the unigram level
constexpr double kFlatGain = 0.01;        // flat: nats that the second half must gain over the first

}  // namespace

const char* RuleName(DivergenceRule rule) {
  switch (rule) {
    case DivergenceRule::kNonFinite:
      return "non_finite";
    case DivergenceRule::kBlowUp:
      return "blow_up";
    case DivergenceRule::kVanished:
      return "vanished";
    case DivergenceRule::kFlat:
      return "flat";
  }
  throw std::invalid_argument("no rule of divergence");
}

std::optional<double> LayerRatio(const std::vector<double>& norms) {
  if (norms.empty()) return std::nullopt;
  const double first = norms.front(), last = norms.back();
  if (!std::isfinite(first) || !std::isfinite(last) || first == 0 || last == 0) return 0.0;
  return first / last;
}

std::optional<Verdict> Judge::NonFinite(const Validation& now) const {
  if (std::isfinite(now.nll) && std::isfinite(now.loss) && std::isfinite(now.gradient_norm)) return std::nullopt;
  return Verdict{DivergenceRule::kNonFinite,
                 now.update,
                 {{"valid_nll", now.nll}, {"train_loss", now.loss}, {"gradient_norm", now.gradient_norm}}};
}

bool Judge::BlownUp(const Validation& now, std::map<std::string, double>& evidence) const {
  const double initial = validations_.front().nll, unigram = settings_.unigram_nll;
  const bool learned = best_nll_ < unigram - kOnceLearned;
  evidence = {{"valid_nll", now.nll},
              {"initial_nll", initial},
              {"initial_threshold", initial + kAboveStart},
              {"best_nll", best_nll_},
              {"unigram_nll", unigram}};
  return now.nll > initial + kAboveStart || (learned && now.nll > unigram);
}

std::optional<Verdict> Judge::Vanished(const Validation& now) const {
  const double threshold = settings_.unigram_nll - kVanishedMargin;
  if (now.update < settings_.FirstJudged() || !(now.nll > threshold)) return std::nullopt;
  std::vector<double> ratios;
  for (auto it = validations_.rbegin(); it != validations_.rend() && ratios.size() < kRatios; ++it) {
    if (it->layer_ratio) ratios.push_back(*it->layer_ratio);
  }
  if (ratios.size() < kRatios) return std::nullopt;
  std::nth_element(ratios.begin(), ratios.begin() + kRatios / 2, ratios.end());
  const double median = ratios[kRatios / 2];
  if (!(median < kVanishedRatio)) return std::nullopt;
  return Verdict{DivergenceRule::kVanished,
                 now.update,
                 {{"valid_nll", now.nll},
                  {"unigram_nll", settings_.unigram_nll},
                  {"nll_threshold", threshold},
                  {"median_ratio", median},
                  {"ratio_threshold", kVanishedRatio}}};
}

std::optional<Verdict> Judge::Flat(const Validation& now) const {
  const double threshold = settings_.unigram_nll - kFlatMargin;
  if (now.update < settings_.FirstJudged() || !(now.nll > threshold)) return std::nullopt;
  double first_half = std::numeric_limits<double>::infinity();
  for (const Validation& earlier : validations_) {
    if (earlier.update <= now.update / 2) first_half = std::min(first_half, earlier.nll);
  }
  if (!(best_nll_ > first_half - kFlatGain)) return std::nullopt;
  return Verdict{DivergenceRule::kFlat,
                 now.update,
                 {{"valid_nll", now.nll},
                  {"unigram_nll", settings_.unigram_nll},
                  {"nll_threshold", threshold},
                  {"best_nll", best_nll_},
                  {"best_first_half", first_half},
                  {"gain_threshold", kFlatGain}}};
}

std::optional<Verdict> Judge::Decide(const Validation& now) {
  if (auto verdict = NonFinite(now)) return verdict;
  std::map<std::string, double> evidence;
  const bool blown_up = BlownUp(now, evidence), twice = blown_up && was_blown_up_;
  was_blown_up_ = blown_up;
  if (twice) return Verdict{DivergenceRule::kBlowUp, now.update, evidence};
  if (blown_up) return std::nullopt;  // one validation more decides; a spike is neither vanished nor flat
  if (auto verdict = Vanished(now)) return verdict;
  return Flat(now);
}

std::optional<Verdict> Judge::Add(const Validation& validation) {
  if (validations_.empty() && validation.update != 0) {
    throw std::invalid_argument("The first validation is at update " + std::to_string(validation.update) +
                                ", but the rule needs the one at update 0, before any training.");
  }
  if (!validations_.empty() && validation.update <= validations_.back().update) {
    throw std::invalid_argument("A validation at update " + std::to_string(validation.update) + " follows the one at " +
                                std::to_string(validations_.back().update) + ". They must ascend.");
  }
  validations_.push_back(validation);
  if (validation.nll < best_nll_) best_nll_ = validation.nll;
  if (verdict_) return std::nullopt;
  verdict_ = Decide(validation);
  return verdict_;
}

bool Judge::TooShort() const {
  return !verdict_ && (validations_.empty() || validations_.back().update < settings_.FirstJudged());
}

}  // namespace strata::model
