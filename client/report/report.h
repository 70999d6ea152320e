// An experiment's results as values: what tables, plots and report.json are made of. Same values, same bytes out.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "strata/v1/resources.pb.h"

namespace strata::client {

struct Curve {
  std::vector<int> updates;
  std::vector<double> values;
};

// One row of values a layer, from the first, for each update measured.
struct LayerRows {
  std::vector<int> updates;
  std::vector<std::vector<double>> values;
};

struct Score {
  std::string metric;
  std::string job;  // evaluate-1
  double value = 0;
};

struct TrialResult {
  v1::Trial trial;
  std::string id;     // t3
  std::string label;  // the scheme, and what else differs between trials: "b2t, rescale_init=true"
  Curve valid_nll, train_loss;
  std::map<std::string, LayerRows> gradient_norms;  // encoder, decoder: of the layers' outputs
  std::vector<Score> scores;
};

struct Report {
  v1::Experiment experiment;
  std::vector<TrialResult> trials;     // in the order of the grid
  std::vector<std::string> labels;     // rows of tables, colours of plots
  std::vector<std::string> depths;     // columns, shallow first
  std::vector<std::string> differing;  // fields other than scheme, depth and seed in which trials differ
};

// Below this many updates a score of generated text says nothing about a scheme, and is marked so.
inline constexpr int kUpdatesForScores = 5000;

// Reads all of it from the service. Trials without measurements have empty curves.
absl::StatusOr<Report> Collect(const Connection& connection, const std::string& experiment);

// Fills labels, depths and differing from the trials' specs.
void Arrange(Report& report);

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

// index.html; `figures` are the stems of the plots beside it with their captions.
struct Plotted {
  std::string stem;
  std::string caption;
};
std::string ReportPage(const Report& report, const std::vector<Plotted>& figures);

// The table for a terminal.
std::string ReportText(const Report& report);

// Writes index.html, report.json and the plots into `folder`, which is made where it is not there.
// FAILED_PRECONDITION: gnuplot is missing.
absl::Status WriteReport(const Report& report, const std::string& folder);

}  // namespace strata::client
