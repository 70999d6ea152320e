// strata-data inspect: what stands in a dataset or a shard.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "model/data/manifest.h"
#include "model/data/shard.h"
#include "worker/data/commands.h"

namespace strata::data {
namespace {

using model::Grouped;
using model::Shard;

struct InspectOptions {
  std::filesystem::path path;
  std::string split = "train";
  uint64_t line = 1;
  uint64_t count = 3;
  bool verify = false;
};

void PrintSentence(const Shard& shard, uint64_t sentence, uint64_t line) {
  for (int stream = 0; stream < shard.streams(); ++stream) {
    const auto ids = shard.Sentence(stream, sentence);
    const char* what = shard.streams() == 1 ? "text" : stream == 0 ? "source" : "target";
    std::cout << std::setw(8) << line << " " << what << ": " << Detokenise(shard.pieces(), ids) << "\n         ";
    for (const int32_t id : ids) std::cout << " " << shard.pieces()[id].text << "/" << id;
    std::cout << "\n";
  }
}

// Prints sentences `line` .. `line` + `count` - 1 (from 1) of shards that follow one another.
void PrintSentences(const std::vector<Shard>& shards, const InspectOptions& options) {
  uint64_t total = 0;
  for (const Shard& shard : shards) total += shard.sentences();
  if (options.line > total) {
    throw UsageError("--line " + Grouped(options.line) + ": there are only " + Grouped(total) + " sentences.");
  }
  uint64_t first = options.line - 1, left = std::min(options.count, total - first);
  uint64_t before = 0;
  for (const Shard& shard : shards) {
    for (uint64_t i = std::max(first, before); left > 0 && i < before + shard.sentences(); ++i, --left) {
      PrintSentence(shard, i - before, i + 1);
    }
    before += shard.sentences();
  }
}

void InspectShard(const InspectOptions& options) {
  std::vector<Shard> shards;
  shards.push_back(Shard::Open(options.path));
  std::cout << options.path.string() << ": " << Grouped(shards[0].sentences()) << " sentences, " << shards[0].streams()
            << " streams, " << Grouped(shards[0].pieces().size()) << " pieces; intact\n";
  PrintSentences(shards, options);
}

void InspectDataset(const InspectOptions& options) {
  const model::Manifest manifest = model::ReadManifest(options.path);
  model::VerifyFiles(options.path, manifest, options.verify ? model::Verify::kHashes : model::Verify::kSizes);
  std::cout << "dataset     " << manifest.name << "\ntask        " << manifest.task << "\nlanguages   "
            << manifest.source_language << " -> " << manifest.target_language << "\nvocabulary  "
            << Grouped(manifest.vocabulary_size) << " pieces\ndigest      " << manifest.digest << "\nfiles       "
            << manifest.files.size() << (options.verify ? ", hashes verified" : ", lengths verified (--verify: hashes)")
            << "\n";
  for (const auto& [name, split] : manifest.splits) {
    std::cout << std::left << std::setw(12) << name << std::right << Grouped(split.sentences) << " sentences, "
              << Grouped(split.source_tokens) << " + " << Grouped(split.target_tokens) << " subwords\n";
  }
  std::cout << "provenance  " << nlohmann::ordered_json::parse(manifest.provenance_json).dump(1) << "\nstatistics  "
            << nlohmann::ordered_json::parse(manifest.statistics_json).dump(1) << "\n"
            << options.split << ":\n";
  if (options.verify) {
    for (const auto& [name, split] : manifest.splits) model::OpenSplit(options.path, manifest, name);
  }
  PrintSentences(model::OpenSplit(options.path, manifest, options.split), options);
}

}  // namespace

void AddInspect(CLI::App& program) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = program.add_subcommand("inspect", "Show a dataset or a shard, and check that it is intact");
  command->add_option("path", options->path, "Dataset's folder, or one shard")->required();
  command->add_option("--split", options->split, "Of which to show sentences")->capture_default_str();
  command->add_option("--line", options->line, "First sentence to show, from 1")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--count", options->count, "How many to show")->capture_default_str();
  command->add_flag("--verify", options->verify, "Check the hash of every file");
  command->footer("Example:\n  strata-data inspect datasets/debian-en-de --split test --line 7 --verify");
  command->callback([options] {
    if (std::filesystem::is_directory(options->path)) {
      InspectDataset(*options);
    } else {
      InspectShard(*options);
    }
  });
}

}  // namespace strata::data
