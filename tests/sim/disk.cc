#include "tests/sim/disk.h"

namespace strata::sim {

void Disk::Commit(const Transaction& transaction) {
  for (const core::Job& job : transaction.effects.jobs) jobs[job.name] = job;
  for (const core::Attempt& attempt : transaction.effects.attempts) attempts[{attempt.job, attempt.number}] = attempt;
  for (const core::Worker& worker : transaction.effects.workers) workers[worker.name] = worker;
  for (const std::string& name : transaction.effects.erased_workers) workers.erase(name);
  for (const MeasurementKey& key : transaction.measurements) ++measurements[key];
  for (const auto& [rank, seq] : transaction.cursors) cursors[rank] = seq;
  for (const auto& [id, names] : transaction.requests) requests[id] = names;
  for (const auto& [job, fact] : transaction.facts) facts[job] = fact;
  if (transaction.next_id > 0) next_id = transaction.next_id;
}

core::State Disk::Load() const {
  core::State state{.jobs = jobs, .workers = workers};
  for (const auto& [key, attempt] : attempts) {
    if (attempt.number == jobs.at(attempt.job).attempts) state.attempts[key] = attempt;
  }
  return state;
}

}  // namespace strata::sim
