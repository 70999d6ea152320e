#include "worker/data/prepare.h"

#include <algorithm>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "model/data/file.h"
#include "worker/data/output_folder.h"
#include "worker/data/statistics.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using model::DataError;
using model::Grouped;
using nlohmann::ordered_json;

constexpr uint64_t kSentencesPerShard = 1'000'000;

struct Text {
  std::vector<std::string> source, target;
};

Text ReadPairs(const TextPaths& paths) {
  Text text{ReadTextLines(paths.source), ReadTextLines(paths.target)};
  if (text.source.size() != text.target.size()) {
    throw DataError(paths.source.string() + " has " + Grouped(text.source.size()) + " lines, " + paths.target.string() +
                    " has " + Grouped(text.target.size()) +
                    ". Line n of one must be the translation of line n of the other: give files of equal length.");
  }
  if (text.source.empty()) throw DataError(paths.source.string() + " is empty. Give at least one pair of sentences.");
  return text;
}

std::vector<std::vector<int32_t>> EncodeLines(const Tokenizer& tokenizer, const std::vector<std::string>& lines) {
  std::vector<std::vector<int32_t>> encoded(lines.size());
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::future<void>> parts;
  for (size_t t = 0; t < threads; ++t) {
    parts.push_back(
        std::async(std::launch::async, [&, from = lines.size() * t / threads, to = lines.size() * (t + 1) / threads] {
          for (size_t i = from; i < to; ++i) encoded[i] = tokenizer.Encode(lines[i]);
        }));
  }
  for (auto& part : parts) part.get();
  return encoded;
}

std::string VocabularyFor(const PrepareOptions& options, const Text& train) {
  if (!options.vocabulary_file.empty()) return model::ReadFile(options.vocabulary_file);
  std::cerr << "Training a vocabulary of " << Grouped(options.vocabulary.size) << " pieces ...\n";
  const std::vector<std::span<const std::string>> texts = {train.source, train.target};
  return TrainVocabulary(texts, options.vocabulary);
}

model::DatasetSplit WriteSplit(const std::filesystem::path& folder, const std::string& name, const EncodedSplit& split,
                               const std::vector<model::Piece>& pieces) {
  model::DatasetSplit written{.sentences = split.source.size()};
  for (uint64_t first = 0; first < split.source.size(); first += kSentencesPerShard) {
    model::ShardWriter writer(pieces, 2);
    const uint64_t end = std::min<uint64_t>(first + kSentencesPerShard, split.source.size());
    for (uint64_t i = first; i < end; ++i) {
      writer.Add(std::array<std::span<const int32_t>, 2>{split.source[i], split.target[i]});
    }
    std::string number = std::to_string(written.shards.size());
    written.shards.push_back(name + "-" + std::string(5 - std::min<size_t>(5, number.size()), '0') + number + ".shard");
    writer.Write(folder / written.shards.back());
    written.source_tokens += writer.tokens(0);
    written.target_tokens += writer.tokens(1);
  }
  return written;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  return text;
}

// The raw lines of a held-out split, for scoring.
void WriteText(const std::filesystem::path& folder, const std::string& name, const EncodedSplit& split,
               model::DatasetSplit* written) {
  std::filesystem::create_directories(folder / "text");
  written->source_text = "text/" + name + ".source";
  written->target_text = "text/" + name + ".target";
  model::WriteFileAtomically(folder / written->source_text, Joined(split.source_text));
  model::WriteFileAtomically(folder / written->target_text, Joined(split.target_text));
  model::SyncFolder(folder / "text");
}

void RefuseNothing(const std::string& name, const EncodedSplit& split, int max_length) {
  if (!split.source.empty()) return;
  std::string why = Grouped(split.empty) + " with an empty side";
  if (max_length > 0)
    why += ", " + Grouped(split.too_long) + " longer than " + std::to_string(max_length) + " subwords";
  throw DataError("No pair of " + name + " is left of " + Grouped(split.read) + " (" + why +
                  "). Give other text, or allow longer pairs with --max-length.");
}

}  // namespace

EncodedSplit EncodeSplit(const Tokenizer& tokenizer, const std::vector<std::string>& source,
                         const std::vector<std::string>& target, int max_length) {
  EncodedSplit split{.read = source.size()};
  auto source_ids = EncodeLines(tokenizer, source), target_ids = EncodeLines(tokenizer, target);
  const auto limit = static_cast<size_t>(max_length);
  for (size_t i = 0; i < source.size(); ++i) {
    if (source_ids[i].empty() || target_ids[i].empty()) {
      ++split.empty;
    } else if (max_length > 0 && std::max(source_ids[i].size(), target_ids[i].size()) > limit) {
      ++split.too_long;
    } else {
      split.source.push_back(std::move(source_ids[i]));
      split.target.push_back(std::move(target_ids[i]));
      split.source_text.push_back(source[i]);
      split.target_text.push_back(target[i]);
    }
  }
  return split;
}

model::Manifest Prepare(const PrepareOptions& options) {
  OutputFolder output(options.output, options.force);
  const Text train = ReadPairs(options.train);
  const std::string vocabulary = VocabularyFor(options, train);
  const Tokenizer tokenizer(vocabulary);
  const std::vector<model::Piece> pieces = tokenizer.Pieces();
  model::Manifest manifest;
  manifest.name = options.name;
  manifest.source_language = options.source_language;
  manifest.target_language = options.target_language;
  manifest.vocabulary_size = static_cast<int>(pieces.size());
  manifest.vocabulary_file = "vocabulary.model";
  manifest.provenance_json = options.provenance_json;
  model::WriteFileAtomically(output.path() / manifest.vocabulary_file, vocabulary);

  ordered_json statistics = {{"max_length", options.max_length}};
  EncodedSplit train_split;
  for (const std::string name : kSplits) {
    const TextPaths& paths = name == "train" ? options.train : name == "valid" ? options.valid : options.test;
    if (paths.source.empty()) continue;
    std::cerr << "Encoding " << name << " ...\n";
    const bool held_out = name != "train";
    const int limit = held_out && options.max_length_held_out >= 0 ? options.max_length_held_out : options.max_length;
    const Text text = held_out ? ReadPairs(paths) : Text();
    EncodedSplit split =
        EncodeSplit(tokenizer, held_out ? text.source : train.source, held_out ? text.target : train.target, limit);
    RefuseNothing(name, split, limit);
    manifest.splits[name] = WriteSplit(output.path(), name, split, pieces);
    statistics[name] = SplitStatistics(split);
    if (held_out) {
      WriteText(output.path(), name, split, &manifest.splits[name]);
      statistics[name]["also_in_train"] = Overlap(train_split, split);
    } else {
      train_split = std::move(split);
    }
    if (name == "valid") statistics["unigram_nll"] = UnigramLevel(train_split, split, pieces.size());
  }
  manifest.statistics_json = statistics.dump();
  model::WriteManifest(output.path(), &manifest);
  output.Commit();
  return manifest;
}

}  // namespace strata::data
