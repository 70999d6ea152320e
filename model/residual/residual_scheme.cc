#include "model/residual/residual_scheme.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace strata::model {
namespace {

struct Entry {
  SchemeInfo info;
  SchemeFactory factory;
};

std::map<std::string, Entry>& Registry() {
  static auto* registry = new std::map<std::string, Entry>();  // lives as long as the program
  return *registry;
}

const Entry& Find(const std::string& name) {
  const auto found = Registry().find(name);
  if (found != Registry().end()) return found->second;
  std::string known;
  for (const auto& [other, entry] : Registry()) known += (known.empty() ? "" : ", ") + other;
  throw std::invalid_argument("model.scheme: \"" + name + "\" is no residual scheme. Choose one of: " + known + ".");
}

}  // namespace

const char* NameOf(SublayerKind kind) {
  switch (kind) {
    case SublayerKind::kSelfAttention:
      return "self_attention";
    case SublayerKind::kCrossAttention:
      return "cross_attention";
    case SublayerKind::kFeedForward:
      return "ffn";
  }
  return "";
}

std::string ResidualScheme::NormName(int64_t layer, SublayerKind kind) const {
  const char* norm = kind == SublayerKind::kSelfAttention    ? "self_attn_layer_norm"
                     : kind == SublayerKind::kCrossAttention ? "encoder_attn_layer_norm"
                                                             : "final_layer_norm";
  return shape_.name + ".layers." + std::to_string(layer) + "." + norm;
}

void ResidualScheme::Build(ParameterStore& parameters) {
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    norms_.emplace_back();
    for (const SublayerKind kind : shape_.sublayers) {
      norms_.back().emplace_back(parameters, NormName(layer, kind), shape_.name, layer, shape_.dim);
    }
  }
}

void ResidualScheme::Tap(const Place& at, const char* name, const Tensor& x_ND) const {
  LayerTaps* taps = at.pass->taps();
  if (taps == nullptr || taps->location_layers.count(at.layer) == 0) return;
  taps->stacks[shape_.name].locations[at.layer][std::string(NameOf(at.kind)) + "_" + name] = x_ND;
}

Tensor ResidualScheme::AddNormAt(const Place& at, const Tensor& x_ND, const Branch& branch, const Tensor& bypass_ND) const {
  const LayerTaps* taps = at.pass->taps();
  if (taps == nullptr || taps->location_layers.count(at.layer) == 0) return AddNorm(x_ND, branch, bypass_ND, Norm(at));
  Tensor sum_ND = Add(x_ND, branch);
  if (bypass_ND.defined()) sum_ND = Add(sum_ND, {bypass_ND, {}});
  Tap(at, "before_norm", sum_ND);
  Tensor normed_ND = Norm(at)(sum_ND);
  Tap(at, "after_norm", normed_ND);
  return normed_ND;
}

bool RegisterScheme(const std::string& name, SchemeInfo info, SchemeFactory factory) {
  if (!Registry().emplace(name, Entry{std::move(info), std::move(factory)}).second) {
    throw std::logic_error("scheme \"" + name + "\" is registered twice");
  }
  return true;
}

std::vector<std::string> SchemeNames() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : Registry()) names.push_back(name);
  return names;
}

const SchemeInfo& DescribeScheme(const std::string& name) { return Find(name).info; }

std::unique_ptr<ResidualScheme> MakeScheme(const std::string& name, StackShape shape) {
  return Find(name).factory(std::move(shape));
}

void CheckSchemeTakes(const std::string& scheme, const std::string& task) {
  const std::vector<std::string>& tasks = Find(scheme).info.tasks;
  if (!tasks.empty() && std::find(tasks.begin(), tasks.end(), task) == tasks.end()) {
    throw std::invalid_argument("model.scheme \"" + scheme + "\" does not take task.kind \"" + task + "\".");
  }
}

}  // namespace strata::model
