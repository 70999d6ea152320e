// The coordinator's database in the simulation: what is committed survives a crash, what is not does not. The same
// tables as the real one: jobs, attempts, workers, event cursors by (job, attempt, rank), measurements, requests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/core/controller.h"

namespace strata::sim {

using AttemptKey = std::pair<std::string, int32_t>;

struct RankKey {
  std::string job;
  int32_t attempt = 0;
  int32_t rank = 0;
  auto operator<=>(const RankKey&) const = default;
};

// One measurement; `times` says how often it is stored, which must be once.
struct MeasurementKey {
  RankKey rank;
  int32_t update = 0;
  auto operator<=>(const MeasurementKey&) const = default;
};

// What a job does in the simulation; part of its trial's spec.
struct Facts {
  int32_t updates = 10;
  int32_t diverges_at = -1;  // the verdict falls at this update
  bool trains_on = false;    // after the verdict, to the end
  int32_t out_of_memory_at = -1;
};

struct Transaction {
  core::Effects effects;
  std::vector<MeasurementKey> measurements;
  std::map<RankKey, int64_t> cursors;
  std::map<std::string, std::vector<std::string>> requests;
  std::map<std::string, Facts> facts;
  int64_t next_id = 0;
};

struct Disk {
  std::map<std::string, core::Job> jobs;
  std::map<AttemptKey, core::Attempt> attempts;  // all of them
  std::map<std::string, core::Worker> workers;
  std::map<RankKey, int64_t> cursors;
  std::map<MeasurementKey, int> measurements;
  std::map<std::string, std::vector<std::string>> requests;  // request_id to the jobs it made
  std::map<std::string, Facts> facts;
  int64_t next_id = 1;

  void Commit(const Transaction& transaction);
  core::State Load() const;
};

}  // namespace strata::sim
