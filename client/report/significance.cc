#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/report/paper_document.h"
#include "model/metrics/bootstrap.h"

namespace strata::client {
namespace {

// The sentence scores of a cell's trainings by that metric; empty if a training that did not fail has none. Throws
// std::invalid_argument for what cannot be read.
std::vector<model::SentenceScores> SentencesOf(const ResultCell& cell, const std::string& metric) {
  std::vector<model::SentenceScores> all;
  for (const TrialResult* result : cell.seeds) {
    if (result->trial.state() != v1::JOB_STATE_SUCCEEDED) continue;
    bool found = false;
    for (const auto& [job, text] : result->sentence_scores) {
      model::SentenceScores scores = model::ParseSentenceScores(text);
      if (scores.metric != metric || found) continue;
      all.push_back(std::move(scores));
      found = true;
    }
    if (!found) return {};
  }
  return all;
}

std::vector<DocumentCell> RowOf(const ResultCell& a, const ResultCell& b, const std::string& value,
                                const model::Comparison& comparison) {
  const auto number = [](double x) { return DocumentCell{absl::StrFormat("%+.2f", x), CellKind::kNumber}; };
  return {{a.depth},
          {a.label},
          {b.label},
          {value},
          number(comparison.difference),
          {absl::StrFormat("%+.2f to %+.2f", comparison.difference_low, comparison.difference_high)},
          {absl::StrFormat("%.3f", comparison.p_value), CellKind::kNumber},
          {comparison.p_value < 0.05 ? "yes" : "no"}};
}

}  // namespace

DocumentTable SignificanceTable(const std::vector<ResultCell>& cells, const std::string& metric) {
  DocumentTable table;
  table.title = "Paired bootstrap between schemes of one depth";
  table.columns = {"Depth", "A", "B", "Value", "A − B", "95 %", "p", "p < 0.05"};
  std::vector<std::string> missing;
  for (size_t i = 0; i < cells.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (cells[i].depth != cells[j].depth) continue;
      if (OutcomeOf(cells[i]).succeeded == 0 || OutcomeOf(cells[j]).succeeded == 0) continue;
      try {
        const auto a = SentencesOf(cells[i], metric), b = SentencesOf(cells[j], metric);
        if (a.empty() || b.empty()) {
          missing.push_back(absl::StrCat(cells[i].label, " and ", cells[j].label, " ", cells[i].depth));
          continue;
        }
        for (const auto& value : model::ValuesOf(metric)) {
          if (value == "nll") continue;
          table.rows.push_back(RowOf(cells[i], cells[j], std::string(value), model::PairedBootstrap(value, a, b)));
        }
      } catch (const std::invalid_argument& error) {
        table.notes.push_back(absl::StrCat(cells[i].label, " and ", cells[j].label, " ", cells[i].depth,
                                           " are not compared: ", error.what()));
      }
    }
  }
  const model::BootstrapOptions options;
  table.notes.insert(table.notes.begin(),
                     absl::StrCat("Koehn (2004), ", options.samples, " resamples of the test sets' sentences, seed ",
                                  options.seed, "; all seeds that did not fail; means over splits and seeds."));
  if (!missing.empty())
    table.notes.push_back(absl::StrCat(
        "Not compared, because an evaluation kept no sentence scores: ", absl::StrJoin(missing, "; "), "."));
  return table;
}

}  // namespace strata::client
