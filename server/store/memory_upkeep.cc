// Upkeep in memory: what refers to what, sizes, erasing.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/store/memory_tables.h"

namespace strata::store {
namespace {

std::set<std::string> TrialsOf(const MemoryTables& t, const std::string& experiment) {
  std::set<std::string> trials;
  for (const Trial& trial : t.trials) {
    if (trial.experiment == experiment) trials.insert(trial.name);
  }
  return trials;
}

// Deletes all that rests on these jobs, and them.
void EraseJobs(MemoryTables& t, const std::set<std::string>& jobs) {
  const auto first = [&](const auto& row) { return jobs.contains(std::get<0>(row.first)); };
  std::erase_if(t.scalars, first);
  std::erase_if(t.vectors, first);
  std::erase_if(t.cursors, first);
  std::erase_if(t.warnings, first);
  std::erase_if(t.attempts, first);
  std::erase_if(t.checkpoint_events, [&](const auto& row) { return jobs.contains(row.first); });
  std::erase_if(t.collected, [&](const auto& row) { return jobs.contains(row.first); });
  std::erase_if(t.uploads, [&](const auto& row) { return jobs.contains(row.second.job); });
  std::erase_if(t.artifacts, [&](const Artifact& artifact) { return jobs.contains(artifact.job); });
  std::erase_if(t.jobs, [&](const auto& row) { return jobs.contains(row.first); });
}

}  // namespace

absl::Status Erase(MemoryTables& t, const EraseExperiments& w) {
  std::set<std::string> trials;
  for (const std::string& name : w.names) trials.merge(TrialsOf(t, name));
  for (const std::string& name : w.names) {
    for (const Reference& reference : ReferencesTo(t, name)) {
      if (trials.contains(reference.from)) continue;
      return absl::FailedPreconditionError(
          absl::StrCat(name, " cannot be deleted: ", reference.from, " refers to ", reference.to, "."));
    }
  }
  std::set<std::string> jobs;
  for (const auto& [name, job] : t.jobs) {
    if (trials.contains(job.trial)) jobs.insert(name);
  }
  EraseJobs(t, jobs);
  std::erase_if(t.links, [&](const auto& row) { return trials.contains(row.first); });
  std::erase_if(t.trials, [&](const Trial& trial) { return trials.contains(trial.name); });
  std::erase_if(t.experiments, [&](const auto& row) {
    return std::find(w.names.begin(), w.names.end(), row.second.name) != w.names.end();
  });
  return absl::OkStatus();
}

absl::Status Erase(MemoryTables& t, const EraseDataset& w) {
  if (const auto users = ExperimentsOfDataset(t, w.name); !users.empty() && !w.though_used) {
    return absl::FailedPreconditionError(
        absl::StrCat("datasets/", w.name, " cannot be deleted: ", users.front(), " uses it."));
  }
  t.datasets.erase(w.name);
  t.dataset_files.erase(w.name);
  return absl::OkStatus();
}

std::vector<Reference> ReferencesTo(const MemoryTables& t, const std::string& experiment) {
  const std::set<std::string> trials = TrialsOf(t, experiment);
  std::vector<Reference> reused, extended, shows;
  for (const Trial& trial : t.trials) {
    if (trial.experiment == experiment) continue;
    if (trials.contains(trial.reused_from)) reused.push_back({trial.name, "reused_from", trial.reused_from});
    if (trials.contains(trial.extended_from)) extended.push_back({trial.name, "extended_from", trial.extended_from});
  }
  for (const auto& [trial, links] : t.links) {
    if (trials.contains(trial)) continue;
    for (const auto& [leaf, job] : links) {
      if (trials.contains(t.jobs.at(job).trial)) shows.push_back({trial, "shows", job});
    }
  }
  std::vector<Reference> all;
  for (auto* rows : {&reused, &extended, &shows}) {
    std::sort(rows->begin(), rows->end(),
              [](const Reference& a, const Reference& b) { return std::tie(a.from, a.to) < std::tie(b.from, b.to); });
    all.insert(all.end(), rows->begin(), rows->end());
  }
  return all;
}

std::vector<std::string> ExperimentsOfDataset(const MemoryTables& t, const std::string& dataset) {
  std::set<std::string> experiments;
  for (const Trial& trial : t.trials) {
    if (trial.dataset == dataset) experiments.insert(trial.experiment);
  }
  return {experiments.begin(), experiments.end()};
}

std::vector<MeasurementSize> MeasurementSizes(const MemoryTables& t, const std::string& experiment) {
  std::map<std::string, MeasurementSize> sizes;
  const auto wanted = [&](const std::string& job) { return experiment.empty() || job.rfind(experiment + "/", 0) == 0; };
  for (const auto& [key, row] : t.scalars) {
    const std::string& job = std::get<0>(key);
    if (!wanted(job)) continue;
    ++sizes[job].scalars;
    sizes[job].scalar_bytes += static_cast<int64_t>(job.size() + std::get<1>(key).size()) + 16;
  }
  for (const auto& [key, row] : t.vectors) {
    const std::string& job = std::get<0>(key);
    if (!wanted(job)) continue;
    ++sizes[job].vectors;
    sizes[job].vector_bytes += static_cast<int64_t>(job.size() + std::get<1>(key).size() + std::get<2>(key).size() +
                                                    10 + row.value.size() * sizeof(double));
  }
  std::vector<MeasurementSize> rows;
  for (auto& [job, size] : sizes) {
    size.job = job;
    rows.push_back(size);
  }
  return rows;
}

}  // namespace strata::store
