#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/report/figures.h"
#include "client/report/paper_document.h"

namespace strata::client {
namespace {

constexpr const char* kNll = "Validation NLL (nats a token)";

// The depth of the paper's figure where we have it, else all of ours.
std::vector<std::string> DepthsFor(const PaperFigure& paper, const Report& report) {
  const bool there = std::find(report.depths.begin(), report.depths.end(), paper.depth) != report.depths.end();
  return there ? std::vector<std::string>{paper.depth} : report.depths;
}

Figure LossFigure(const Report& report, const std::vector<std::string>& depths) {
  Figure figure =
      CurvesFigure(report, depths, &TrialResult::train_loss, "loss", "Loss (nats a token)", /*level=*/false, "");
  for (Panel& panel : figure.panels) panel.title = absl::StrCat("Training loss, ", panel.title);
  Figure valid = CurvesFigure(report, depths, &TrialResult::valid_nll, "loss", kNll, /*level=*/true, "");
  for (Panel& panel : valid.panels) {
    panel.title = absl::StrCat("Validation NLL, ", panel.title);
    for (Line& line : panel.lines) line.label.clear();  // the training's lines are in the key already
    figure.panels.push_back(panel);
  }
  figure.columns = static_cast<int>(depths.size()) == 1 ? 2 : static_cast<int>(depths.size());
  figure.caption = "Training loss (label-smoothed, mean since the row before) and validation NLL by update.";
  return figure;
}

std::vector<Figure> FiguresFor(const PaperFigure& paper, const Report& report) {
  const std::vector<std::string> depths = DepthsFor(paper, report);
  std::vector<Figure> figures;
  if (paper.name == "figure1") figures.push_back(LossFigure(report, depths));
  if (paper.name == "figure6" || paper.name == "figure9")
    figures.push_back(CurvesFigure(report, depths, &TrialResult::valid_nll, "validation-nll", kNll, /*level=*/true,
                                   "Validation NLL by update. The dashed line is the unigram level."));
  if (paper.name == "figure8") figures.push_back(DepthFigure(report));
  for (const std::string& depth : depths) {
    if (paper.name == "figure3") figures.push_back(LayersFigure(report, depth, /*only_start=*/true));
    if (paper.name == "figure4") figures.push_back(PlacesFigure(report, depth, "decoder", Places::kLast));
    if (paper.name == "figure7") figures.push_back(PlacesFigure(report, depth, "decoder", Places::kAllButLast));
    if (paper.name == "figure5") figures.push_back(SimilarityFigure(report, depth));
  }
  figures.erase(std::remove_if(figures.begin(), figures.end(), [](const Figure& figure) { return !HasPoints(figure); }),
                figures.end());
  for (Figure& figure : figures) figure.stem = absl::StrCat(paper.name, "-", figure.stem);
  return figures;
}

// The remedy where nothing was measured.
std::string MeasureIt(const std::string& name) {
  if (name == "figure3") return "Set diagnostics.gradient_norms_every, or submit a probe.";
  if (name == "figure4" || name == "figure7")
    return "Set diagnostics.location_layers and diagnostics.locations_every, or submit a probe.";
  if (name == "figure5") return "Set diagnostics.similarity_every, or submit a probe.";
  return "No training has been validated yet.";
}

// Lines and their ends; in full every point.
DocumentTable PointsTable(const std::vector<Figure>& figures, bool all) {
  DocumentTable table;
  table.title = all ? "" : "What is drawn";
  table.columns = all ? std::vector<std::string>{"Panel", "Line", "X", "Y"}
                      : std::vector<std::string>{"Panel", "Line", "Points", "First", "Last", "Lowest", "Highest"};
  const auto number = [](double value) { return DocumentCell{absl::StrFormat("%.4g", value), CellKind::kNumber}; };
  const auto add = [&](const std::string& panel, const std::string& line, const std::vector<double>& x,
                       const std::vector<double>& y) {
    if (y.empty()) return;
    if (!all) {
      table.rows.push_back({{panel},
                            {line},
                            {absl::StrCat(y.size()), CellKind::kNumber},
                            number(y.front()),
                            number(y.back()),
                            number(*std::min_element(y.begin(), y.end())),
                            number(*std::max_element(y.begin(), y.end()))});
    }
    for (size_t i = 0; all && i < y.size(); ++i)
      table.rows.push_back({{panel},
                            {line},
                            {absl::StrFormat("%.9g", x[i]), CellKind::kNumber},
                            {absl::StrFormat("%.9g", y[i]), CellKind::kNumber}});
  };
  for (const Figure& figure : figures) {
    std::map<int, std::string> names;  // a further seed's line has no label of its own
    for (const Panel& panel : figure.panels) {
      for (const Line& line : panel.lines) {
        if (!line.label.empty()) names[line.style] = line.label;
        add(panel.title, absl::StrCat(names[line.style], line.crosses ? ", failed" : ""), line.x, line.y);
      }
      for (size_t row = 0; row < panel.map.size(); ++row) {
        std::vector<double> x;
        for (size_t i = 0; i < panel.map[row].size(); ++i) x.push_back(static_cast<double>(i + 1));
        add(panel.title, absl::StrCat("layer ", row + 1), x, panel.map[row]);
      }
    }
  }
  return table;
}

}  // namespace

FigureDocument PaperFigureDocument(const std::string& name, const Report& report, bool all_points) {
  const PaperFigure paper = FindPaperFigure(name);
  FigureDocument result;
  result.figures = FiguresFor(paper, report);
  Document& document = result.document;
  document.title = absl::StrCat("Figure ", name.substr(6), ": ", paper.shows);
  document.lead = {absl::StrCat("Paper: ", PaperSource(), ".")};
  if (!paper.findings.empty())
    document.lead.push_back(absl::StrCat("The paper finds: ", absl::StrJoin(paper.findings, "; "), "."));
  for (const Figure& figure : result.figures) document.plots.push_back({figure.stem, figure.caption});
  if (result.figures.empty()) {
    document.lead.push_back(absl::StrCat("Nothing of it has been measured. ", MeasureIt(name)));
    return result;
  }
  if (!paper.depth.empty() && DepthsFor(paper, report) != std::vector<std::string>{paper.depth})
    document.lead.push_back(
        absl::StrCat("The paper's depth is ", paper.depth, "; ours are ", absl::StrJoin(report.depths, ", "), "."));
  document.tables.push_back(PointsTable(result.figures, all_points));
  if (all_points) return result;
  const std::vector<ResultCell> cells = Cells(report);
  document.tables.push_back(BehindTable(cells, report));
  document.tables.push_back(RecipeTable(cells, cells[0].seeds[0]->trial.spec().task().kind()));
  return result;
}

}  // namespace strata::client
