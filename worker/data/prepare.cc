#include "worker/data/prepare.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "worker/data/output_folder.h"
#include "worker/data/split_writer.h"
#include "worker/data/statistics.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using model::DataError;
using model::Grouped;
using nlohmann::ordered_json;

constexpr char kLanguageModel[] = "language_model";

struct Text {
  TextLines source, target, reference;
  std::vector<std::string> joined;  // references made of `@@ ` text
  std::vector<std::string_view> joined_views;

  SplitLines Lines() const {
    const std::span<const std::string_view> made = joined.empty() ? target.lines() : joined_views;
    return {source.lines(), target.lines(), reference.empty() ? made : reference.lines()};
  }
};

void ExpectSameLines(const std::filesystem::path& a, size_t lines_a, const std::filesystem::path& b, size_t lines_b,
                     const std::string& what) {
  if (lines_a == lines_b) return;
  throw DataError(a.string() + " has " + Grouped(lines_a) + " lines, " + b.string() + " has " + Grouped(lines_b) +
                  ". Line n of one must be the " + what + " of line n of the other: give files of equal length.");
}

// "foo@@ bar" -> "foobar".
std::string WithoutSplits(std::string_view line) {
  std::string text;
  for (size_t at = 0; at < line.size();) {
    const size_t split = line.find("@@ ", at);
    text += line.substr(at, split == std::string_view::npos ? split : split - at);
    if (split == std::string_view::npos) break;
    at = split + 3;
  }
  return text;
}

Text ReadText(const PrepareOptions& options, const std::string& name, const TextPaths& paths) {
  const bool pairs = options.task != kLanguageModel;
  if (paths.target.empty() || pairs == paths.source.empty()) {
    throw DataError("Split " + name + " of task " + options.task + " takes " +
                    (pairs ? "a source file and a target file." : "one file of text."));
  }
  Text text;
  text.target = TextLines(paths.target);
  if (pairs) {
    text.source = TextLines(paths.source);
    const bool headlines = options.task == "headline";
    ExpectSameLines(paths.source, text.source.size(), paths.target, text.target.size(),
                    headlines ? "text" : "translation");
    if (text.source.empty()) throw DataError(paths.source.string() + " is empty. Give at least one pair of sentences.");
  }
  if (text.target.empty()) throw DataError(paths.target.string() + " is empty. Give at least one line.");
  if (!paths.reference.empty()) {
    text.reference = TextLines(paths.reference);
    ExpectSameLines(paths.target, text.target.size(), paths.reference, text.reference.size(), "pieces");
  } else if (options.vocabulary.kind == "split" && name != "train") {
    for (const std::string_view line : text.target.lines()) text.joined.push_back(WithoutSplits(line));
    text.joined_views.assign(text.joined.begin(), text.joined.end());
  }
  return text;
}

VocabularyContent VocabularyFor(const PrepareOptions& options, const Text& train) {
  const std::string& kind = options.vocabulary.kind;
  if (!options.vocabulary_from.empty()) {
    return VocabularyOf(options.vocabulary_from, model::ReadManifest(options.vocabulary_from));
  }
  const std::filesystem::path& given = MadeBySentencePiece(kind) ? options.vocabulary_file : options.dictionary;
  if (!given.empty()) return {kind, model::ReadFile(given), given};
  std::cerr << "Making a vocabulary of " << (options.vocabulary.size > 0 ? Grouped(options.vocabulary.size) : "all")
            << " pieces ...\n";
  std::vector<std::span<const std::string_view>> texts = {train.target.lines()};
  if (!train.source.empty()) texts.insert(texts.begin(), train.source.lines());
  return {kind, MakeVocabulary(texts, options.vocabulary), "the vocabulary"};
}

void RefuseNothing(const std::string& name, const SplitFigures& figures, int max_length) {
  if (figures.kept > 0) return;
  std::string why = Grouped(figures.empty) + " with an empty side";
  if (max_length > 0) {
    why += ", " + Grouped(figures.too_long) + " longer than " + std::to_string(max_length) + " subwords";
  }
  throw DataError("No pair of " + name + " is left of " + Grouped(figures.read) + " (" + why +
                  "). Give other text, or allow longer pairs with --max-length.");
}

// Remembers train's pairs.
class Remember final : public SplitVisitor {
 public:
  explicit Remember(TrainSides* sides) : sides_(*sides) {}
  void Kept(std::string_view source, std::string_view target) override { sides_.Add(source, target); }

 private:
  TrainSides& sides_;
};

// Counts the pairs of which a side was remembered.
class CountOverlap final : public SplitVisitor {
 public:
  explicit CountOverlap(const TrainSides& sides) : sides_(sides) {}
  void Kept(std::string_view source, std::string_view target) override {
    overlap += sides_.HoldsEither(source, target) ? 1 : 0;
  }
  uint64_t overlap = 0;

 private:
  const TrainSides& sides_;
};

// Writes one split after another, train first.
class Preparation {
 public:
  Preparation(const PrepareOptions& options, const std::filesystem::path& folder, const Vocabulary& vocabulary,
              model::Manifest* manifest)
      : options_(options), folder_(folder), vocabulary_(vocabulary), manifest_(*manifest) {
    statistics_ = {{"max_length", options.max_length}};
  }

