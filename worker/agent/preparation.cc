#include "worker/agent/preparation.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

namespace fs = std::filesystem;

const char* Argument(JobKind kind) {
  switch (kind) {
    case JobKind::kTrain:
      return "train";
    case JobKind::kEvaluate:
      return "evaluate";
    case JobKind::kProbe:
      return "probe";
  }
  return "train";
}

// 400 of update-00000400.safetensors; -1 for other names.
int64_t UpdateOf(const std::string& file_name) {
  int64_t update = 0;
  if (!file_name.starts_with("update-") || !file_name.ends_with(".safetensors")) return -1;
  return absl::SimpleAtoi(file_name.substr(7, file_name.size() - 7 - 12), &update) ? update : -1;
}

bool IsFile(const std::string& path, const std::string& sha256) {
  const auto hash = base::Sha256OfFile(path);
  return hash.ok() && *hash == sha256;
}

PreparationFailure Describe(const absl::Status& status, const char* not_found, const char* spoiled) {
  const std::string message(status.message());
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return {not_found, message};
    case absl::StatusCode::kDataLoss:
      return {spoiled, message};
    case absl::StatusCode::kResourceExhausted:
      return {"disk_full", message};
    default:
      return {"start_failed", message};
  }
}

std::string Threads(const std::string& spec_json) {
  const auto spec = nlohmann::json::parse(spec_json, nullptr, false);
  if (!spec.is_object() || !spec.contains("resources")) return "1";
  const auto& resources = spec["resources"];
  if (!resources.is_object() || !resources.contains("threads") || !resources["threads"].is_number_integer()) return "1";
  return absl::StrCat(resources["threads"].get<int64_t>());
}

bool HasFirstRank(const Assignment& assignment) {
  return std::any_of(assignment.ranks.begin(), assignment.ranks.end(), [](const RankSlot& r) { return r.rank == 0; });
}

}  // namespace

bool Preparation::Prepare(const Assignment& assignment, const std::function<bool()>& give_up, Prepared* prepared,
                          PreparationFailure* failure) {
  const auto fail = [&](const absl::Status& status, const char* not_found, const char* spoiled) {
    *failure = Describe(status, not_found, spoiled);
    return false;
  };
  auto dataset = datasets_.Ensure(assignment.dataset, assignment.dataset_digest, give_up);
  if (!dataset.ok()) return fail(dataset.status(), "dataset_missing", "data_error");
  prepared->dataset_folder = *std::move(dataset);
  prepared->out_folder = state_.OutFolder(assignment);
  absl::Status status = base::MakeFolders(prepared->out_folder);
  if (!status.ok()) return fail(status, "start_failed", "start_failed");
  if (!HasFirstRank(assignment)) {
    // Nothing: rank 0 hands it on.
  } else if (assignment.kind == JobKind::kTrain) {
    status = PlaceCheckpoint(assignment, prepared->out_folder + "/checkpoints", give_up);
    if (!status.ok()) return fail(status, "checkpoint_corrupt", "checkpoint_corrupt");
  } else if (assignment.kind == JobKind::kEvaluate) {
    status = PlaceWeights(assignment, give_up, &prepared->weights);
    if (!status.ok()) return fail(status, "checkpoint_corrupt", "checkpoint_corrupt");
  }
  status = base::WriteFileAtomically(state_.AttemptFolder(assignment.id) + "/spec.json", assignment.spec_json);
  return status.ok() || fail(status, "start_failed", "start_failed");
}

absl::Status Preparation::PlaceWeights(const Assignment& assignment, const std::function<bool()>& give_up,
                                       std::vector<std::string>* weights) {
  std::vector<CheckpointRef> wanted = assignment.averaged;
  if (wanted.empty() && !assignment.checkpoint_from.artifact.empty()) wanted = {assignment.checkpoint_from};
  if (wanted.empty()) {
    return absl::NotFoundError(
        "The coordinator has no weights to evaluate: the training left none, or they were "
        "deleted. Train the trial anew: submit it with --force.");
  }
  const std::string folder = state_.AttemptFolder(assignment.id) + "/weights";
  absl::Status made = base::MakeFolders(folder);
  if (!made.ok()) return made;
  for (const CheckpointRef& checkpoint : wanted) {
    auto path = FetchWeights(checkpoint, folder, give_up);
    if (!path.ok()) return path.status();
    weights->push_back(*std::move(path));
  }
  return absl::OkStatus();
}

absl::Status Preparation::FetchArtifact(const CheckpointRef& checkpoint, const std::string& path,
                                        const std::function<bool()>& give_up) {
  const Download download{path, -1, checkpoint.sha256, [&](int64_t offset, const ByteSink& sink) {
                            return coordinator_.ReadArtifact(checkpoint.artifact, offset, sink);
                          }};
  absl::Status status = Fetch(download, give_up);
  if (status.code() != absl::StatusCode::kDataLoss) return status;
  return absl::DataLossError(
      absl::StrCat("The coordinator's copy of ", checkpoint.file_name, " is damaged: ", status.message()));
}

