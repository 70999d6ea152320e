#include "worker/trainer/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <system_error>

#include "model/data/file.h"
#include "worker/trainer/checkpoint_state.h"
#include "worker/trainer/control.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/spec.h"

namespace strata::trainer {
namespace {

namespace fs = std::filesystem;

constexpr char kFormat[] = "strata-checkpoint-1";
constexpr char kIndex[] = "index.json";

std::map<std::string, std::string> Metadata(const CheckpointIdentity& identity, int64_t update) {
  std::string lines;
  for (const std::string& line : identity.spec_lines) lines += line + "\n";
  return {{"format", kFormat},
          {"update", std::to_string(update)},
          {"spec", lines},
          {"dataset_digest", identity.dataset_digest},
          {"world_size", std::to_string(identity.world_size)},
          {"threads", std::to_string(identity.threads)},
          {"isa", identity.isa},
          {"device", identity.device},
          {"libtorch", identity.libtorch}};
}

// "path=value" lines that differ, as a person reads them; `prefixes` empty: all lines count.
std::string Differences(const std::string& theirs, const std::vector<std::string>& ours,
                        const std::vector<std::string>& prefixes) {
  const auto split = [](const std::string& line) {
    const size_t equals = line.find('=');
    return std::pair(line.substr(0, equals), equals == std::string::npos ? "" : line.substr(equals + 1));
  };
  std::map<std::string, std::string> there;
  std::istringstream lines(theirs);
  for (std::string line; std::getline(lines, line);) there.insert(split(line));
  // As checkpoints of trainings that had one rank said it.
  if (const auto alone = there.find("train.update_frequency"); alone != there.end())
    there.emplace(kBatchesPerUpdate, alone->second);
  for (const std::string& line : DefaultTrainingLines()) there.insert(split(line));  // fields newer than the checkpoint
  std::string text;
  for (const std::string& line : ours) {
    const auto [path, value] = split(line);
    const bool counts = prefixes.empty() ||
                        std::ranges::any_of(prefixes, [&path = path](const auto& p) { return path.starts_with(p); });
    const auto found = there.find(path);
    if (!counts || (found != there.end() && found->second == value)) continue;
    text += (text.empty() ? "" : "; ") + path + " is " + (found == there.end() ? "missing" : found->second) +
            " there and " + value + " here";
  }
  return text;
}

void CheckIdentity(const fs::path& file, const std::map<std::string, std::string>& metadata,
                   const CheckpointIdentity& identity, const std::vector<std::string>& prefixes) {
  std::string differences = Differences(metadata.at("spec"), identity.spec_lines, prefixes);
  if (!identity.dataset_digest.empty() && metadata.at("dataset_digest") != identity.dataset_digest) {
    differences += (differences.empty() ? "" : "; ") + std::string("the dataset is another one");
  }
  if (differences.empty()) return;
  throw Failure(Cause::kBadSpec, "Checkpoint " + file.string() + " was written by another spec: " + differences +
                                     ". Give the spec that wrote it, or another --out.");
}

model::SafetensorsReader OpenCheckpoint(const fs::path& file) {
  model::SafetensorsReader reader(file);
  for (const char* key : {"format", "update", "spec", "dataset_digest"}) {
    if (!reader.metadata().contains(key))
      throw std::runtime_error(file.string() + " is no checkpoint of Strata: it lacks \"" + key + "\".");
  }
  if (reader.metadata().at("format") != kFormat) {
    throw std::runtime_error(file.string() + " has the format \"" + reader.metadata().at("format") + "\", not " +
                             kFormat + ".");
  }
  return reader;
}

std::string Shape(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

void CopyInto(const model::SafetensorsReader& reader, const fs::path& file, const std::string& prefix,
              const std::vector<model::NamedParameter>& targets) {
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : targets) {
    const at::Tensor stored = reader.Get(prefix + name);
    if (stored.sizes() != tensor.sizes() || stored.scalar_type() != tensor.scalar_type()) {
      throw Failure(Cause::kBadSpec,
                    "Checkpoint " + file.string() + " holds \"" + prefix + name + "\" as " + Shape(stored) +
                        ", but the model of this spec and dataset has " + Shape(tensor) +
                        ": it is of another vocabulary or model. Give the dataset that it was trained on.");
    }
    tensor.detach().copy_(stored);
  }
}

// Copies of their own on the CPU. Tensors are views of few large buffers: each of these crosses in one piece, from a device
// through page-locked memory.
void CopyToHost(model::NamedTensors* tensors) {
  std::map<const void*, at::Tensor> buffers;
  for (auto& [name, tensor] : *tensors) {
    at::Tensor& buffer = buffers[tensor.storage().data()];
    if (!buffer.defined()) {
      const auto elements = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
      const at::Tensor whole = tensor.detach().as_strided({elements}, {1}, 0);
      buffer = at::empty({elements}, whole.options().device(at::kCPU).pinned_memory(!tensor.is_cpu()));
      buffer.copy_(whole);
    }
    tensor = buffer.as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
  }
}

}  // namespace

CheckpointStore::CheckpointStore(fs::path folder, int64_t keep, EventLog* events)
    : folder_(std::move(folder)), keep_(keep), events_(events) {
  fs::create_directories(folder_);
  std::vector<fs::path> torn;  // of a trainer that was killed while it wrote
  for (const auto& found : fs::directory_iterator(folder_)) {
    if (found.path().extension() == ".partial") torn.push_back(found.path());
  }
  for (const fs::path& file : torn) fs::remove(file);
  ReadIndex();
}

bool CheckpointStore::Empty() const {
  return std::none_of(fs::directory_iterator(folder_), fs::directory_iterator(), [](const auto& entry) {
    return entry.path().extension() == ".safetensors" || entry.path().filename() == kIndex;
  });
}

std::string CheckpointStore::Path(const std::string& file) const { return folder_.filename().string() + "/" + file; }

void CheckpointStore::Commit(const Snapshot& snapshot) {
  const fs::path target = folder_ / snapshot.file, partial = folder_ / (snapshot.file + ".partial");
  auto metadata = snapshot.metadata;
  const auto state = metadata.find("state");
  metadata["content_sha256"] = TensorsHash(snapshot.tensors, state == metadata.end() ? "" : state->second);
  events_->Sync();  // what was measured up to here is on disk before the checkpoint that skips it
  Entry entry{.file = snapshot.file, .kind = snapshot.kind, .update = snapshot.update};
  try {
    model::WriteSafetensors(partial, snapshot.tensors, metadata);
    entry.sha256 = model::FileSha256(partial);
    entry.bytes = fs::file_size(partial);
    fs::rename(partial, target);
  } catch (...) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    throw;
  }
  model::SyncFolder(folder_);
  // Later epochs are of an attempt that was killed; they are written again.
  std::erase_if(entries_, [&](const Entry& other) {
    return other.file == entry.file || (entry.kind == "epoch" && other.kind == "epoch" && other.update > entry.update);
  });
  entries_.push_back(entry);
  WriteIndex();
  events_->Emit("checkpoint", {{"update", entry.update},
                               {"file", Path(entry.file)},
                               {"sha256", entry.sha256},
                               {"bytes", entry.bytes},
                               {"kind", entry.kind}});
  if (snapshot.keep > 0) DropOld(entry.kind, snapshot.keep);
}

