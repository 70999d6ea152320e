#include "client/report/figures.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/format.h"

namespace strata::client {
namespace {

constexpr int kPanelsAcross = 3;

// The key names each kind once, whatever number of seeds and panels show it.
std::string KeyLabel(const std::string& label, std::set<std::string>& named) {
  return named.insert(label).second ? label : "";
}

Line CurveLine(const Report& report, const TrialResult& result, const Curve& curve, std::set<std::string>& named) {
  Line line;
  line.label = curve.updates.empty() ? "" : KeyLabel(result.label, named);
  line.style = StyleOf(report, result.label);
  line.x.assign(curve.updates.begin(), curve.updates.end());
  line.y = curve.values;
  line.failed = result.trial.state() == v1::JOB_STATE_DIVERGED;
  return line;
}

Line LayerLine(const Report& report, const TrialResult& result, const LayerRows& rows, size_t row,
               std::set<std::string>& named) {
  Line line;
  line.label = KeyLabel(result.label, named);
  line.style = StyleOf(report, result.label);
  line.points = true;
  for (size_t layer = 0; layer < rows.values[row].size(); ++layer) line.x.push_back(static_cast<double>(layer + 1));
  line.y = rows.values[row];
  return line;
}

// About five layers from the first to the last.
std::vector<size_t> Sampled(size_t layers) {
  std::set<size_t> sampled;
  for (size_t i = 0; i <= 4 && layers > 0; ++i) sampled.insert((layers - 1) * i / 4);
  return {sampled.begin(), sampled.end()};
}

Figure TimeFigure(const TrialResult& result) {
  Figure figure;
  figure.stem = absl::StrCat("gradient-norm-over-time-", absl::StrReplaceAll(result.id, {{"/", "-"}}));
  figure.caption =
      absl::StrCat("Gradient norm at layers' outputs while ", result.id, " (", result.label, " ",
                   result.trial.spec().model().depth(), ", seed ", result.trial.spec().train().seed(), ") diverged.");
  figure.sequential = true;
  std::set<std::string> named;
  for (const auto& [stack, rows] : result.Vector("gradient_norm_output")) {
    Panel panel;
    panel.title = stack == "encoder" ? "Encoder" : "Decoder";
    panel.x_label = "Updates";
    panel.y_label = "Gradient norm";
    panel.log_y = true;
    const std::vector<size_t> sampled = Sampled(rows.values[0].size());
    for (size_t i = 0; i < sampled.size(); ++i) {
      Line line;
      line.label = KeyLabel(absl::StrCat("layer ", sampled[i] + 1), named);
      line.style = static_cast<int>(i);
      line.points = true;
      for (size_t row = 0; row < rows.updates.size(); ++row) {
        if (sampled[i] >= rows.values[row].size()) continue;
        line.x.push_back(rows.updates[row]);
        line.y.push_back(rows.values[row][sampled[i]]);
      }
      panel.lines.push_back(line);
    }
    figure.panels.push_back(panel);
  }
  std::reverse(figure.panels.begin(), figure.panels.end());  // encoder first
  if (figure.panels.size() == 2 && figure.panels[0].title == "Decoder") std::swap(figure.panels[0], figure.panels[1]);
  figure.columns = static_cast<int>(figure.panels.size());
  return figure;
}

}  // namespace

int StyleOf(const Report& report, const std::string& label) {
  return static_cast<int>(std::find(report.labels.begin(), report.labels.end(), label) - report.labels.begin());
}

bool HasPoints(const Figure& figure) {
  return std::any_of(figure.panels.begin(), figure.panels.end(), [](const Panel& panel) {
    return !panel.map.empty() ||
           std::any_of(panel.lines.begin(), panel.lines.end(), [](const Line& line) { return !line.x.empty(); });
  });
}

Figure CurvesFigure(const Report& report, const std::vector<std::string>& depths, Curve TrialResult::*curve,
                    const std::string& stem, const std::string& y_label, bool level, const std::string& caption) {
  Figure figure;
  figure.stem = stem;
  figure.caption = caption;
  figure.columns = std::min<int>(kPanelsAcross, static_cast<int>(depths.size()));
  std::set<std::string> named;
  for (const std::string& depth : depths) {
    Panel panel;
    panel.title = depth;
    panel.x_label = "Updates";
    panel.y_label = y_label;
    for (const TrialResult& result : report.trials) {
      if (result.trial.spec().model().depth() != depth) continue;
      panel.lines.push_back(CurveLine(report, result, result.*curve, named));
      panel.lines.back().points = level;
      if (level && result.trial.has_unigram_nll() && panel.levels.empty())
        panel.levels.push_back({result.trial.unigram_nll(), "unigram level"});
    }
    figure.panels.push_back(panel);
  }
  return figure;
}

Figure LayersFigure(const Report& report, const std::string& depth, bool only_start) {
  Figure figure;
  figure.stem = absl::StrCat("gradient-norm-by-layer-", depth);
  figure.caption = absl::StrCat("Gradient norm at each layer's output, ", depth,
                                only_start ? ", before training" : ", before training and at the last measurement",
                                ": L2 norm of the summed loss's gradient "
                                "on the fixed validation batch.");
  std::set<std::string> named;
  for (const bool at_end : {false, true}) {
    if (at_end && only_start) break;
    for (const std::string stack : {"encoder", "decoder"}) {
      Panel panel;
      panel.title =
          absl::StrCat(stack == "encoder" ? "Encoder" : "Decoder", at_end ? ", at the end" : ", before training");
      panel.x_label = "Layer, from the input";
      panel.y_label = "Gradient norm";
      panel.log_y = true;
      panel.whole_x = true;
      for (const TrialResult& result : report.trials) {
        const Stacks& norms = result.Vector("gradient_norm_output");
        const auto rows = norms.find(stack);
        if (result.trial.spec().model().depth() != depth || rows == norms.end()) continue;
        if (!at_end && rows->second.updates.front() != 0) continue;
        panel.lines.push_back(
            LayerLine(report, result, rows->second, at_end ? rows->second.values.size() - 1 : 0, named));
      }
      if (!panel.lines.empty()) figure.panels.push_back(panel);
    }
  }
  const bool encoder =
      std::any_of(figure.panels.begin(), figure.panels.end(), [](const Panel& panel) { return panel.title[0] == 'E'; });
  figure.columns = encoder ? 2 : 1;
  return figure;
}

std::vector<Figure> MakeFigures(const Report& report) {
  std::vector<Figure> figures = {
      CurvesFigure(
          report, report.depths, &TrialResult::valid_nll, "validation-nll", "Validation NLL (nats a token)",
          /*level=*/true,
          "Validation NLL by update. The dashed line is the unigram level: what word frequencies alone reach."),
      CurvesFigure(report, report.depths, &TrialResult::train_loss, "training-loss", "Training loss (nats a token)",
                   /*level=*/false, "Training loss by update, label-smoothed, mean since the row before.")};
  if (report.depths.size() > 1) figures.push_back(DepthFigure(report));
  for (const std::string& depth : report.depths) {
    figures.push_back(LayersFigure(report, depth, /*only_start=*/false));
    for (const char* stack : {"encoder", "decoder"})
      figures.push_back(PlacesFigure(report, depth, stack, Places::kAll));
    figures.push_back(SimilarityFigure(report, depth));
  }
  for (const TrialResult& result : report.trials) {
    if (result.trial.state() == v1::JOB_STATE_DIVERGED && !result.Vector("gradient_norm_output").empty())
      figures.push_back(TimeFigure(result));
  }
  figures.erase(std::remove_if(figures.begin(), figures.end(), [](const Figure& figure) { return !HasPoints(figure); }),
                figures.end());
  return figures;
}

}  // namespace strata::client
