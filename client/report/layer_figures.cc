#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/report/cell.h"
#include "client/report/figures.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

constexpr int kPlaces = 5;
constexpr const char* kPlacePrefix = "gradient_norm_location_";

int LayersOf(const v1::TrialSpec& spec, const std::string& stack) {
  const auto layers = base::ParseDepth(spec.model().depth());
  if (!layers.ok()) return 0;
  return stack == "encoder" ? layers->encoder : layers->decoder;
}

// The layers, from 1, that the values of a place's vector are of. Empty if that cannot be said of so many values.
std::vector<int> MeasuredLayers(const v1::TrialSpec& spec, const std::string& stack, size_t values) {
  const int last = LayersOf(spec, stack);
  const std::string& chosen = spec.diagnostics().location_layers();
  std::vector<int> layers;
  for (const absl::string_view text : absl::StrSplit(chosen, ',', absl::SkipWhitespace())) {
    int layer = 0;
    const std::string name(absl::StripAsciiWhitespace(text));
    if (name == "last") layer = last;
    if (layer > 0 || absl::SimpleAtoi(name, &layer)) layers.push_back(layer);
  }
  if (chosen.empty()) layers = {1, (last + 1) / 2, last};  // what a probe takes
  return layers.size() == values ? layers : std::vector<int>();
}

// Norms at places (1) to (5) of each measured layer; NaN where a scheme has no such place.
std::map<int, std::array<double, kPlaces>> NormsAtPlaces(const TrialResult& result, const std::string& stack) {
  std::map<int, std::array<double, kPlaces>> norms;
  for (const auto& [name, stacks] : result.vectors) {
    const auto rows = stacks.find(stack);
    if (!absl::StartsWith(name, kPlacePrefix) || rows == stacks.end()) continue;
    const int place = name[std::string(kPlacePrefix).size()] - '0';
    if (place < 1 || place > kPlaces) continue;
    const std::vector<double>& values = rows->second.values.front();
    const std::vector<int> layers = MeasuredLayers(result.trial.spec(), stack, values.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      if (layers[i] < 1 || layers[i] > LayersOf(result.trial.spec(), stack)) continue;  // this stack is shallower
      norms.try_emplace(layers[i]).first->second.at(static_cast<size_t>(place - 1)) = values[i];
    }
  }
  return norms;
}

Line PlacesLine(const Report& report, const TrialResult& result, const std::array<double, kPlaces>& norms,
                std::set<std::string>& named) {
  Line line;
  line.label = named.insert(result.label).second ? result.label : "";
  line.style = StyleOf(report, result.label);
  line.points = true;
  for (int place = 1; place <= kPlaces; ++place) {
    line.x.push_back(place);
    line.y.push_back(norms[static_cast<size_t>(place - 1)]);
  }
  return line;
}

HeatMap ToMap(const std::vector<double>& values) {
  const size_t layers = static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(values.size()))));
  HeatMap map;
  if (layers == 0 || layers * layers != values.size()) return map;
  for (size_t row = 0; row < layers; ++row)
    map.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(row * layers),
                     values.begin() + static_cast<std::ptrdiff_t>((row + 1) * layers));
  return map;
}

}  // namespace

Figure PlacesFigure(const Report& report, const std::string& depth, const std::string& stack, Places which) {
  Figure figure;
  figure.stem = absl::StrCat("gradient-norm-at-places-", stack, "-", depth);
  figure.caption = absl::StrCat(
      "Gradient norm at places inside ", stack, " layers, ", depth,
      ", as first measured: (1) before and (2) after the self-attention's normalisation, (3) before and (4) after the "
      "cross-attention's, (5) before the feed-forward network's. A place that a scheme does not have is left out.");
  std::map<int, Panel> panels;
  std::set<std::string> named;
  for (const TrialResult& result : report.trials) {
    if (result.trial.spec().model().depth() != depth) continue;
    const auto norms = NormsAtPlaces(result, stack);
    for (const auto& [layer, values] : norms) {
      const bool last = layer == LayersOf(result.trial.spec(), stack);
      if ((which == Places::kLast && !last) || (which == Places::kAllButLast && last)) continue;
      panels[layer].lines.push_back(PlacesLine(report, result, values, named));
    }
  }
  for (auto& [layer, panel] : panels) {
    panel.title = absl::StrCat(stack == "encoder" ? "Encoder" : "Decoder", ", layer ", layer);
    panel.x_label = "Place";
    panel.y_label = "Gradient norm";
    panel.log_y = true;
    for (int place = 1; place <= kPlaces; ++place) panel.x_ticks.push_back({place, absl::StrCat("(", place, ")")});
    figure.panels.push_back(panel);
  }
  figure.columns = std::min<int>(3, std::max<int>(1, static_cast<int>(figure.panels.size())));
  return figure;
}

Figure SimilarityFigure(const Report& report, const std::string& depth) {
  Figure figure;
  figure.stem = absl::StrCat("similarity-", depth);
  figure.caption = absl::StrCat("Cosine similarity of the outputs of every two layers, ", depth,
                                ", mean over positions of the fixed validation batch, as last measured.");
  std::set<std::string> labels;
  for (const char* stack : {"encoder", "decoder"}) {
    std::set<std::string> drawn;
    for (const TrialResult& result : report.trials) {
      const Stacks& stacks = result.Vector("similarity");
      const auto rows = stacks.find(stack);
      if (result.trial.spec().model().depth() != depth || rows == stacks.end()) continue;
      Panel panel;
      panel.map = ToMap(rows->second.values.back());
      if (panel.map.empty() || !drawn.insert(result.label).second) continue;
      panel.title = absl::StrCat(result.label, ", ", stack, ", update ", rows->second.updates.back());
      panel.x_label = "Layer";
      panel.y_label = "Layer";
      figure.panels.push_back(panel);
    }
    labels.insert(drawn.begin(), drawn.end());
  }
  figure.columns = std::max<int>(1, static_cast<int>(labels.size()));
  return figure;
}

Figure DepthFigure(const Report& report) {
  Figure figure;
  figure.stem = "best-nll-by-depth";
  figure.caption =
      "Lowest validation NLL by depth, mean over seeds. A cross is the lowest that a training that failed came to.";
  figure.columns = 1;
  Panel panel;
  panel.x_label = "Layers";
  panel.y_label = "Best validation NLL (nats a token)";
  for (const std::string& depth : report.depths) panel.x_ticks.push_back({TotalLayers(depth), depth});
  for (const std::string& label : report.labels) {
    Line line;
    line.style = StyleOf(report, label);
    line.points = true;
    Line failed = line;
    failed.crosses = true;
    std::map<int, std::vector<double>> values;
    for (const ResultCell& cell : Cells(report)) {
      if (cell.label != label) continue;
      for (const TrialResult* result : cell.seeds) {
        const v1::Trial& trial = result->trial;
        if (!trial.has_best_nll()) continue;
        if (trial.state() == v1::JOB_STATE_SUCCEEDED) values[TotalLayers(cell.depth)].push_back(trial.best_nll());
        if (trial.state() != v1::JOB_STATE_DIVERGED) continue;
        failed.x.push_back(TotalLayers(cell.depth));
        failed.y.push_back(trial.best_nll());
      }
    }
    for (const auto& [layers, nlls] : values) {
      line.x.push_back(layers);
      line.y.push_back(Mean(nlls));
    }
    line.label = line.x.empty() && failed.x.empty() ? "" : label;
    panel.lines.push_back(line);
    if (!failed.x.empty()) panel.lines.push_back(failed);
  }
  figure.panels.push_back(panel);
  return figure;
}

}  // namespace strata::client
