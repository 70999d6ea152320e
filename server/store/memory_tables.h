// What the in-memory store holds, and how a write changes it. Not thread-safe: memory_store.cc locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/core/types.h"
#include "server/store/access_rows.h"
#include "server/store/rows.h"
#include "server/store/transaction.h"
#include "server/store/upkeep_rows.h"

namespace strata::store {

// A measured value and the attempt that it comes from.
template <typename T>
struct Measured {
  int32_t attempt = 0;
  T value;
};

// Everything stored. Copied before each transaction, so that one that fails leaves no trace.
struct MemoryTables {
  int64_t next_experiment_id = 1;
  std::map<int64_t, Experiment> experiments;
  std::vector<Trial> trials;  // as inserted
  std::map<std::string, core::Job> jobs;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> links;  // trial -> leaf, job
  std::map<std::pair<std::string, int32_t>, AttemptRecord> attempts;
  std::map<std::tuple<std::string, int32_t, int64_t>, std::string> warnings;
  std::map<std::string, core::Worker> workers;
  std::map<std::tuple<std::string, int32_t, int32_t>, int64_t> cursors;
  std::map<std::tuple<std::string, std::string, int32_t>, Measured<double>> scalars;  // job, name, step
  std::map<std::tuple<std::string, std::string, std::string, int32_t>, Measured<std::vector<double>>>
      vectors;  // and stack
  std::set<std::pair<std::string, std::string>> checkpoint_events;
  std::map<std::string, Dataset> datasets;
  std::map<std::string, std::vector<DatasetFile>> dataset_files;
  std::map<std::string, Upload> uploads;
  std::vector<Artifact> artifacts;
  std::map<std::string, Token> tokens;
  std::vector<AuditEntry> audit;  // by number
  std::set<std::pair<std::string, std::string>> collected;
  std::map<std::string, std::string> deletions;  // request, answer

  Trial* FindTrial(const std::string& name) {
    const auto at = std::find_if(trials.begin(), trials.end(), [&](const Trial& t) { return t.name == name; });
    return at == trials.end() ? nullptr : &*at;
  }
};

// Makes the change, or says why the tables' keys and references forbid it; then nothing is changed.
absl::Status ApplyWrite(MemoryTables& tables, const Write& write);

// In memory_upkeep.cc; see store.h and transaction.h.
absl::Status Erase(MemoryTables& tables, const EraseExperiments& write);
absl::Status Erase(MemoryTables& tables, const EraseDataset& write);
std::vector<Reference> ReferencesTo(const MemoryTables& tables, const std::string& experiment);
std::vector<std::string> ExperimentsOfDataset(const MemoryTables& tables, const std::string& dataset);
std::vector<MeasurementSize> MeasurementSizes(const MemoryTables& tables, const std::string& experiment);

}  // namespace strata::store