  void Train(const Text& text) {
    Remember remember(&train_sides_);
    train_ = Split("train", text, pairs() ? &remember : nullptr);
  }

  void HeldOut(const std::string& name, const Text& text) {
    CountOverlap count(train_sides_);
    const SplitFigures figures = Split(name, text, &count);
    if (pairs()) statistics_[name]["also_in_train"] = count.overlap;
    if (name == "valid") statistics_["unigram_nll"] = UnigramLevel(train_.target_counts, figures.target_counts);
  }

  std::string statistics() const { return statistics_.dump(); }

 private:
  bool pairs() const { return options_.task != kLanguageModel; }

  SplitFigures Split(const std::string& name, const Text& text, SplitVisitor* visitor) {
    std::cerr << "Encoding " << name << " ...\n";
    const bool held_out = name != "train";
    const int limit =
        held_out && options_.max_length_held_out >= 0 ? options_.max_length_held_out : options_.max_length;
    const SplitForm form{
        .name = name, .streams = pairs() ? 2 : 1, .max_length = limit, .keep_empty = !pairs(), .with_text = held_out};
    SplitFigures figures;
    const model::DatasetSplit& written = manifest_.splits[name] =
        WriteSplit(folder_, vocabulary_, text.Lines(), form, visitor, &figures);
    RefuseNothing(name, figures, limit);
    if (pairs()) {
      statistics_[name] = figures.PairsJson();
    } else {
      if (written.words == 0) throw DataError("Split " + name + " has no words, only empty lines. Give other text.");
      statistics_[name] = {{"lines", written.lines}};
      statistics_[name].update(figures.target.Json());
      statistics_[name]["words"] = written.words;
    }
    return figures;
  }

  const PrepareOptions& options_;
  const std::filesystem::path& folder_;
  const Vocabulary& vocabulary_;
  model::Manifest& manifest_;
  ordered_json statistics_;
  SplitFigures train_;
  TrainSides train_sides_;
};

void CheckSplits(const PrepareOptions& options) {
  for (const std::string needed : {"train", "valid"}) {
    if (options.splits.contains(needed)) continue;
    throw DataError(
        "There is no text for split " + needed + ". Every dataset has train and valid: name it with --" +
        (options.task == kLanguageModel ? "split " + needed + "=FILE." : "split " + needed + "=SOURCE,TARGET."));
  }
  for (const auto& [name, paths] : options.splits) CheckSplitName(name);
  if (options.task == kLanguageModel && (options.max_length > 0 || options.max_length_held_out > 0)) {
    throw DataError("A language model's text is one stream, which has no pairs to drop: leave out --max-length.");
  }
}

}  // namespace

const std::vector<std::string>& TextTasks() {
  static const std::vector<std::string> tasks = {"translation", "headline", kLanguageModel};
  return tasks;
}

void CheckSplitName(const std::string& name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  };
  if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), fits) || !std::isalnum(name[0])) {
    throw DataError("'" + name +
                    "' can be no split's name. Use letters, digits, dot, dash and underscore, the first a letter or "
                    "digit, at most 64 of them.");
  }
  if (name == "input") throw DataError("Split name 'input' is kept for what 'strata-data encode' makes. Use another.");
}

VocabularyContent VocabularyOf(const std::filesystem::path& folder, const model::Manifest& manifest) {
  VocabularyContent vocabulary{manifest.vocabulary_kind, "", folder / manifest.vocabulary_file};
  vocabulary.content = model::ReadFile(vocabulary.where);
  for (const model::DatasetFile& file : manifest.files) {
    if (file.path != manifest.vocabulary_file || file.sha256 == model::Sha256(vocabulary.content)) continue;
    throw DataError(vocabulary.where.string() +
                    " is damaged: its content is not what the manifest states (SHA-256). "
                    "Prepare the dataset again, or fetch it from the coordinator.");
  }
  return vocabulary;
}

model::Manifest Prepare(const PrepareOptions& given) {
  PrepareOptions options = given;
  if (!given.vocabulary_from.empty()) {
    options.vocabulary.kind = model::ReadManifest(given.vocabulary_from).vocabulary_kind;
  }
  CheckSplits(options);
  OutputFolder output(options.output, options.force);
  const Text train = ReadText(options, "train", options.splits.at("train"));
  const VocabularyContent content = VocabularyFor(options, train);
  const auto vocabulary = OpenVocabulary(content.kind, content.content, content.where.string());
  model::Manifest manifest;
  manifest.name = options.name;
  manifest.task = options.task;
  manifest.source_language = options.source_language;
  manifest.target_language = options.target_language;
  manifest.vocabulary_size = static_cast<int>(vocabulary->Pieces().size());
  manifest.vocabulary_kind = content.kind;
  manifest.vocabulary_file = VocabularyFileName(content.kind);
  manifest.detokeniser = options.detokeniser;
  manifest.provenance_json = options.provenance_json;
  model::WriteFileAtomically(output.path() / manifest.vocabulary_file, content.content);

  Preparation preparation(options, output.path(), *vocabulary, &manifest);
  preparation.Train(train);
  for (const auto& [name, paths] : options.splits) {
    if (name != "train") preparation.HeldOut(name, ReadText(options, name, paths));
  }
  manifest.statistics_json = preparation.statistics();
  model::WriteManifest(output.path(), &manifest);
  output.Commit();
  return manifest;
}

}  // namespace strata::data