void CheckpointStore::Write(Snapshot snapshot) {
  Finish();
  CopyToHost(&snapshot.tensors);
  writing_ = std::async(std::launch::async, [this, snapshot = std::move(snapshot)] {
    BlockSignals();
    Commit(snapshot);
  });
}

void CheckpointStore::Finish() {
  if (writing_.valid()) writing_.get();
}

void CheckpointStore::Check() {
  if (writing_.valid() && writing_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) writing_.get();
}

std::string CheckpointStore::SaveResumable(const model::Adam& adam, const TrainingState& state,
                                           const CheckpointIdentity& identity) {
  model::NamedTensors tensors;
  for (const auto& [name, tensor] : adam.flat().parameters()) tensors.emplace_back("model." + name, tensor);
  for (const auto& [name, tensor] : adam.State()) tensors.emplace_back("optimizer." + name, tensor);
  auto metadata = Metadata(identity, state.update);
  metadata["state"] = ToJson(state, adam.steps()).dump();
  char file[64];
  std::snprintf(file, sizeof file, "update-%08lld.safetensors", static_cast<long long>(state.update));
  Write({.file = file,
         .kind = "resumable",
         .update = state.update,
         .keep = keep_,
         .tensors = std::move(tensors),
         .metadata = std::move(metadata)});
  return Path(file);
}

