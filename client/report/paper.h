// What Takase et al., "On Layer Normalizations and Residual Connections in Transformers", printed: paper.json,
// embedded.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::client {

struct PaperRow {
  std::string depth;
  std::string scheme;          // of Table 8: ""
  std::string task;            // of Table 8 alone
  std::vector<double> values;  // one a column; empty if the training failed or our copy lacks them
  bool failed = false;
  std::string suspect;  // why the values cannot be right; "" if they can
};

// A table of scores (1 to 6, 9, 10) or of hours (8).
struct PaperTable {
  std::string name;  // table1
  std::string caption;
  std::string task;    // translation
  std::string metric;  // as evaluations name it: bleu, rouge, perplexity, wer
  std::vector<std::string> columns;
  std::vector<PaperRow> rows;
  bool in_source = true;  // false: rows have no values
};

// One of Table 7's hyper-parameters, with its value for each of its columns (tasks).
struct PaperSetting {
  std::string name;  // model_dim
  std::string path;  // model.dim
  std::vector<std::string> values;
};

struct PaperFigure {
  std::string name;  // figure1
  std::string shows;
  std::vector<std::string> findings;
  std::string depth;  // 18L-18L; "" if it shows several
};

// "Takase, Kiyono, ...".
std::string PaperSource();
// All that there is: table1 to table10, then the figures.
std::vector<std::string> PaperNames();
// INVALID_ARGUMENT naming what there is.
absl::Status CheckPaperName(const std::string& name);
// Any table but table7. The name must be one of PaperNames.
PaperTable FindPaperTable(const std::string& name);
PaperFigure FindPaperFigure(const std::string& name);
// Table 7: its columns and settings.
std::vector<std::string> PaperSettingTasks();
std::vector<PaperSetting> PaperSettings();

}  // namespace strata::client
