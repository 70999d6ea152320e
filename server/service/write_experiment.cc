#include "server/service/write_experiment.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/service/artifact_service.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

store::Trial TrialRow(const PlannedTrial& planned, const std::string& experiment, const std::string& name,
                      size_t position) {
  store::Trial row{.name = name,
                   .experiment = experiment,
                   .position = static_cast<int32_t>(position),
                   .spec_json = planned.spec_json,
                   .fingerprint = planned.fingerprint,
                   .dataset = planned.spec.task().dataset(),
                   .dataset_digest = planned.dataset_digest,
                   .reused_from = planned.reused_from,
                   .cost_class = planned.cost_class,
                   .updates = planned.probe ? 0 : planned.spec.train().updates()};
  if (!planned.extension) return row;
  const store::Trial& source = planned.extension->source;
  row.extended_from = source.name;
  row.updates_done = planned.extension->update;
  row.unigram_nll = source.unigram_nll;
  row.evidence = source.evidence;
  if (planned.extension->whole) row.best_nll = source.best_nll;
  return row;
}

core::Job JobRow(const PlannedTrial& planned, const PlannedJob& job, const std::string& trial, const std::string& name,
                 int32_t priority) {
  core::Job row{.name = name, .trial = trial, .kind = job.kind, .priority = priority, .ranks = job.ranks};
  row.upstream = job.upstream == "train" ? absl::StrCat(trial, "/jobs/train") : job.upstream;
  row.accepts_diverged = job.accepts_diverged;
  if (job.kind == core::JobKind::kTrain) {
    row.global_batch = planned.spec.train().update_frequency() * job.ranks;
    if (planned.spec.resources().min_ranks() < job.ranks) row.min_ranks = planned.spec.resources().min_ranks();
  }
  row.max_attempts = 0;  // the controller's
  if (planned.extension && job.kind == core::JobKind::kTrain) row.checkpoint_update = planned.extension->update;
  return row;
}

// The source's files as the trial's own.
absl::StatusOr<std::vector<store::Artifact>> LinkFiles(const Extension& extension, const std::string& trial,
                                                       absl::Time now, const DataFolder& folder) {
  std::vector<store::Artifact> linked;
  std::string parent;
  for (const store::Artifact& artifact : extension.artifacts) {
    store::Artifact own = artifact;
    own.trial = trial;
    own.job = absl::StrCat(trial, "/jobs/train");
    own.attempt = 0;
    own.create_time = now;
    own.name = ArtifactName({.job = own.job, .kind = own.kind, .sha256 = own.sha256, .update = own.update});
    const std::string from = folder.artifact(artifact.name), to = folder.artifact(own.name);
    parent = std::filesystem::path(to).parent_path().string();
    if (absl::Status status = base::MakeFolders(parent); !status.ok()) return status;
    if (::link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) return base::FileError(errno, "link", from);
    linked.push_back(std::move(own));
  }
  if (!parent.empty()) {
    if (absl::Status status = base::SyncFolder(parent); !status.ok()) return status;
  }
  return linked;
}

}  // namespace

absl::Status CheckFeasible(const Submission& submission, Coordinator& coordinator) {
  return coordinator.Look([&](const core::Controller& controller) {
    for (const PlannedTrial& planned : submission.trials) {
      for (const PlannedJob& job : planned.jobs) {
        if (!job.existing.empty()) continue;
        const absl::Status status = controller.CheckFeasible(JobRow(planned, job, "", "", submission.priority));
        if (!status.ok()) return status;
      }
    }
    return absl::OkStatus();
  });
}

absl::Status WriteExperiment(Coordinator::Change& change, const Submission& submission, const store::Experiment& row,
                             const DataFolder& folder) {
  std::vector<store::Write> after;  // what rests on jobs
  core::JobsSubmitted submitted;
  change.Write(store::InsertExperiment{row});
  for (size_t i = 0; i < submission.trials.size(); ++i) {
    const PlannedTrial& planned = submission.trials[i];
    const std::string trial = absl::StrCat(row.name, "/trials/t", i + 1);
    change.Write(store::InsertTrial{TrialRow(planned, row.name, trial, i)});
    for (const PlannedJob& job : planned.jobs) {
      const std::string own = absl::StrCat(trial, "/jobs/", job.leaf);
      after.push_back(store::LinkJob{trial, job.leaf, job.existing.empty() ? own : job.existing});
      if (job.existing.empty()) submitted.jobs.push_back(JobRow(planned, job, trial, own, submission.priority));
    }
    if (!planned.extension) continue;
    const std::string train = absl::StrCat(trial, "/jobs/train");
    after.push_back(store::CopyMeasurements{planned.extension->job, train, planned.extension->update});
    auto files = LinkFiles(*planned.extension, trial, change.now(), folder);
    if (!files.ok()) return files.status();
    // Newest first as the source has them; they are stored oldest first.
    for (auto file = files->rbegin(); file != files->rend(); ++file) after.push_back(store::PutArtifact{*file});
  }
  if (!submitted.jobs.empty()) {
    if (absl::Status status = change.Step(submitted); !status.ok()) return status;
  }
  for (store::Write& write : after) change.Write(std::move(write));
  return absl::OkStatus();
}

}  // namespace strata::service
