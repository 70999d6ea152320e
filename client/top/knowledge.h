// What the monitor knows: the service's answers, kept while it is away. Plain values; the poller fills them, views read
// them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "strata/v1/metric_service.pb.h"
#include "strata/v1/resources.pb.h"

namespace strata::client::top {

// The main metric of a trial's first evaluation.
struct MainScore {
  std::string metric;  // bleu
  double value = 0;
};

// Measurements of one job, the one in view.
struct Measured {
  struct Curve {
    std::vector<int> updates;
    std::vector<double> values;
  };
  struct Rows {  // one value a layer, from the first
    std::vector<int> updates;
    std::vector<std::vector<double>> values;
  };
  std::string job;                             // empty: none fetched
  std::map<std::string, Curve> scalars;        // train_loss, valid_nll, learning_rate
  std::map<std::string, Rows> gradient_norms;  // encoder, decoder: gradient_norm_output
};

// The end of a log that is followed.
struct LogTail {
  std::string job;
  int attempt = 0;
  std::vector<std::string> lines;  // at most kMostLines, the last one perhaps unfinished
  int64_t dropped = 0;             // lines before these
  bool complete = false;           // the attempt has ended and this is all
  std::string error;               // why there is nothing, a sentence

  static constexpr size_t kMostLines = 5000;
  void Append(const std::string& text);
};

struct Knowledge {
  std::vector<v1::Experiment> experiments;  // newest first
  bool experiments_known = false;
  v1::Experiment experiment;                // the one in view; its name is empty until it has been read
  std::vector<v1::Trial> trials;            // in the order of the grid
  std::map<std::string, MainScore> scores;  // by trial
  std::vector<v1::Worker> workers;
  bool workers_known = false;
  Measured measured;
  LogTail log;
  std::string address;                             // of the coordinator
  absl::Time away_since = absl::InfiniteFuture();  // since when it does not answer
  std::string refused;                             // why it lets this caller in no more; empty: it does
  absl::Time refused_since = absl::InfiniteFuture();
  std::string notice;  // what the last command brought, or an error; a sentence
  absl::Time notice_time = absl::InfinitePast();

  bool away() const { return away_since != absl::InfiniteFuture(); }
  // Null if there is none of that name.
  const v1::Trial* Find(const std::string& trial) const;
};

// The job of a trial that is worth looking at: a live evaluation, else TRAIN or PROBE. Null for a trial without jobs.
const v1::Job* JobInView(const v1::Trial& trial);
// The TRAIN or PROBE job. Null for a trial without one.
const v1::Job* MainJob(const v1::Trial& trial);

}  // namespace strata::client::top