absl::Status Preparation::PlaceCheckpoint(const Assignment& assignment, const std::string& folder,
                                          const std::function<bool()>& give_up) {
  const bool resumes = !assignment.checkpoint_from.artifact.empty();
  const int64_t from = resumes ? UpdateOf(assignment.checkpoint_from.file_name) : -1;
  if (resumes && from < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", assignment.checkpoint_from.file_name, "\" is no name of a resumable checkpoint"));
  }
  absl::Status status = base::MakeFolders(folder);
  if (!status.ok()) return status;
  const std::string wanted = absl::StrCat(folder, "/", assignment.checkpoint_from.file_name);
  std::error_code error;
  std::vector<std::string> remove;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const int64_t update = UpdateOf(name);
    const bool older = resumes && update >= 0 && update <= from;
    const bool best = resumes && name == "best.safetensors";
    const bool part = resumes && name.ends_with(".part");
    if (!older && !best && !part) remove.push_back(entry.path().string());
  }
  // Epochs' weights up to the checkpoint are at the coordinator, and later ones are made again. The trainer's index
  // goes as well: each checkpoint carries its own hash, and the index would miss what was removed.
  for (const std::string& path : remove) ::unlink(path.c_str());
  if (!resumes || IsFile(wanted, assignment.checkpoint_from.sha256)) return absl::OkStatus();
  ::unlink(wanted.c_str());
  return FetchArtifact(assignment.checkpoint_from, wanted, give_up);
}

absl::StatusOr<std::string> Preparation::FetchWeights(const CheckpointRef& checkpoint, const std::string& folder,
                                                      const std::function<bool()>& give_up) {
  const std::string name = absl::StrCat(checkpoint.sha256, ".safetensors");
  const std::string kept = absl::StrCat(state_.path(), "/weights/", name), own = absl::StrCat(folder, "/", name);
  if (::link(kept.c_str(), own.c_str()) == 0 && IsFile(own, checkpoint.sha256)) {
    std::error_code ignored;
    fs::last_write_time(own, fs::file_time_type::clock::now(), ignored);  // the longest unused go first
    return own;
  }
  ::unlink(own.c_str());
  ::unlink(kept.c_str());
  absl::Status status = FetchArtifact(checkpoint, own, give_up);
  if (!status.ok()) return status;
  ::link(own.c_str(), kept.c_str());
  return own;
}

Command TrainerCommand(const TrainerOptions& trainer, const StateDir& state, const Assignment& assignment,
                       const Prepared& prepared, int32_t rank, const Slot& slot) {
  const AttemptId& id = assignment.id;
  const std::string folder = state.AttemptFolder(id);
  Command command;
  command.arguments = {trainer.program,
                       "--spec",
                       folder + "/spec.json",
                       "--job",
                       Argument(assignment.kind),
                       "--dataset",
                       prepared.dataset_folder,
                       "--out",
                       prepared.out_folder,
                       "--spool",
                       state.SpoolPath(id, rank),
                       "--control",
                       state.ControlPath(id, rank),
                       "--attempt",
                       absl::StrCat(id.attempt),
                       "--rank",
                       absl::StrCat(rank),
                       "--world-size",
                       absl::StrCat(assignment.world_size)};
  if (assignment.world_size > 1) {
    command.arguments.insert(command.arguments.end(), {"--advertise-address", trainer.advertise, "--collectives",
                                                       state.CollectivesPath(id, rank)});
  }
  if (assignment.kind == JobKind::kTrain) command.arguments.push_back("--resume");
  if (assignment.kind == JobKind::kEvaluate) {
    command.arguments.insert(command.arguments.end(), {"--evaluation", absl::StrCat(assignment.evaluation)});
    for (const std::string& weights : rank == 0 ? prepared.weights : std::vector<std::string>()) {
      command.arguments.insert(command.arguments.end(), {"--checkpoint", weights});
    }
    for (const std::string& detokeniser : trainer.detokenisers) {
      command.arguments.insert(command.arguments.end(), {"--detokeniser", detokeniser});
    }
  }
  const std::string threads = Threads(assignment.spec_json);
  // A rank sees its own GPU and no other; on a CPU slot none.
  command.environment = {{"OMP_NUM_THREADS", threads},
                         {"MKL_NUM_THREADS", threads},
                         {"OPENBLAS_NUM_THREADS", threads},
                         {"CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
                         {"CUDA_VISIBLE_DEVICES", slot.uuid}};
  command.folder = folder;
  command.log = state.LogPath(id, rank);
  command.cores = slot.cores;
  return command;
}

void KeepWeights(const StateDir& state, const std::string& path, const std::string& sha256, size_t most) {
  const std::string folder = state.path() + "/weights";
  ::link(path.c_str(), absl::StrCat(folder, "/", sha256, ".safetensors").c_str());
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    files.emplace_back(entry.last_write_time(error), entry.path());
  }
  std::sort(files.begin(), files.end());
  for (size_t i = 0; i + most < files.size(); ++i) ::unlink(files[i].second.c_str());
}

}  // namespace strata::agent
