#include "server/core/job.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

namespace strata::core {
namespace {

constexpr int kStates = std::size(kAllJobStates);
constexpr int kEvents = std::size(kAllJobEvents);

using enum JobState;
constexpr std::optional<JobState> kNo = std::nullopt;

// Rows: states in the order of JobState; columns: events in the order of JobEvent.
// A QUEUED job fails when another rank of its last attempt tells late what no new attempt can mend.
// While CANCELLING every end of the attempt is CANCELLED: a cancellation that was acknowledged holds.
// clang-format off
constexpr std::array<std::array<std::optional<JobState>, kEvents>, kStates> kTable = {{
    // placed   up        succeeded   diverged    requeued    failed      cancel       upstream    retry
    {{kPending, kNo,      kNo,        kNo,        kNo,        kFailed,    kCancelled,  kCancelled, kNo}},      // QUEUED
    {{kNo,      kRunning, kSucceeded, kDiverged,  kQueued,    kFailed,    kCancelling, kNo,        kNo}},      // PENDING
    {{kNo,      kNo,      kSucceeded, kDiverged,  kQueued,    kFailed,    kCancelling, kNo,        kNo}},      // RUNNING
    {{kNo,      kNo,      kCancelled, kCancelled, kCancelled, kCancelled, kCancelling, kNo,        kNo}},      // CANCELLING
    {{kNo,      kNo,      kNo,        kNo,        kNo,        kNo,        kNo,         kNo,        kNo}},      // SUCCEEDED
    {{kNo,      kNo,      kNo,        kNo,        kNo,        kNo,        kNo,         kNo,        kQueued}},  // FAILED
    {{kNo,      kNo,      kNo,        kNo,        kNo,        kNo,        kCancelled,  kNo,        kQueued}},  // CANCELLED
    {{kNo,      kNo,      kNo,        kNo,        kNo,        kNo,        kNo,         kNo,        kNo}},      // DIVERGED
}};
// clang-format on

struct StateName {
  JobState state;
  const char* name;
};
constexpr StateName kStateNames[] = {{kQueued, "QUEUED"},         {kPending, "PENDING"},     {kRunning, "RUNNING"},
                                     {kCancelling, "CANCELLING"}, {kSucceeded, "SUCCEEDED"}, {kFailed, "FAILED"},
                                     {kCancelled, "CANCELLED"},   {kDiverged, "DIVERGED"}};

struct KindName {
  JobKind kind;
  const char* name;
};
constexpr KindName kKindNames[] = {
    {JobKind::kTrain, "TRAIN"}, {JobKind::kEvaluate, "EVALUATE"}, {JobKind::kProbe, "PROBE"}};

struct CauseRule {
  std::string_view cause;
  bool mends;
};

// What each means stands beside it; docs/reference/errors.md takes it from here.
constexpr CauseRule kCauses[] = {
    {"worker_lost", true},        // the worker was not heard of for a lease's time; another may hold
    {"rank_lost", true},          // another rank of the attempt went away
    {"crashed", true},            // a trainer was ended by a signal, or ended without saying why
    {"stalled", true},            // no rank told anything for resources.stall_seconds
    {"rendezvous_failed", true},  // the ranks did not meet; the address, or another worker's, may be reached next time
    {"start_failed", true},       // the agent could not prepare or start a trainer
    {"disk_full", true},          // the worker's disk is full; another worker may have room
    {"internal", true},           // a fault of the program; a rank whose peer died may say no more than this
    {"out_of_memory", false},     // of the machine, the slot or the GPU; the same batch needs the same memory
    {"bad_spec", false},          // this trainer or its device cannot do what the spec asks
    {"data_error", false},        // a file of the dataset is damaged, or does not fit the spec
    {"dataset_missing", false},   // the coordinator does not have the dataset; a person has to register it
    {"checkpoint_corrupt", false},  // a checkpoint is damaged, and there is no older one to fall back to
};

}  // namespace

bool IsFinal(JobState state) {
  return state == kSucceeded || state == kFailed || state == kCancelled || state == JobState::kDiverged;
}

const char* Name(JobState state) { return kStateNames[static_cast<int>(state)].name; }
const char* Name(JobKind kind) { return kKindNames[static_cast<int>(kind)].name; }

std::optional<JobState> JobStateFromName(const std::string& name) {
  for (const auto& [state, text] : kStateNames) {
    if (name == text) return state;
  }
  return std::nullopt;
}

std::optional<JobKind> JobKindFromName(const std::string& name) {
  for (const auto& [kind, text] : kKindNames) {
    if (name == text) return kind;
  }
  return std::nullopt;
}

const char* Name(JobEvent event) {
  constexpr const char* kNames[kEvents] = {"placed", "all ranks up", "succeeded",      "diverged", "queued again",
                                           "failed", "cancelled",    "upstream ended", "retried"};
  return kNames[static_cast<int>(event)];
}

absl::StatusOr<JobState> Next(JobState state, JobEvent event) {
  const std::optional<JobState> next = kTable[static_cast<int>(state)][static_cast<int>(event)];
  if (next.has_value()) return *next;
  return absl::FailedPreconditionError(absl::StrCat("a job that is ", Name(state), " cannot be ", Name(event)));
}

bool CanMend(std::string_view cause) {
  for (const CauseRule& rule : kCauses) {
    if (rule.cause == cause) return rule.mends;
  }
  return false;
}

std::vector<std::string_view> Causes() {
  std::vector<std::string_view> causes;
  for (const CauseRule& rule : kCauses) causes.push_back(rule.cause);
  return causes;
}

bool IsCause(std::string_view cause) {
  return std::any_of(std::begin(kCauses), std::end(kCauses),
                     [&](const CauseRule& rule) { return rule.cause == cause; });
}

absl::Duration Backoff(int32_t failures, absl::Duration first, absl::Duration longest) {
  absl::Duration wait = first;
  for (int32_t i = 1; i < failures && wait < longest; ++i) wait *= 2;
  return std::min(wait, longest);
}

}  // namespace strata::core
