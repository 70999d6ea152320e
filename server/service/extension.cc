#include "server/service/extension.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/spec/spec.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

// What must agree: all that the fingerprint covers but train.updates.
absl::StatusOr<std::string> KeyOf(v1::TrialSpec spec, const std::string& dataset_digest) {
  spec.mutable_train()->set_updates(1);
  return Fingerprint(spec, dataset_digest);
}

std::string Short(const std::string& trial) { return absl::StrCat(LeafOf(ParentOf(trial)), "/", LeafOf(trial)); }

// What a training left up to its last resumable checkpoint, and that checkpoint first; none where it left none, or
// where its best weights are of later updates than the checkpoint and so not those of a training that goes on from it.
absl::StatusOr<std::vector<store::Artifact>> LeftBy(const core::Job& job, store::Store& store) {
  const auto all = store.ListArtifacts(ParentOf(job.name));
  if (!all.ok()) return all.status();
  std::vector<store::Artifact> left;
  for (const store::Artifact& artifact : *all) {
    if (artifact.job == job.name && artifact.kind == "checkpoint_resumable" && artifact.update == job.checkpoint_update)
      left = {artifact};
  }
  if (left.empty()) return left;
  bool best = false;
  for (const store::Artifact& artifact : *all) {  // newest first
    if (artifact.job != job.name) continue;
    if (artifact.kind == "checkpoint_best" && !best) {
      if (artifact.update > job.checkpoint_update) return std::vector<store::Artifact>();
      best = true;
      left.push_back(artifact);
    } else if (artifact.kind == "initialisation" ||
               (artifact.kind == "checkpoint_epoch" && artifact.update <= job.checkpoint_update)) {
      left.push_back(artifact);
    }
  }
  return left;
}

}  // namespace

absl::StatusOr<ExtendedExperiment> ExtendedExperiment::Read(const std::string& name, store::Store& store) {
  const auto row = store.FindExperiment(name);
  if (!row.ok()) return row.status();
  if (!row->has_value()) {
    return absl::NotFoundError(
        absl::StrCat("extends: there is no experiment ", name, ". 'strata list' shows the experiments there are."));
  }
  ExtendedExperiment extended;
  extended.name_ = LeafOf(name);
  const auto trials = store.ListTrials(name, 0, (*row)->trials);
  if (!trials.ok()) return trials.status();
  const auto jobs = store.JobsOfExperiment(name);
  if (!jobs.ok()) return jobs.status();
  std::map<std::string, core::Job> trains;
  for (const store::TrialJob& job : *jobs) {
    if (job.leaf == "train") trains[job.trial] = job.job;
  }
  if (trains.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("extends: ", extended.name_, " only probed its trials, so there is no training to go on with."));
  }
  for (const store::Trial& trial : *trials) {
    const auto job = trains.find(trial.name);
    const auto spec = base::FromJson(trial.spec_json);
    if (job == trains.end() || !spec.ok()) continue;
    auto filled = *spec;  // a field that is younger than the trial stands at its default
    if (!base::ApplyDefaults(filled).ok()) continue;
    const auto key = KeyOf(filled, trial.dataset_digest);
    if (!key.ok()) return key.status();
    Source source{trial, trial, job->second};
    if (job->second.trial != trial.name) {
      const auto trained = store.FindTrial(job->second.trial);
      if (!trained.ok()) return trained.status();
      if (trained->has_value()) source.trained = **trained;
    }
    extended.sources_[*key].push_back(std::move(source));
  }
  return extended;
}

absl::StatusOr<ExtendedExperiment::Found> ExtendedExperiment::Find(const PlannedTrial& trial,
                                                                   store::Store& store) const {
  const auto key = KeyOf(trial.spec, trial.dataset_digest);
  if (!key.ok()) return key.status();
  const auto alike = sources_.find(*key);
  if (alike == sources_.end()) return Found{};
  const int32_t wanted = trial.spec.train().updates();
  std::vector<const Source*> shorter;
  for (const Source& source : alike->second) {
    if (source.trained.updates <= wanted) shorter.push_back(&source);
  }
  if (shorter.empty()) {
    const Source& source = alike->second.front();
    return absl::InvalidArgumentError(absl::StrCat(
        "train.updates is ", wanted, ", but ", Short(source.shown.name), " was submitted with ", source.trained.updates,
        ": an extension adds updates. Ask for more than ", source.trained.updates, ", or submit without extends."));
  }
  std::sort(shorter.begin(), shorter.end(),
            [](const Source* a, const Source* b) { return a->trained.updates > b->trained.updates; });
  for (const Source* source : shorter) {
    if (!core::IsFinal(source->job.state)) {
      return absl::FailedPreconditionError(absl::StrCat("extends: ", Short(source->shown.name), " is still ",
                                                        core::Name(source->job.state), ". Wait for it ('strata wait ",
                                                        name_, "'), or cancel it, then extend the experiment."));
    }
  }
  for (const Source* source : shorter) {
    const bool cut_short = source->trained.updates_done < source->trained.updates;
    if (source->job.state == core::JobState::kDiverged && cut_short)
      return Found{.extension = {}, .ended = std::make_pair(source->trained, source->job)};
    auto left = LeftBy(source->job, store);
    if (!left.ok()) return left.status();
    if (left->empty()) continue;
    return Found{.extension = Extension{.source = source->trained,
                                        .job = source->job.name,
                                        .update = source->job.checkpoint_update,
                                        .whole = source->job.checkpoint_update == source->trained.updates,
                                        .artifacts = *std::move(left)},
                 .ended = {}};
  }
  return Found{};
}

}  // namespace strata::service
