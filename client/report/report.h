// An experiment's results as values: what tables, plots and report.json are made of. Same values, same bytes out.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/report/document.h"
#include "strata/v1/resources.pb.h"

namespace strata::client {

class Connection;  // client/connection.h

struct Curve {
  std::vector<int> updates;
  std::vector<double> values;
};

// One row of values for each update measured; a value a layer, from the first, where the vector's name says no other.
struct LayerRows {
  std::vector<int> updates;
  std::vector<std::vector<double>> values;
};

using Stacks = std::map<std::string, LayerRows>;  // encoder, decoder

struct Score {
  std::string metric;  // the value's name: bleu, rouge1
  std::string job;     // evaluate-1
  double value = 0;
  std::string split;  // "" for the average of several splits
};

struct TrialResult {
  v1::Trial trial;
  std::string id;     // t3; of several experiments EXPERIMENT/t3
  std::string label;  // the scheme, and what tells it from others of its scheme and depth: "b2t, rescale_init=true"
  Curve valid_nll, train_loss;
  std::map<std::string, Stacks> vectors;  // by name: gradient_norm_output
  std::vector<Score> scores;
  std::map<std::string, std::string> sentence_scores;  // by job: the artifact's text; read by ReadSentenceScores

  // The vector of that name; empty if there is none.
  const Stacks& Vector(const std::string& name) const;
};

struct Report {
  v1::Experiment experiment;
  std::vector<TrialResult> trials;              // in the order of the grid
  std::vector<std::string> labels;              // rows of tables, colours of plots
  std::vector<std::string> depths;              // columns, shallow first
  std::vector<std::string> differing;           // fields other than scheme, depth and seed in which trials differ
  std::map<std::string, v1::Dataset> datasets;  // by short name, those that trials name and that are registered
};

// Below this many updates a score of generated text says nothing about a scheme, and is marked so.
inline constexpr int kUpdatesForScores = 5000;

// Reads all of it from the service. Trials without measurements have empty curves.
absl::StatusOr<Report> Collect(const Connection& connection, const std::string& experiment);

// The sentence scores of all evaluations that kept them. DATA_LOSS: what arrived is not what was kept.
absl::Status ReadSentenceScores(const Connection& connection, Report& report);

// Several experiments as one, in that order; ids of trials name their experiment.
Report Merge(std::vector<Report> reports);

// Fills labels, depths and differing from the trials' specs.
void Arrange(Report& report);

// Layers in all, to put shallow depths first; 0 for what is no depth.
int TotalLayers(const std::string& depth);

// The rule of a verdict, "" if there is none.
std::string RuleOf(const v1::Trial& trial);

// A cell's text: "5.773", "5.801 ± 0.021 (3 seeds)", "Training failed (DIVERGED: vanished)", "RUNNING". Best validation
// NLL.
std::string NllCell(const Report& report, const std::string& label, const std::string& depth);
// "bleu 0.31", mean over seeds; "" if there is none.
std::string ScoreCell(const Report& report, const std::string& label, const std::string& depth);
// True if some score is of a training under kUpdatesForScores.
bool ScoresAreEarly(const Report& report);
// "6.735", or "6.735 to 6.812" where trials differ in it; "" if unknown.
std::string UnigramLevel(const Report& report);

// report.json; names and form are a contract (docs/REPORT.md).
std::string ReportJson(const Report& report);

// index.html; `figures` are the plots beside it.
std::string ReportPage(const Report& report, const std::vector<Plotted>& figures);

// The table of cells, for any form.
Document ReportDocument(const Report& report);

// Writes index.html, report.json and the plots into `folder`, which is made where it is not there.
// FAILED_PRECONDITION: gnuplot is missing.
absl::Status WriteReport(const Report& report, const std::string& folder);

}  // namespace strata::client
