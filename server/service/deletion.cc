#include "server/service/deletion.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "server/service/audit_note.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

namespace fs = std::filesystem;

bool IsDataset(const std::string& name) { return absl::StartsWith(name, "datasets/"); }

// The experiment that a trial, a job or an artifact is of.
std::string ExperimentOf(const std::string& name) { return name.substr(0, name.find('/', sizeof("experiments/") - 1)); }

// Files below `folder`, and their bytes.
v1::Amount Measure(const std::string& kind, const std::string& folder) {
  v1::Amount amount;
  amount.set_kind(kind);
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (!at->is_regular_file(gone)) continue;
    amount.set_count(amount.count() + 1);
    amount.set_bytes(amount.bytes() + static_cast<int64_t>(at->file_size(gone)));
  }
  return amount;
}

void AddAmount(std::map<std::string, v1::Amount>& amounts, const std::string& kind, int64_t count, int64_t bytes) {
  v1::Amount& amount = amounts[kind];
  amount.set_kind(kind);
  amount.set_count(amount.count() + count);
  amount.set_bytes(amount.bytes() + bytes);
}

// Jobs of an experiment that have not ended.
std::vector<std::string> LiveJobs(const core::State& state, const std::string& experiment) {
  std::vector<std::string> live;
  const std::string head = experiment + "/";
  for (auto at = state.jobs.lower_bound(head); at != state.jobs.end() && absl::StartsWith(at->first, head); ++at) {
    if (!core::IsFinal(at->second.state)) live.push_back(at->first);
  }
  return live;
}

std::string FirstFew(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  if (names.size() <= kShown) return absl::StrJoin(names, ", ");
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + kShown, ", "), " and ", names.size() - kShown,
                      " more");
}

std::string Obstacle(const v1::PlanDeletionResponse& plan) {
  if (plan.live_jobs_size() > 0) {
    const std::vector<std::string> jobs(plan.live_jobs().begin(), plan.live_jobs().end());
    return absl::StrCat("These jobs have not ended: ", FirstFew(jobs), ". Cancel them or wait for them, then delete.");
  }
  std::set<std::string> users;
  for (const v1::Reference& reference : plan.references()) {
    if (reference.how() != "dataset") users.insert(ExperimentOf(reference.from()));
  }
  if (users.empty()) return "";
  return absl::StrCat("Other experiments refer to it: ", FirstFew({users.begin(), users.end()}),
                      ". Their results are those of what would go: delete them in the same call, or leave it.");
}

// Over all that a person would decide by, sizes left out.
std::string Digest(const v1::PlanDeletionResponse& plan) {
  std::string text;
  for (const v1::DeletedItem& item : plan.items()) absl::StrAppend(&text, "item ", item.name(), "\n");
  for (const v1::Reference& r : plan.references()) absl::StrAppend(&text, r.how(), " ", r.from(), " ", r.to(), "\n");
  for (const std::string& job : plan.live_jobs()) absl::StrAppend(&text, "live ", job, "\n");
  return base::Sha256Hex(text);
}

void Refer(v1::PlanDeletionResponse& plan, const std::string& from, const std::string& how, const std::string& to) {
  v1::Reference* reference = plan.add_references();
  reference->set_from(from);
  reference->set_how(how);
  reference->set_to(to);
}

}  // namespace

absl::Status Deletion::PlanExperiment(const std::string& name, const std::vector<std::string>& names,
                                      v1::PlanDeletionResponse& plan) {
  store::Store& store = coordinator_.store();
  const auto row = store.FindExperiment(name);
  if (!row.ok()) return row.status();
  if (!row->has_value())
    return absl::NotFoundError(
        absl::StrCat("There is no experiment ", LeafOf(name), ". 'strata list' shows those there are."));
  v1::DeletedItem& item = *plan.add_items();
  item.set_name(name);
  std::map<std::string, v1::Amount> amounts;
  const auto trials = store.ListTrials(name, 0, (*row)->trials);
  if (!trials.ok()) return trials.status();
  for (const store::Trial& trial : *trials) {
    const auto artifacts = store.ListArtifacts(trial.name);
    if (!artifacts.ok()) return artifacts.status();
    for (const store::Artifact& artifact : *artifacts) {
      const bool weights = absl::StartsWith(artifact.kind, "checkpoint_");
      AddAmount(amounts,
                artifact.kind == "checkpoint_resumable" ? "checkpoints"
                : weights                               ? "weights"
                                                        : "files",
                1, artifact.bytes);
    }
  }
  const auto sizes = store.MeasurementSizes(name);
  if (!sizes.ok()) return sizes.status();
  for (const store::MeasurementSize& size : *sizes) {
    AddAmount(amounts, "scalars", size.scalars, size.scalar_bytes);
    AddAmount(amounts, "vectors", size.vectors, size.vector_bytes);
  }
  const v1::Amount logs = Measure("logs", folder_.logs(name));
  AddAmount(amounts, "logs", logs.count(), logs.bytes());
  for (const auto& [kind, amount] : amounts) {
    if (amount.count() > 0) *item.add_amounts() = amount;
  }
  const auto references = store.ReferencesTo(name);
  if (!references.ok()) return references.status();
  for (const store::Reference& reference : *references) {
    if (std::find(names.begin(), names.end(), ExperimentOf(reference.from)) == names.end())
      Refer(plan, reference.from, reference.how, reference.to);
  }
  return absl::OkStatus();
}

