#include "server/service/access_table.h"

#include <unordered_map>

#include "absl/strings/str_cat.h"

namespace strata::service {
namespace {

constexpr bool kWorkerToo = true;
constexpr bool kChange = true;

constexpr AccessRule For(Role least, std::string_view method, bool change = false) {
  return {.method = method, .least = least, .change = change};
}
constexpr AccessRule ForWorkersToo(Role least, std::string_view method) {
  return {.method = method, .least = least, .worker = kWorkerToo};
}
constexpr AccessRule ForWorkers(std::string_view method, bool change = false) {
  return {.method = method, .worker = kWorkerToo, .change = change};
}
constexpr AccessRule ForAnyone(std::string_view method) {
  return {.method = method, .entry = AccessRule::Entry::kAnyone};
}

}  // namespace

const std::vector<AccessRule>& AccessRules() {
  using enum Role;
  static const auto* const rules = new std::vector<AccessRule>{
      For(kSubmitter, "strata.v1.ExperimentService/CreateExperiment", kChange),
      For(kViewer, "strata.v1.ExperimentService/PlanExperiment"),
      For(kViewer, "strata.v1.ExperimentService/GetExperiment"),
      For(kViewer, "strata.v1.ExperimentService/ListExperiments"),
      For(kSubmitter, "strata.v1.ExperimentService/CancelExperiment", kChange),
      For(kSubmitter, "strata.v1.ExperimentService/HoldExperiment", kChange),
      For(kSubmitter, "strata.v1.ExperimentService/ReleaseExperiment", kChange),
      For(kViewer, "strata.v1.ExperimentService/WatchExperiment"),
      For(kViewer, "strata.v1.TrialService/GetTrial"),
      For(kViewer, "strata.v1.TrialService/ListTrials"),
      For(kViewer, "strata.v1.JobService/GetJob"),
      For(kViewer, "strata.v1.JobService/ListJobs"),
      For(kSubmitter, "strata.v1.JobService/CancelJob", kChange),
      For(kSubmitter, "strata.v1.JobService/RetryJob", kChange),
      For(kSubmitter, "strata.v1.JobService/HoldJob", kChange),
      For(kSubmitter, "strata.v1.JobService/ReleaseJob", kChange),
      For(kViewer, "strata.v1.JobService/GetJobLog"),
      For(kViewer, "strata.v1.MetricService/QueryScalars"),
      For(kViewer, "strata.v1.MetricService/QueryVectors"),
      For(kViewer, "strata.v1.MetricService/ListSeries"),
      For(kViewer, "strata.v1.MetricService/WatchScalars"),
      For(kSubmitter, "strata.v1.DatasetService/CreateDataset", kChange),
      // A piece of what CreateDataset has named by its hash: one entry a dataset, not one a piece.
      For(kSubmitter, "strata.v1.DatasetService/UploadDatasetFile"),
      ForWorkersToo(kViewer, "strata.v1.DatasetService/GetDataset"),
      For(kViewer, "strata.v1.DatasetService/ListDatasets"),
      ForWorkersToo(kViewer, "strata.v1.DatasetService/ReadDatasetFile"),
      ForWorkers("strata.v1.ArtifactService/StartUpload"),
      ForWorkers("strata.v1.ArtifactService/UploadChunk"),
      ForWorkers("strata.v1.ArtifactService/FinishUpload"),
      ForWorkersToo(kViewer, "strata.v1.ArtifactService/GetArtifact"),
      For(kViewer, "strata.v1.ArtifactService/ListArtifacts"),
      ForWorkersToo(kViewer, "strata.v1.ArtifactService/ReadArtifact"),
      ForWorkers("strata.v1.WorkerService/RegisterWorker", kChange),
      ForWorkers("strata.v1.WorkerService/Synchronize"),
      ForWorkers("strata.v1.WorkerService/ReportEvents"),
      ForWorkers("strata.v1.WorkerService/CompleteAttempt"),
      ForWorkers("strata.v1.WorkerService/AppendLog"),
      ForWorkers("strata.v1.WorkerService/DeregisterWorker", kChange),
      For(kAdmin, "strata.v1.WorkerService/CordonWorker", kChange),
      For(kAdmin, "strata.v1.WorkerService/UncordonWorker", kChange),
      For(kAdmin, "strata.v1.WorkerService/DrainWorker", kChange),
      For(kViewer, "strata.v1.WorkerService/GetWorker"),
      For(kViewer, "strata.v1.WorkerService/ListWorkers"),
      ForWorkersToo(kViewer, "strata.v1.AccessService/GetCaller"),
      For(kAdmin, "strata.v1.AccessService/CreateToken", kChange),
      For(kAdmin, "strata.v1.AccessService/ListTokens"),
      For(kAdmin, "strata.v1.AccessService/RevokeToken", kChange),
      For(kAdmin, "strata.v1.AccessService/ListAuditEntries"),
      For(kViewer, "strata.v1.UpkeepService/PlanDeletion"),
      For(kAdmin, "strata.v1.UpkeepService/Delete", kChange),
      For(kViewer, "strata.v1.UpkeepService/GetUsage"),
      For(kAdmin, "strata.v1.UpkeepService/CollectGarbage", kChange),
      // A backup changes nothing, but takes all there is along, hashes of tokens included.
      For(kAdmin, "strata.v1.UpkeepService/BeginBackup", kChange),
      For(kAdmin, "strata.v1.UpkeepService/ListBackupFiles"),
      For(kAdmin, "strata.v1.UpkeepService/ReadBackupFile"),
      For(kAdmin, "strata.v1.UpkeepService/EndBackup"),
      For(kAdmin, "strata.v1.UpkeepService/CheckStorage"),
      For(kViewer, "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
      // Whether it serves, and nothing else: for the health checks of container engines.
      ForAnyone("grpc.health.v1.Health/Check"),
      ForAnyone("grpc.health.v1.Health/Watch"),
  };
  return *rules;
}

const AccessRule* FindRule(std::string_view path) {
  static const auto* const by_method = [] {
    auto* map = new std::unordered_map<std::string_view, const AccessRule*>;
    for (const AccessRule& rule : AccessRules()) map->emplace(rule.method, &rule);
    return map;
  }();
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  const auto found = by_method->find(path);
  return found == by_method->end() ? nullptr : found->second;
}

bool Allows(const AccessRule& rule, Role role) {
  if (rule.entry == AccessRule::Entry::kAnyone) return true;
  if (role == Role::kNobody) return false;
  if (role == Role::kWorker) return rule.worker;
  return rule.least != Role::kNobody && role >= rule.least;
}

std::string Name(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kSubmitter:
      return "submitter";
    case Role::kAdmin:
      return "admin";
    case Role::kWorker:
      return "worker";
    case Role::kNobody:
      break;
  }
  return "nobody";
}

std::string WithArticle(Role role) { return absl::StrCat(role == Role::kAdmin ? "an " : "a ", Name(role)); }

absl::StatusOr<Role> ParseRole(std::string_view name) {
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kAdmin, Role::kWorker}) {
    if (Name(role) == name) return role;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", std::string(name), "\" is no role. Take viewer, submitter, admin or worker."));
}

v1::Role ToProto(Role role) { return static_cast<v1::Role>(role); }

Role FromProto(v1::Role role) {
  return v1::Role_IsValid(role) ? static_cast<Role>(static_cast<int>(role)) : Role::kNobody;
}

static_assert(static_cast<int>(Role::kViewer) == v1::ROLE_VIEWER && static_cast<int>(Role::kWorker) == v1::ROLE_WORKER &&
              static_cast<int>(Role::kSubmitter) == v1::ROLE_SUBMITTER && static_cast<int>(Role::kAdmin) == v1::ROLE_ADMIN);

}  // namespace strata::service