void CheckpointStore::SaveWeights(const std::string& kind, const std::vector<model::NamedParameter>& parameters,
                                  int64_t update, const CheckpointIdentity& identity) {
  SaveWeightsAs(kind + ".safetensors", kind, /*keep=*/0, parameters, update, identity);
}

void CheckpointStore::SaveEpoch(int64_t epoch, int64_t keep, const std::vector<model::NamedParameter>& parameters,
                                int64_t update, const CheckpointIdentity& identity) {
  char file[64];
  std::snprintf(file, sizeof file, "epoch-%08lld.safetensors", static_cast<long long>(epoch));
  SaveWeightsAs(file, "epoch", keep, parameters, update, identity);
}

void CheckpointStore::SaveWeightsAs(const std::string& file, const std::string& kind, int64_t keep,
                                    const std::vector<model::NamedParameter>& parameters, int64_t update,
                                    const CheckpointIdentity& identity) {
  model::NamedTensors tensors;
  for (const auto& [name, tensor] : parameters) tensors.emplace_back("model." + name, tensor);
  Write({.file = file,
         .kind = kind,
         .update = update,
         .keep = keep,
         .tensors = std::move(tensors),
         .metadata = Metadata(identity, update)});
}

void CheckpointStore::DropOld(const std::string& kind, int64_t keep) {
  std::vector<Entry> all;
  for (const Entry& entry : entries_) {
    if (entry.kind == kind) all.push_back(entry);
  }
  if (all.size() <= static_cast<size_t>(keep)) return;
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return a.update < b.update; });
  all.resize(all.size() - static_cast<size_t>(keep));
  for (const Entry& old : all) std::erase_if(entries_, [&](const Entry& entry) { return entry.file == old.file; });
  WriteIndex();  // first, so that the index never names what is gone
  for (const Entry& old : all) fs::remove(folder_ / old.file);
}

void CheckpointStore::WriteIndex() const {
  Json list = Json::array();
  for (const Entry& entry : entries_) {
    list.push_back({{"file", entry.file},
                    {"kind", entry.kind},
                    {"update", entry.update},
                    {"bytes", entry.bytes},
                    {"sha256", entry.sha256}});
  }
  model::WriteFileAtomically(folder_ / kIndex, Json{{"format", 1}, {"checkpoints", list}}.dump(1) + "\n");
}

// Without a sound index each checkpoint still carries its own hash; so the index is only a list of what else to expect.
void CheckpointStore::ReadIndex() {
  try {
    if (fs::exists(folder_ / kIndex)) {
      const auto index = nlohmann::json::parse(model::ReadFile(folder_ / kIndex));
      for (const auto& item : index.at("checkpoints")) {
        entries_.push_back({.file = item.at("file"),
                            .kind = item.at("kind"),
                            .sha256 = item.at("sha256"),
                            .update = item.at("update"),
                            .bytes = item.at("bytes")});
      }
    }
  } catch (const std::exception& error) {
    entries_.clear();
    events_->Warn("The index of checkpoints " + (folder_ / kIndex).string() + " is damaged (" + error.what() +
                  "); the files themselves are looked at.");
  }
  for (const auto& found : fs::directory_iterator(folder_)) {
    const std::string file = found.path().filename().string();
    long long update = 0;
    int used = 0;
    if (std::sscanf(file.c_str(), "update-%8lld.safetensors%n", &update, &used) != 1 ||
        used != static_cast<int>(file.size()))
      continue;
    if (std::ranges::any_of(entries_, [&](const Entry& entry) { return entry.file == file; })) continue;
    entries_.push_back({.file = file, .kind = "resumable", .update = update, .bytes = found.file_size()});
  }
}