absl::Status Deletion::PlanDataset(const std::string& name, const std::vector<std::string>& names,
                                   v1::PlanDeletionResponse& plan) {
  const std::string id = LeafOf(name);
  const auto row = coordinator_.store().FindDataset(id);
  if (!row.ok()) return row.status();
  if (!row->has_value())
    return absl::NotFoundError(absl::StrCat("There is no dataset ", id, ". 'strata data list' shows those there are."));
  v1::DeletedItem& item = *plan.add_items();
  item.set_name(name);
  v1::Amount amount = Measure("dataset", folder_.dataset(id));
  const v1::Amount arriving = Measure("dataset", folder_.incoming_dataset(id));
  amount.set_count(amount.count() + arriving.count());
  amount.set_bytes(amount.bytes() + arriving.bytes());
  *item.add_amounts() = amount;
  const auto users = coordinator_.store().ExperimentsOfDataset(id);
  if (!users.ok()) return users.status();
  for (const std::string& user : *users) {
    if (std::find(names.begin(), names.end(), user) == names.end()) Refer(plan, user, "dataset", name);
  }
  return absl::OkStatus();
}

absl::Status Deletion::Plan(const std::vector<std::string>& names, v1::PlanDeletionResponse& plan) {
  if (names.empty()) return absl::InvalidArgumentError("names: nothing is named. Give experiments/E or datasets/NAME.");
  std::vector<std::string> each;
  for (const std::string& name : names) {
    if (std::find(each.begin(), each.end(), name) == each.end()) each.push_back(name);
  }
  for (const std::string& name : each) {
    const auto ids = ParseName(name, IsDataset(name) ? "datasets/*" : "experiments/*");
    if (!ids.ok()) return ids.status();
    const absl::Status status = IsDataset(name) ? PlanDataset(name, each, plan) : PlanExperiment(name, each, plan);
    if (!status.ok()) return status;
  }
  std::set<std::string> live;
  const absl::Status looked = coordinator_.Look([&](const core::Controller& controller) {
    std::set<std::string> experiments;
    for (const std::string& name : each) {
      if (!IsDataset(name)) experiments.insert(name);
    }
    for (const v1::Reference& reference : plan.references()) {
      if (reference.how() == "dataset") experiments.insert(reference.from());
    }
    for (const std::string& experiment : experiments) {
      for (std::string& job : LiveJobs(controller.state(), experiment)) live.insert(std::move(job));
    }
    return absl::OkStatus();
  });
  if (!looked.ok()) return looked;
  for (const std::string& job : live) plan.add_live_jobs(job);
  plan.set_obstacle(Obstacle(plan));
  plan.set_plan(Digest(plan));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Deletion::UploadsOf(const v1::PlanDeletionResponse& plan) {
  const auto uploads = coordinator_.store().ListUploads();
  if (!uploads.ok()) return uploads.status();
  std::vector<std::string> ids;
  for (const store::Upload& upload : *uploads) {
    for (const v1::DeletedItem& item : plan.items()) {
      if (ExperimentOf(upload.job) == item.name()) ids.push_back(upload.id);
    }
  }
  return ids;
}

absl::Status Deletion::Commit(const v1::DeleteRequest& request, const v1::PlanDeletionResponse& plan,
                              const v1::DeleteResponse& response) {
  std::string answer;
  (void)google::protobuf::util::MessageToJsonString(response, &answer);
  return coordinator_.Update([&](Coordinator::Change& change) -> absl::Status {
    const core::State& state = change.controller().state();
    std::vector<std::string> experiments, jobs;
    for (const v1::DeletedItem& item : plan.items()) {
      if (IsDataset(item.name())) continue;
      experiments.push_back(item.name());
      // Once more, under the lock: one may have been tried again.
      if (!LiveJobs(state, item.name()).empty())
        return absl::AbortedError(
            absl::StrCat("A job of ", item.name(), " was tried again just now. Plan the deletion anew."));
      const std::string head = item.name() + "/";
      for (auto at = state.jobs.lower_bound(head); at != state.jobs.end() && absl::StartsWith(at->first, head); ++at)
        jobs.push_back(at->first);
    }
    if (!experiments.empty()) {
      change.Forget(jobs);
      change.Write(store::EraseExperiments{experiments});
    }
    for (const v1::DeletedItem& item : plan.items()) {
      if (IsDataset(item.name())) change.Write(store::EraseDataset{LeafOf(item.name()), request.with_references()});
    }
    change.Write(store::PutDeletion{request.request_id(), change.now(), answer});
    return absl::OkStatus();
  });
}

void Deletion::RemovePath(const std::string& path, v1::DeleteResponse& response) const {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) response.add_left(std::string(base::FileError(error.value(), "delete", path).message()));
}

