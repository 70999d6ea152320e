#include "worker/trainer/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <stdexcept>

#include "model/data/manifest.h"
#include "model/data/shard.h"

namespace strata::trainer::testing {

namespace fs = std::filesystem;
using nlohmann::json;

ScratchFolder::ScratchFolder() {
  std::string pattern = (fs::temp_directory_path() / "strata-trainer-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder can be made");
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

namespace {

constexpr int kPieces = 40;

std::vector<model::Piece> Pieces() {
  using model::PieceKind;
  std::vector<model::Piece> pieces = {{"<s>", PieceKind::kControl},
                                      {"<pad>", PieceKind::kControl},
                                      {"</s>", PieceKind::kControl},
                                      {"<unk>", PieceKind::kUnknown}};
  while (pieces.size() < kPieces) pieces.push_back({.text = "\u2581w" + std::to_string(pieces.size())});
  return pieces;
}

// Writes one split's shard, and its target text if `text` is not empty.
model::DatasetSplit WriteSplit(const fs::path& folder, const std::string& name, int sentences, uint32_t seed,
                               const std::string& text) {
  model::ShardWriter writer(Pieces(), 2);
  model::DatasetSplit split{.sentences = static_cast<uint64_t>(sentences), .shards = {name + "-00000.shard"}};
  std::ofstream source_lines, target_lines;
  if (!text.empty()) {
    split.source_text = "text/" + name + ".source";
    split.target_text = "text/" + name + ".target";
    source_lines.open(folder / split.source_text);
    target_lines.open(folder / split.target_text);
  }
  for (int i = 0; i < sentences; ++i) {
    std::vector<int32_t> source;
    seed = seed * 1664525 + 1013904223;
    for (uint32_t length = 2 + (seed >> 16) % 9; source.size() < length;) {
      seed = seed * 1664525 + 1013904223;
      source.push_back(static_cast<int32_t>(4 + (seed >> 16) % (kPieces - 4)));
    }
    const std::vector<int32_t> target(source.rbegin(), source.rend());
    const std::span<const int32_t> sides[] = {source, target};
    writer.Add(sides);
    if (text.empty()) continue;
    source_lines << model::Detokenise(Pieces(), source) << "\n";
    target_lines << model::Detokenise(Pieces(), target) << "\n";
  }
  split.source_tokens = writer.tokens(0);
  split.target_tokens = writer.tokens(1);
  writer.Write(folder / split.shards[0]);
  return split;
}

}  // namespace

void WriteDataset(const fs::path& folder) {
  fs::create_directories(folder / "text");
  model::Manifest manifest{.name = "reversed",
                           .source_language = "xx",
                           .target_language = "yy",
                           .vocabulary_size = kPieces,
                           .vocabulary_file = "vocabulary.model"};
  std::ofstream(folder / manifest.vocabulary_file) << "none\n";
  manifest.splits["train"] = WriteSplit(folder, "train", 300, 1, "");
  manifest.splits["valid"] = WriteSplit(folder, "valid", 20, 2, "text");
  manifest.splits["test"] = WriteSplit(folder, "test", 12, 3, "text");
  model::WriteManifest(folder, &manifest);
}

json SmallSpec() {
  return json::parse(R"({
    "task": {"kind": "translation", "dataset": "reversed"},
    "model": {"scheme": "b2t", "depth": "2L-2L", "dim": 16, "ffn_dim": 32, "heads": 2, "share_embeddings": "all", "dropout": 0.1,
              "attention_dropout": 0, "activation_dropout": 0, "rescale_init": false, "depth_scaled_init": false,
              "scheme_options": "", "word_dropout": 0, "adaptive_cutoffs": "", "adaptive_factor": 4, "adaptive_softmax_dropout": 0,
              "convolution_channels": 1024},
    "train": {"updates": 24, "max_tokens": 96, "max_sentences": 0, "update_frequency": 2, "learning_rate": 0.005, "warmup": 8,
              "warmup_init_learning_rate": 1e-07, "adam_beta1": 0.9, "adam_beta2": 0.98, "adam_epsilon": 1e-08, "weight_decay": 0,
              "label_smoothing": 0.1, "clip_norm": 0.5, "seed": "1", "validate_every": 6, "validation_sentences": 0, "log_every": 5,
              "checkpoint_every": 0, "checkpoint_seconds": 600, "keep_checkpoints": 2, "on_divergence": "stop", "judge_after": 400,
              "max_length": 0, "schedule": "scheme", "decay_offset": 4000, "smooth_over": "vocabulary", "validation_split": "valid",
              "keep_epoch_checkpoints": 0, "block_tokens": 512, "frequency_masks": 0, "frequency_mask_bins": 27, "time_masks": 0,
              "time_mask_frames": 100, "precision": "fp32"},
    "evaluate": [{"metric": "bleu", "split": "test", "sentences": 0, "beam": 2, "length_penalty": 1, "max_length_a": 0,
                  "max_length_b": 20, "checkpoint": "final", "average_last": 10, "length_penalties": "", "n_best": 1,
                  "window_tokens": 0, "context_tokens": 0, "precision": "fp32", "ranks": 1}],
    "diagnostics": {"gradient_norms_every": 4, "location_layers": "", "locations_every": 0, "similarity_every": 0,
                    "variances_every": 0},
    "resources": {"ranks": 1, "threads": 1, "min_ranks": 0, "stall_seconds": 0}})");
}

void WriteJson(const fs::path& file, const json& value) { std::ofstream(file) << value.dump(1) << "\n"; }

namespace {

pid_t Spawn(const std::vector<std::string>& arguments, int out, int err) {
  std::vector<const char*> argv = {STRATA_TRAINER};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::execv(argv[0], const_cast<char**>(argv.data()));
    ::_exit(127);
  }
  return pid;
}

std::string Contents(const fs::path& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

int WaitFor(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

pid_t StartTrainer(const std::vector<std::string>& arguments, const fs::path& log) {
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const pid_t pid = Spawn(arguments, file, file);
  ::close(file);
  return pid;
}

Ended RunTrainer(const std::vector<std::string>& arguments) {
  const ScratchFolder folder;
  const int out = ::open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const int err = ::open((folder / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const pid_t pid = Spawn(arguments, out, err);
  ::close(out);
  ::close(err);
  const int status = WaitFor(pid);
  return {.status = status, .out = Contents(folder / "out"), .err = Contents(folder / "err")};
}

std::vector<json> ReadEvents(const fs::path& spool) {
  std::vector<json> events;
  std::ifstream lines(spool);
  for (std::string line; std::getline(lines, line);) {
    if (lines.eof()) break;  // torn
    events.push_back(json::parse(line));
  }
  return events;
}

std::vector<json> OfType(const std::vector<json>& events, const std::string& type) {
  std::vector<json> found;
  for (const json& event : events) {
    if (event.at("type") == type) found.push_back(event);
  }
  return found;
}

std::multiset<std::string> ListeningAddresses(pid_t pid) {
  std::set<std::string> inodes;
  const std::string fds = "/proc/" + std::to_string(pid) + "/fd";
  DIR* folder = ::opendir(fds.c_str());
  while (const dirent* entry = folder == nullptr ? nullptr : ::readdir(folder)) {
    char target[128] = {};
    if (::readlink((fds + "/" + entry->d_name).c_str(), target, sizeof target - 1) > 0 &&
        std::string(target).starts_with("socket:["))
      inodes.insert(std::string(target).substr(8, std::string(target).size() - 9));
  }
  if (folder != nullptr) ::closedir(folder);
  std::multiset<std::string> addresses;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string number, local, remote, state, skip, inode;
      words >> number >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> inode;
      if (state == "0A" && inodes.contains(inode)) addresses.insert(local.substr(0, local.find(':')));
    }
  }
  return addresses;
}

}  // namespace strata::trainer::testing
