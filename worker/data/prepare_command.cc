// strata-data prepare: from parallel text to a dataset.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "worker/data/commands.h"
#include "worker/data/prepare.h"

namespace strata::data {
namespace {

struct CommandOptions {
  PrepareOptions prepare;
  std::filesystem::path input;
};

// What `strata-data fetch` says of the folder that it made: languages and provenance.
void ReadProvenance(const std::filesystem::path& file, PrepareOptions* options) {
  if (!std::filesystem::exists(file)) return;
  try {
    const auto document = nlohmann::ordered_json::parse(model::ReadFile(file));
    if (options->source_language.empty()) options->source_language = document.value("source_language", "");
    if (options->target_language.empty()) options->target_language = document.value("target_language", "");
    options->provenance_json = document.value("provenance", nlohmann::ordered_json::array()).dump();
  } catch (const nlohmann::json::exception& e) {
    throw model::DataError(file.string() + " is damaged: " + e.what() + ". Fetch the text again.");
  }
}

void UseFolder(const std::filesystem::path& folder, PrepareOptions* options) {
  if (!std::filesystem::is_directory(folder)) {
    throw model::DataError("There is no folder " + folder.string() +
                           ". 'strata-data fetch' makes one, or name files "
                           "with --source and --target.");
  }
  ReadProvenance(folder / "provenance.json", options);
  if (options->source_language.empty() || options->target_language.empty()) {
    throw UsageError("--input " + folder.string() +
                     " does not say its languages. Add --source-language and "
                     "--target-language: its files are train.LANGUAGE, valid.LANGUAGE and test.LANGUAGE.");
  }
  for (const auto& [name, paths] :
       {std::pair{"train", &options->train}, {"valid", &options->valid}, {"test", &options->test}}) {
    const std::filesystem::path source = folder / (std::string(name) + "." + options->source_language);
    const std::filesystem::path target = folder / (std::string(name) + "." + options->target_language);
    if (std::string(name) != "train" && !std::filesystem::exists(source) && !std::filesystem::exists(target)) continue;
    *paths = {source, target};
  }
}

void CheckOptions(const CommandOptions& options) {
  const PrepareOptions& p = options.prepare;
  if (options.input.empty() == p.train.source.empty()) {
    throw UsageError("Name the text either with --input FOLDER or with --source FILE --target FILE.");
  }
  for (const TextPaths* paths : {&p.train, &p.valid, &p.test}) {
    if (paths->source.empty() == paths->target.empty()) continue;
    throw UsageError("A source file without its target file (or the other way round): " + paths->source.string() +
                     paths->target.string() + ". Name both.");
  }
}

void PrintSummary(const std::filesystem::path& output, const model::Manifest& manifest) {
  const auto statistics = nlohmann::json::parse(manifest.statistics_json);
  std::cout << output.string() << ": dataset " << manifest.name << ", vocabulary "
            << model::Grouped(manifest.vocabulary_size) << "\n";
  for (const std::string split : kSplits) {
    if (!manifest.splits.contains(split)) continue;
    const auto& s = statistics.at(split);
    std::cout << "  " << split << ": " << model::Grouped(manifest.splits.at(split).sentences) << " of "
              << model::Grouped(s.at("pairs_read"))
              << " pairs (dropped: " << model::Grouped(s.at("dropped").at("too long")) << " too long, "
              << model::Grouped(s.at("dropped").at("empty side")) << " with an empty side)\n";
    const uint64_t overlap = s.value("also_in_train", uint64_t{0});
    if (overlap == 0) continue;
    std::cerr << "strata-data: warning: a side of " << model::Grouped(overlap) << " " << split
              << " pairs stands in train too: scores on them say less.\n";
  }
  std::cout << "  digest " << manifest.digest << "\n";
}

void AddFileOptions(CLI::App* command, CommandOptions* options) {
  PrepareOptions& p = options->prepare;
  command->add_option("--input", options->input, "Folder that 'strata-data fetch' made, or of the same file names");
  command->add_option("--source", p.train.source, "Training text, one sentence a line");
  command->add_option("--target", p.train.target, "Its translation, line by line");
  command->add_option("--valid-source", p.valid.source, "Text for validation");
  command->add_option("--valid-target", p.valid.target, "Its translation");
  command->add_option("--test-source", p.test.source, "Text for tests");
  command->add_option("--test-target", p.test.target, "Its translation");
  command->add_option("--source-language", p.source_language, "Such as en");
  command->add_option("--target-language", p.target_language, "Such as de");
  command->add_option("--output", p.output, "Folder to make")->required();
  command->add_option("--name", p.name, "Name of the dataset")->required();
  command->add_flag("--force", p.force, "Replace --output if it exists");
}

void AddVocabularyOptions(CLI::App* command, PrepareOptions* p) {
  VocabularyOptions& v = p->vocabulary;
  command->add_option("--vocabulary", v.size, "Pieces, shared by both languages")
      ->capture_default_str()
      ->check(CLI::Range(5, 1 << 20));
  command->add_option("--vocabulary-file", p->vocabulary_file, "Use this SentencePiece model instead of training one");
  command->add_option("--vocabulary-kind", v.kind, "bpe or unigram")
      ->capture_default_str()
      ->check(CLI::IsMember({"bpe", "unigram"}));
  command->add_option("--vocabulary-sentences", v.sentences, "Train on so many lines, chosen at random (0: on all)")
      ->capture_default_str();
  command->add_option("--seed", v.seed, "Seed of that choice")->capture_default_str();
  command->add_option("--character-coverage", v.character_coverage, "Share of characters that get a piece")
      ->capture_default_str()
      ->check(CLI::Range(0.98, 1.0));
  command->add_option("--normalization", v.normalization, "SentencePiece's rule")
      ->capture_default_str()
      ->check(CLI::IsMember({"nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"}));
  command->add_flag("--byte-fallback", v.byte_fallback, "Unknown characters become bytes");
  command->add_option("--max-length", p->max_length, "Drop pairs with more subwords a side (0: none)")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--max-length-held-out", p->max_length_held_out,
                   "The same for valid and test (default: as --max-length)")
      ->check(CLI::NonNegativeNumber);
}

void Run(CommandOptions* options) {
  CheckOptions(*options);
  if (!options->input.empty()) UseFolder(options->input, &options->prepare);
  PrintSummary(options->prepare.output, Prepare(options->prepare));
}

}  // namespace

void AddPrepare(CLI::App& program) {
  auto options = std::make_shared<CommandOptions>();
  CLI::App* command =
      program.add_subcommand("prepare", "Make a dataset of parallel text: vocabulary, shards, manifest");
  AddFileOptions(command, options.get());
  AddVocabularyOptions(command, &options->prepare);
  command->footer(
      "Examples:\n  strata-data prepare --input text --output datasets/debian-en-de --name debian-en-de \\\n"
      "    --vocabulary 4000 --max-length 40\n"
      "  strata-data prepare --source train.en --target train.de --valid-source dev.en --valid-target dev.de \\\n"
      "    --test-source news.en --test-target news.de --output datasets/mine --name mine --vocabulary 32000");
  command->callback([options] { Run(options.get()); });
}

}  // namespace strata::data