void Deletion::RemoveFolders(const std::string& name, v1::DeleteResponse& response) const {
  const std::string id = LeafOf(name);
  for (const std::string& path :
       IsDataset(name) ? std::vector{folder_.dataset(id), folder_.incoming_dataset(id)}
                       : std::vector{folder_.artifacts(name), folder_.logs(name)}) {
    RemovePath(path, response);
  }
}

absl::Status Deletion::Finish() {
  base::MutexLock lock(datasets_);
  store::Store& store = coordinator_.store();
  const auto answers = store.ListDeletions();
  if (!answers.ok()) return answers.status();
  v1::DeleteResponse done;
  for (const std::string& answer : *answers) {
    v1::DeleteResponse deleted;
    (void)google::protobuf::util::JsonStringToMessage(answer, &deleted);
    for (const v1::DeletedItem& item : deleted.items()) {
      if (!IsDataset(item.name())) {  // its name is not given again
        RemoveFolders(item.name(), done);
        continue;
      }
      const auto anew = store.FindDataset(LeafOf(item.name()));
      if (!anew.ok()) return anew.status();
      if (!anew->has_value()) RemoveFolders(item.name(), done);
    }
  }
  return done.left_size() == 0 ? absl::OkStatus() : absl::InternalError(done.left(0));
}

absl::Status Deletion::Delete(const v1::DeleteRequest& request, v1::DeleteResponse& response) {
  if (request.request_id().empty() || request.request_id().size() > 128) {
    return absl::InvalidArgumentError(
        "request_id: give one, a UUID, of at most 128 characters; it makes repeating the call safe.");
  }
  if (request.plan().empty())
    return absl::InvalidArgumentError("plan: it is missing. Ask PlanDeletion what would go, and give its digest.");
  NoteTarget(absl::StrJoin(request.names(), ", "));
  base::MutexLock lock(datasets_);
  const auto earlier = coordinator_.store().FindDeletion(request.request_id());
  if (!earlier.ok()) return earlier.status();
  if (earlier->has_value()) {
    (void)google::protobuf::util::JsonStringToMessage(**earlier, &response);
    return absl::OkStatus();
  }
  v1::PlanDeletionResponse plan;
  absl::Status status = Plan({request.names().begin(), request.names().end()}, plan);
  if (!status.ok()) return status;
  if (plan.plan() != request.plan()) {
    return absl::AbortedError(
        "What would go, or what refers to it, has changed since it was shown. Nothing was deleted: look at it again.");
  }
  if (!plan.obstacle().empty()) return absl::FailedPreconditionError(plan.obstacle());
  if (plan.references_size() > 0 && !request.with_references()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "Experiments refer to ", plan.references(0).to(), ", ", plan.references(0).from(),
        " among them: they can train and score no more without it. Confirm it (with_references), or delete them too."));
  }
  const auto uploads = UploadsOf(plan);
  if (!uploads.ok()) return uploads.status();
  *response.mutable_items() = plan.items();
  status = Commit(request, plan, response);
  if (!status.ok()) return status;
  for (const v1::DeletedItem& item : plan.items()) RemoveFolders(item.name(), response);
  for (const std::string& id : *uploads) RemovePath(folder_.upload(id), response);
  return absl::OkStatus();
}

}  // namespace strata::service
