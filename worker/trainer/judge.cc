#include "worker/trainer/judge.h"

#include <cmath>
#include <limits>
#include <sstream>
#include <vector>

#include "model/data/file.h"
#include "model/diagnostics/divergence.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

using nlohmann::json;

// Reads one line of a curve; errors name it.
class CurveLine {
 public:
  CurveLine(std::string place, const std::string& text) : place_(std::move(place)) {
    try {
      object_ = json::parse(text);
    } catch (const json::exception&) {
      Bad("is no JSON");
    }
    if (!object_.is_object()) Bad("is no JSON object");
  }

  [[noreturn]] void Bad(const std::string& what) const { throw Failure(Cause::kBadSpec, place_ + " " + what + "."); }

  bool Has(const char* key) const { return object_.contains(key); }

  // NaN for null.
  double Number(const char* key) const {
    if (!Has(key)) Bad(std::string("lacks \"") + key + "\"");
    return ToNumber(key, object_.at(key));
  }
  double FiniteNumber(const char* key) const {
    const double value = Number(key);
    if (!std::isfinite(value)) Bad(std::string("has a \"") + key + "\" that is not finite");
    return value;
  }
  int64_t Count(const char* key) const {
    const double value = FiniteNumber(key);
    if (value < 0 || value != std::floor(value) || value > 9e15)
      Bad(std::string("has a \"") + key + "\" that is no whole number from 0 on");
    return static_cast<int64_t>(value);
  }
  // Any of `keys` that stands there and is not finite, else the first one's value, else 0.
  double Worst(const std::vector<const char*>& keys) const {
    double result = Has(keys[0]) ? Number(keys[0]) : 0;
    for (const char* key : keys) {
      if (Has(key) && !std::isfinite(Number(key))) result = Number(key);
    }
    return result;
  }
  std::optional<double> Ratio(const char* key) const {
    if (!Has(key)) return std::nullopt;
    if (object_.at(key).is_null()) return 0.0;
    if (!object_.at(key).is_array()) Bad(std::string("has a \"") + key + "\" that is no list of norms");
    std::vector<double> norms;
    for (const json& value : object_.at(key)) norms.push_back(ToNumber(key, value));
    return model::LayerRatio(norms);
  }

 private:
  double ToNumber(const char* key, const json& value) const {
    if (value.is_null() || value == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (value == "Infinity" || value == "-Infinity") return std::numeric_limits<double>::infinity();
    if (!value.is_number()) Bad(std::string("has a \"") + key + "\" that is no number");
    return value.get<double>();
  }

  std::string place_;
  json object_;
};

model::Validation ReadValidation(const CurveLine& line) {
  return {.update = line.Count("update"),
          .nll = line.Number("val_nll"),
          .loss = line.Worst({"train_loss", "train_nll"}),
          .gradient_norm = line.Worst({"grad_norm", "grad_norm_max"}),
          .layer_ratio = line.Has("dec") ? line.Ratio("dec") : line.Ratio("enc")};
}

}  // namespace

nlohmann::ordered_json JudgeCurve(const std::string& file) {
  std::string text;
  try {
    text = model::ReadFile(file);
  } catch (const std::exception& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
  std::istringstream lines(text);
  std::optional<model::Judge> judge;
  int number = 0;
  for (std::string one; std::getline(lines, one);) {
    ++number;
    if (one.find_first_not_of(" \t\r") == std::string::npos) continue;
    const CurveLine line(file + ":" + std::to_string(number) + ":", one);
    if (!judge) {
      model::JudgeSettings settings{.unigram_nll = line.FiniteNumber("unigram_nll"), .warmup = line.Count("warmup")};
      if (line.Has("judge_after")) settings.judge_after = line.Count("judge_after");
      judge.emplace(settings);
      continue;
    }
    try {
      judge->Add(ReadValidation(line));
    } catch (const std::invalid_argument& error) {
      line.Bad(std::string("does not fit: ") + error.what());
    }
  }
  if (!judge || judge->validations().empty()) {
    throw Failure(Cause::kBadSpec, file + " is no curve: it needs a header line and at least one validation.");
  }
  if (judge->verdict()) {
    return {{"verdict", "DIVERGED"},
            {"rule", model::RuleName(judge->verdict()->rule)},
            {"update", judge->verdict()->update}};
  }
  return {{"verdict", judge->TooShort() ? "TOO_SHORT" : "TRAINS"}, {"rule", nullptr}, {"update", nullptr}};
}

}  // namespace strata::trainer
