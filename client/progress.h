// How a running experiment looks: a board for a terminal that can move its cursor, single lines for one that cannot.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "strata/v1/resources.pb.h"

namespace strata::client {

// What is known of an experiment, kept up to date from the messages of WatchExperiment.
class Board {
 public:
  // Takes a message in; `lines` gets one plain line for each change worth telling (states, each tenth of the updates).
  void Update(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials, std::vector<std::string>* lines);

  const v1::Experiment& experiment() const { return experiment_; }
  const std::vector<v1::Trial>& trials() const { return trials_; }

  // Lines of at most `width` cells: title, a line for each trial with bar and ETA, and a sum. `rows` lines at most;
  // trials that have ended give way first, counted in one line.
  std::vector<std::string> Draw(absl::Time now, size_t width, size_t rows, bool color) const;

 private:
  v1::Experiment experiment_;
  std::vector<v1::Trial> trials_;
  std::map<std::string, std::string> told_;  // trial -> what its last plain line was about
};

// "█████▌    ": `fraction` of `width` cells.
std::string Bar(double fraction, size_t width);

// What sets the trials apart: the values of the axes, as "post_ln 18L-18L"; the seed where it varies.
std::string CellLabel(const v1::Experiment& experiment, const v1::Trial& trial);

// Values of the grid's axes beyond scheme, depth and seed: "model.rescale_init=true". In the axes' order.
std::vector<std::string> FurtherSettings(const v1::Experiment& experiment, const v1::Trial& trial);

// What a trial does, in words: "queued, place 3", "training", "evaluating", "DIVERGED (vanished at update 450)".
std::string Describe(const v1::Trial& trial);

}  // namespace strata::client
