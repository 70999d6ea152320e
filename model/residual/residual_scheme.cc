#include "model/residual/residual_scheme.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sstream>
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

namespace {

[[noreturn]] void RefuseOption(const std::string& scheme, const std::string& item,
                               const std::vector<SchemeOption>& options) {
  std::string known;
  for (const SchemeOption& option : options) known += (known.empty() ? "" : ", ") + option.name;
  throw std::invalid_argument("model.scheme_options: \"" + item + "\" sets no option of the scheme " + scheme + ". " +
                              (known.empty() ? "It has none: leave model.scheme_options empty."
                                             : "Write NAME=VALUE with one of: " + known + "."));
}

void CheckOption(const std::string& scheme, const SchemeOption& option, const std::string& value) {
  if (value == option.default_value) return;
  const std::string start =
      "model.scheme_options: " + option.name + " of the scheme " + scheme + " is \"" + value + "\"";
  if (!option.choices.empty()) {
    if (std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end()) return;
    std::string known;
    for (const std::string& choice : option.choices) known += (known.empty() ? "" : ", ") + choice;
    throw std::invalid_argument(start + ". Choose one of: " + known + ".");
  }
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || !(number >= option.min && number <= option.max)) {
    std::ostringstream range;
    range << option.min << " to " << option.max;
    throw std::invalid_argument(start + ". Write a number from " + range.str() + ".");
  }
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

std::string ResidualScheme::Option(const std::string& name) const {
  return SchemeOptions(shape_.config->scheme, shape_.config->scheme_options).at(name);
}

double ResidualScheme::Option(const std::string& name, double automatic) const {
  const std::string value = Option(name);
  return value == "auto" ? automatic : std::stod(value);
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

Tensor ResidualScheme::AddNormAt(const Place& at, const Tensor& x_ND, const Branch& branch, const ResidualTerms& terms,
                                 const Tensor& after_ND) const {
  const LayerTaps* taps = at.pass->taps();
  if (taps == nullptr || taps->location_layers.count(at.layer) == 0)
    return AddNorm(x_ND, branch, terms, Norm(at), after_ND);
  const Tensor sum_ND = Add(x_ND, branch, terms);
  Tap(at, "before_norm", sum_ND);
  const Tensor normed_ND = Norm(at)(sum_ND);
  Tap(at, "after_norm", normed_ND);
  return after_ND.defined() ? Add(normed_ND, {after_ND, {}}) : normed_ND;
}

Tensor ResidualScheme::NormAddAt(const Place& at, const Tensor& x_ND, const SublayerFn& f) const {
  Tap(at, "before_norm", x_ND);
  const Tensor normed_ND = Norm(at)(x_ND);
  Tap(at, "after_norm", normed_ND);
  return Add(x_ND, f(normed_ND));
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

std::map<std::string, std::string> SchemeOptions(const std::string& scheme, const std::string& text) {
  const std::vector<SchemeOption>& options = Find(scheme).info.options;
  std::map<std::string, std::string> values;
  for (const SchemeOption& option : options) values[option.name] = option.default_value;
  std::set<std::string> set;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const size_t equals = item.find('=');
    const std::string name = item.substr(0, equals);
    const auto option = std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.name == name; });
    if (option == options.end() || equals == std::string::npos) RefuseOption(scheme, item, options);
    if (!set.insert(name).second) {
      throw std::invalid_argument("model.scheme_options sets " + name + " of the scheme " + scheme +
                                  " twice. Leave one of them out.");
    }
    values[name] = item.substr(equals + 1);
    CheckOption(scheme, *option, values[name]);
  }
  return values;
}

void CheckSchemeTakes(const std::string& scheme, const std::string& task) {
  const std::vector<std::string>& tasks = Find(scheme).info.tasks;
  if (!tasks.empty() && std::find(tasks.begin(), tasks.end(), task) == tasks.end()) {
    throw std::invalid_argument("model.scheme \"" + scheme + "\" does not take task.kind \"" + task + "\".");
  }
}

}  // namespace strata::model
