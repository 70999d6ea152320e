// The row of measurements of one update.
#pragma once

#include "model/diagnostics/inspect.h"
#include "worker/trainer/events.h"

namespace strata::trainer {

class MeasurementRow {
 public:
  void Scalar(const std::string& name, double value) { scalars_[name] = NumberJson(value); }
  void Vectors(const std::string& name, const model::NormsByStack& by_stack) {
    for (const auto& [stack, values] : by_stack) {
      Json list = Json::array();
      for (const double value : values) list.push_back(NumberJson(value));
      vectors_.push_back({{"name", name}, {"stack", stack}, {"values", list}});
    }
  }
  void Vectors(const model::Vectors& vectors) {
    for (const auto& [name, by_stack] : vectors) Vectors(name, by_stack);
  }
  // Emits `measurements` unless there is nothing.
  void Emit(EventLog& events, int64_t update) const {
    if (scalars_.empty() && vectors_.empty()) return;
    events.Emit("measurements", {{"update", update}, {"scalars", scalars_}, {"vectors", vectors_}});
  }

 private:
  Json scalars_ = Json::object(), vectors_ = Json::array();
};

}  // namespace strata::trainer
