#include "server/service/trial_plan.h"

#include <google/protobuf/util/message_differencer.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/sha256.h"
#include "server/base/spec/spec.h"
#include "server/service/dataset_check.h"
#include "server/service/extension.h"

namespace strata::service {
namespace {

std::string LeafOfEvaluation(int index) { return absl::StrCat("evaluate-", index + 1); }

void PlanOwnJobs(PlannedTrial& trial) {
  if (trial.probe) {
    trial.jobs.push_back({.leaf = "probe", .kind = core::JobKind::kProbe});
    return;
  }
  trial.jobs.push_back({.leaf = "train", .ranks = trial.spec.resources().ranks()});
  for (int i = 0; i < trial.spec.evaluate_size(); ++i) {
    trial.jobs.push_back({.leaf = LeafOfEvaluation(i),
                          .kind = core::JobKind::kEvaluate,
                          .upstream = "train",
                          .accepts_diverged = trial.spec.train().on_divergence() == "continue",
                          .ranks = trial.spec.evaluate(i).ranks()});
  }
}

// The trial of this fingerprint that is done, if there is one, with the job that did it.
absl::StatusOr<std::optional<std::pair<store::Trial, core::Job>>> FindDone(const PlannedTrial& planned,
                                                                           store::Store& store) {
  const auto trials = store.TrialsWithFingerprint(planned.fingerprint);
  if (!trials.ok()) return trials.status();
  for (const store::Trial& trial : *trials) {
    const auto job = store.FindJob(absl::StrCat(trial.name, planned.probe ? "/jobs/probe" : "/jobs/train"));
    if (!job.ok()) return job.status();
    if (job->has_value() &&
        ((*job)->state == core::JobState::kSucceeded || (*job)->state == core::JobState::kDiverged)) {
      return std::make_optional(std::make_pair(trial, **job));
    }
  }
  return std::nullopt;
}

// Updates of trials of one class cost the same: all that decides it is equal.
absl::StatusOr<std::string> CostClass(const v1::TrialSpec& spec, const std::string& dataset_digest) {
  v1::TrialSpec cost = spec;
  cost.mutable_train()->set_updates(1);
  cost.mutable_train()->set_seed(0);
  cost.mutable_train()->set_learning_rate(1);
  cost.mutable_train()->set_warmup(1);
  cost.mutable_train()->set_warmup_init_learning_rate(0);
  return Fingerprint(cost, dataset_digest);
}

}  // namespace

absl::StatusOr<std::string> Fingerprint(const v1::TrialSpec& spec, const std::string& dataset_digest, bool probe) {
  v1::TrialSpec decisive = spec;
  decisive.clear_evaluate();
  decisive.mutable_resources()->set_min_ranks(0);
  decisive.mutable_resources()->set_stall_seconds(0);
  if (probe) decisive.mutable_train()->set_updates(1);
  auto json = base::ToCanonicalJson(decisive);
  if (!json.ok()) return json.status();
  // What came later is left out at its default, so that the fingerprints of trainings from before still hold.
  absl::StrReplaceAll({{",\"min_ranks\":0", ""}, {",\"stall_seconds\":0", ""}, {",\"precision\":\"fp32\"", ""}},
                      &*json);
  return base::Sha256Hex(absl::StrCat(*json, "\n", dataset_digest, probe ? "\nprobe" : ""));
}

namespace {

// How many ranks share the work does not change a score.
bool SameScore(v1::EvaluateSpec a, v1::EvaluateSpec b) {
  a.clear_ranks();
  b.clear_ranks();
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

}  // namespace

absl::Status TrialPlanner::Reuse(PlannedTrial& trial, const store::Trial& source, const core::Job& done) const {
  trial.reused_from = source.name;
  trial.jobs.push_back({.leaf = trial.probe ? "probe" : "train", .existing = done.name});
  if (trial.probe) return absl::OkStatus();
  const auto jobs = store.JobsOfTrial(source.name);
  if (!jobs.ok()) return jobs.status();
  const auto source_spec = base::FromJson(source.spec_json);
  if (!source_spec.ok()) return source_spec.status();
  const bool has_weights = done.state == core::JobState::kSucceeded || trial.spec.train().on_divergence() == "continue";
  for (int i = 0; i < trial.spec.evaluate_size(); ++i) {
    PlannedJob planned{
        .leaf = LeafOfEvaluation(i), .kind = core::JobKind::kEvaluate, .ranks = trial.spec.evaluate(i).ranks()};
    for (const store::TrialJob& job : *jobs) {
      for (int k = 0; k < source_spec->evaluate_size(); ++k) {
        const bool same =
            job.leaf == LeafOfEvaluation(k) && SameScore(trial.spec.evaluate(i), source_spec->evaluate(k));
        // A score that failed, or was cancelled, is tried again.
        if (same && (job.job.state == core::JobState::kSucceeded || !core::IsFinal(job.job.state) || !has_weights)) {
          planned.existing = job.job.name;
        }
      }
    }
    if (planned.existing.empty() && has_weights && trial.spec.evaluate(i).checkpoint() == "average") {
      const auto gone = store.WasCollected(done.name, "checkpoint_epoch");
      if (!gone.ok()) return gone.status();
      if (*gone) {
        return absl::FailedPreconditionError(absl::StrCat(
            "evaluate[", i, "].checkpoint is average, but the epochs' weights of ", source.name,
            " were deleted by the retention policy. Score its best or final weights, or train anew with --force."));
      }
    }
    planned.upstream = done.name;
    planned.accepts_diverged = has_weights;
    if (!planned.existing.empty() || has_weights) trial.jobs.push_back(std::move(planned));
  }
  return absl::OkStatus();
}

absl::Status TrialPlanner::FindWhatThereIs(PlannedTrial& trial) const {
  if (options.force) return PlanOwnJobs(trial), absl::OkStatus();
  const auto done = FindDone(trial, store);
  if (!done.ok()) return done.status();
  if (done->has_value()) return Reuse(trial, (*done)->first, (*done)->second);
  if (extended != nullptr) {
    auto found = extended->Find(trial, store);
    if (!found.ok()) return found.status();
    if (found->ended.has_value()) return Reuse(trial, found->ended->first, found->ended->second);
    trial.extension = std::move(found->extension);
  }
  PlanOwnJobs(trial);
  return absl::OkStatus();
}

absl::StatusOr<PlannedTrial> TrialPlanner::Plan(const v1::TrialSpec& base, const core::Cell& cell) const {
  PlannedTrial trial{.cell = cell, .spec = base, .probe = probe};
  for (const auto& [field, value] : cell) {
    if (absl::Status status = base::SetField(trial.spec, field, value); !status.ok()) return status;
  }
  if (absl::Status status = base::ApplyDefaults(trial.spec); !status.ok()) return status;
  if (absl::Status status = base::Canonicalize(trial.spec); !status.ok()) return status;
  if (absl::Status status = base::ValidateFields(trial.spec, registry_json); !status.ok()) return status;
  const auto json = base::ToCanonicalJson(trial.spec);
  if (!json.ok()) return json.status();
  trial.spec_json = *json;
  const auto dataset = FindDatasetOf(trial.spec, store);
  if (absl::IsFailedPrecondition(dataset.status()) && options.plan_only) return PlanOwnJobs(trial), trial;
  if (!dataset.ok()) return dataset.status();
  const auto manifest = nlohmann::json::parse(dataset->manifest, nullptr, false);
  if (absl::Status status = CheckAgainstDataset(trial.spec, manifest); !status.ok()) return status;
  trial.dataset_digest = dataset->digest;
  trial.vocabulary = VocabularyOf(manifest);
  const auto fingerprint = Fingerprint(trial.spec, dataset->digest, probe);
  if (!fingerprint.ok()) return fingerprint.status();
  trial.fingerprint = *fingerprint;
  const auto cost_class = CostClass(trial.spec, dataset->digest);
  if (!cost_class.ok()) return cost_class.status();
  if (!probe) trial.cost_class = *cost_class;
  if (absl::Status status = FindWhatThereIs(trial); !status.ok()) return status;
  return trial;
}

}  // namespace strata::service
