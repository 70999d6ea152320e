// strata-data inspect: what stands in a dataset or a shard.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/data/feature_shard.h"
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
  std::string split;
  uint64_t line = 1;
  uint64_t count = 3;
  bool verify = false;
};

// What is shown: shards that follow one another, and for speech the features beside each.
struct Shown {
  std::vector<Shard> shards;
  std::vector<model::FeatureShard> features;
};

// `one` is what a single stream is: text, or a transcript.
void PrintSentence(const Shard& shard, uint64_t sentence, uint64_t line, const std::string& one) {
  for (int stream = 0; stream < shard.streams(); ++stream) {
    const auto ids = shard.Sentence(stream, sentence);
    const std::string what = shard.streams() == 1 ? one : stream == 0 ? "source" : "target";
    std::cout << std::setw(8) << line << " " << what << ": " << Detokenise(shard.pieces(), ids) << "\n         ";
    for (const int32_t id : ids) std::cout << " " << shard.pieces()[id].text << "/" << id;
    std::cout << "\n";
  }
}

// Prints sentences `line` .. `line` + `count` - 1 (from 1).
void PrintSentences(const Shown& shown, const InspectOptions& options) {
  uint64_t total = 0;
  for (const Shard& shard : shown.shards) total += shard.sentences();
  if (options.line > total) {
    throw UsageError("--line " + Grouped(options.line) + ": there are only " + Grouped(total) + " sentences.");
  }
  uint64_t first = options.line - 1, left = std::min(options.count, total - first);
  uint64_t before = 0;
  for (size_t s = 0; s < shown.shards.size(); ++s) {
    const Shard& shard = shown.shards[s];
    for (uint64_t i = std::max(first, before); left > 0 && i < before + shard.sentences(); ++i, --left) {
      const bool speech = !shown.features.empty();
      PrintSentence(shard, i - before, i + 1, speech ? "transcript" : "text");
      if (!speech) continue;
      std::cout << "         " << Grouped(static_cast<uint64_t>(shown.features[s].frames(i - before))) << " frames\n";
    }
    before += shard.sentences();
  }
}

void InspectShard(const InspectOptions& options) {
  Shown shown;
  shown.shards.push_back(Shard::Open(options.path));
  const Shard& shard = shown.shards[0];
  std::cout << options.path.string() << ": " << Grouped(shard.sentences()) << " sentences, " << shard.streams()
            << " streams, " << Grouped(shard.pieces().size()) << " pieces; intact\n";
  PrintSentences(shown, options);
}

void PrintHeading(const model::Manifest& manifest, bool verified) {
  std::cout << "dataset     " << manifest.name << "\ntask        " << manifest.task << "\n";
  if (!manifest.source_language.empty() || !manifest.target_language.empty()) {
    std::cout << "languages   " << manifest.source_language << " -> " << manifest.target_language << "\n";
  }
  std::cout << "vocabulary  " << Grouped(static_cast<uint64_t>(manifest.vocabulary_size)) << " pieces ("
            << manifest.vocabulary_kind << ")\n";
  if (!manifest.detokeniser.empty()) std::cout << "detokeniser " << manifest.detokeniser << "\n";
  if (manifest.features.bins > 0) {
    std::cout << "features    " << manifest.features.bins << " filter banks, CMVN " << manifest.features.cmvn << "\n";
  }
  std::cout << "digest      " << manifest.digest << "\nfiles       " << manifest.files.size()
            << (verified ? ", hashes verified" : ", lengths verified (--verify: hashes)") << "\n";
}

void PrintSplit(const model::Manifest& manifest, const std::string& name, const model::DatasetSplit& split) {
  std::cout << std::left << std::setw(12) << name << std::right << Grouped(split.sentences);
  if (manifest.features.bins > 0) {
    std::cout << " clips, " << Grouped(split.frames) << " frames, " << Grouped(split.target_tokens) << " subwords\n";
  } else if (split.lines > 0) {
    std::cout << " lines, " << Grouped(split.words) << " words, " << Grouped(split.target_tokens) << " pieces\n";
  } else {
    std::cout << " sentences, " << Grouped(split.source_tokens) << " + " << Grouped(split.target_tokens)
              << " subwords\n";
  }
}

// The split that was asked for, or where none was, train or else the first.
std::string ChosenSplit(const InspectOptions& options, const model::Manifest& manifest) {
  if (!options.split.empty() || manifest.splits.empty()) return options.split;
  return manifest.splits.contains("train") ? "train" : manifest.splits.begin()->first;
}

void InspectDataset(const InspectOptions& options) {
  const model::Manifest manifest = model::ReadManifest(options.path);
  model::VerifyFiles(options.path, manifest, options.verify ? model::Verify::kHashes : model::Verify::kSizes);
  PrintHeading(manifest, options.verify);
  for (const auto& [name, split] : manifest.splits) PrintSplit(manifest, name, split);
  const std::string chosen = ChosenSplit(options, manifest);
  std::cout << "provenance  " << nlohmann::ordered_json::parse(manifest.provenance_json).dump(1) << "\nstatistics  "
            << nlohmann::ordered_json::parse(manifest.statistics_json).dump(1) << "\n"
            << chosen << ":\n";
  if (options.verify) {
    for (const auto& [name, split] : manifest.splits) model::OpenSplit(options.path, manifest, name);
  }
  Shown shown{model::OpenSplit(options.path, manifest, chosen), {}};
  for (const std::string& file : manifest.Split(chosen).features) {
    shown.features.push_back(model::FeatureShard::Open(options.path / file, Shard::Check::kStructure));
  }
  PrintSentences(shown, options);
}

}  // namespace

void AddInspect(CLI::App& program) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = program.add_subcommand("inspect", "Show a dataset or a shard, and check that it is intact");
  command->add_option("path", options->path, "Dataset's folder, or one shard")->required();
  command->add_option("--split", options->split, "Of which to show sentences (default: train)");
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