TrainingState CheckpointStore::Load(const Entry& entry, model::Adam& adam, const CheckpointIdentity& identity) {
  const fs::path file = folder_ / entry.file;
  if (!fs::exists(file)) throw std::runtime_error(file.string() + " is in the index, but not there.");
  if (!entry.sha256.empty() && model::FileSha256(file) != entry.sha256)
    throw std::runtime_error(file.string() + " has another hash than the index says.");
  const model::SafetensorsReader reader = OpenCheckpoint(file);
  const auto& metadata = reader.metadata();
  if (entry.sha256.empty()) {  // not in the index: its own hash must do
    model::NamedTensors tensors;
    for (const std::string& name : reader.names()) tensors.emplace_back(name, reader.Get(name));
    if (TensorsHash(std::move(tensors), metadata.at("state")) != metadata.at("content_sha256")) {
      throw std::runtime_error(file.string() + " does not have the hash that it carries.");
    }
  }
  CheckIdentity(file, metadata, identity, {});
  TrainingState restored;
  int64_t steps = 0;
  FromJson(nlohmann::json::parse(metadata.at("state")), &restored, &steps);
  CopyInto(reader, file, "model.", adam.flat().parameters());
  CopyInto(reader, file, "optimizer.", adam.State());
  adam.set_steps(steps);
  const auto differs = [&](const char* key, const std::string& now) {
    return metadata.contains(key) && metadata.at(key) != now;
  };
  std::string others;
  for (const auto& [key, now] : Metadata(identity, 0)) {
    if ((key == "world_size" || key == "threads" || key == "isa" || key == "device" || key == "libtorch") &&
        differs(key.c_str(), now)) {
      others += (others.empty() ? "" : "; ") + key + " " + metadata.at(key) + " there and " + now + " here";
    }
  }
  if (!others.empty()) {
    events_->Warn("Resuming under other conditions than the checkpoint's (" + others +
                  "): the training will not end in the same bits.");
  }
  return restored;
}

std::optional<TrainingState> CheckpointStore::Restore(model::Adam& adam, const CheckpointIdentity& identity) {
  std::vector<Entry> resumable;
  for (const Entry& entry : entries_) {
    if (entry.kind == "resumable") resumable.push_back(entry);
  }
  std::sort(resumable.begin(), resumable.end(), [](const Entry& a, const Entry& b) { return a.update > b.update; });
  for (const Entry& entry : resumable) {
    try {
      return Load(entry, adam, identity);
    } catch (const Failure&) {
      throw;  // another spec: an older checkpoint would be no better
    } catch (const std::exception& error) {
      events_->Warn("Checkpoint passed over: " + std::string(error.what()));
      std::erase_if(entries_, [&](const Entry& other) { return other.file == entry.file; });
    }
  }
  if (!resumable.empty()) {
    throw Failure(Cause::kCheckpointCorrupt,
                  "None of the " + std::to_string(resumable.size()) + " checkpoints in " + folder_.string() +
                      " is intact. Restore one from a backup, or start anew with another --out.");
  }
  return std::nullopt;
}

int64_t LoadWeights(const fs::path& file, const std::vector<model::NamedParameter>& parameters,
                    const CheckpointIdentity& identity) {
  try {
    const model::SafetensorsReader reader = OpenCheckpoint(file);
    const auto& metadata = reader.metadata();
    CheckIdentity(file, metadata, identity, {"task.kind", "model."});
    if (metadata.contains("content_sha256")) {
      model::NamedTensors tensors;
      for (const std::string& name : reader.names()) tensors.emplace_back(name, reader.Get(name));
      if (TensorsHash(std::move(tensors), metadata.contains("state") ? metadata.at("state") : "") !=
          metadata.at("content_sha256")) {
        throw std::runtime_error(file.string() + " does not have the hash that it carries.");
      }
    }
    CopyInto(reader, file, "model.", parameters);
    return std::stoll(metadata.at("update"));
  } catch (const Failure&) {
    throw;
  } catch (const std::exception& error) {
    throw Failure(Cause::kCheckpointCorrupt, std::string("Checkpoint cannot be used: ") + error.what());
  }
}

}  // namespace strata::trainer
