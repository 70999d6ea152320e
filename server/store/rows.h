// What is stored, as plain values. Times are kept to the microsecond. Names are resource names, as in core/types.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/core/types.h"

namespace strata::store {

struct Experiment {
  int64_t id = 0;  // rises with each experiment; never given twice
  std::string name;
  std::string request_id;  // of the call that made it
  std::string spec_json;   // ExperimentSpec as submitted
  absl::Time create_time;
  int32_t trials = 0;
  bool operator==(const Experiment&) const = default;
};

struct Trial {
  std::string name;
  std::string experiment;
  int32_t position = 0;   // in the order of the grid, from 0
  std::string spec_json;  // TrialSpec, canonical
  std::string fingerprint;
  std::string dataset;  // its name
  std::string dataset_digest;
  std::string reused_from;    // the trial that was trained for this one; empty: trains itself
  std::string extended_from;  // the trial whose checkpoint it began with; empty: it began anew
  std::string cost_class;     // equal for trials whose updates cost the same
  int32_t updates = 0;        // to do
  // What has come out of it so far.
  int32_t updates_done = 0;
  std::optional<double> best_nll, final_nll, unigram_nll;
  std::string evidence;  // of divergence, JSON
  std::string weights_sha256;
  std::optional<double> seconds_per_update;  // of slot time, all included; once trained
  bool operator==(const Trial&) const = default;
};

// A job as a trial shows it: its own, or the one of the trial that was trained for it.
struct TrialJob {
  std::string trial;
  std::string leaf;  // train, evaluate-1, ...
  core::Job job;
  bool operator==(const TrialJob&) const = default;
};

struct AttemptRecord {
  core::Attempt attempt;
  std::string environment;  // the `started` event, JSON
  std::optional<int32_t> resumed_from;
  std::vector<std::string> warnings;
  bool operator==(const AttemptRecord&) const = default;
};

struct ScalarPoint {
  std::string series;
  int32_t update = 0;
  double value = 0;  // NaN and infinities are kept
};

struct VectorPoint {
  std::string stack;
  std::string series;
  int32_t update = 0;
  std::vector<double> values;
};

struct Series {
  std::string series;
  std::string stack;  // empty: scalars
  int64_t points = 0;
  int32_t last_update = 0;
  bool operator==(const Series&) const = default;
};

struct DatasetFile {
  std::string path;
  int64_t bytes = 0;
  std::string sha256;
  bool complete = false;
  bool operator==(const DatasetFile&) const = default;
};

struct Dataset {
  std::string name;  // without datasets/
  std::string digest;
  std::string task;
  std::string manifest;
  int64_t bytes = 0;
  absl::Time create_time;
  bool complete = false;
  bool operator==(const Dataset&) const = default;
};

struct Artifact {
  std::string name;
  std::string trial;
  std::string kind;
  std::string sha256;
  int64_t bytes = 0;
  int32_t update = 0;
  std::string job;
  int32_t attempt = 0;
  std::string file_name;
  absl::Time create_time;
  bool operator==(const Artifact&) const = default;
};

struct Upload {
  std::string id;
  std::string job;
  int32_t attempt = 0;
  std::string kind;
  std::string sha256;
  int64_t bytes = 0;
  int32_t update = 0;
  std::string file_name;
  bool operator==(const Upload&) const = default;
};

}  // namespace strata::store
