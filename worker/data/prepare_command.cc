// strata-data prepare: from text to a dataset.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "model/data/file.h"
#include "worker/data/commands.h"
#include "worker/data/prepare.h"

namespace strata::data {
namespace {

struct CommandOptions {
  PrepareOptions prepare;
  std::filesystem::path input;
  TextPaths train, valid, test;         // by the options that have these names
  std::vector<std::string> splits;      // NAME=SOURCE,TARGET
  std::vector<std::string> references;  // NAME=FILE
  CLI::Option *task = nullptr, *kind = nullptr, *size = nullptr;
};

bool IsLanguageModel(const PrepareOptions& options) { return options.task == "language_model"; }

// What `strata-data fetch` or `import` says of the folder that it made: task, languages and provenance.
void ReadProvenance(const std::filesystem::path& file, CommandOptions* options) {
  if (!std::filesystem::exists(file)) return;
  PrepareOptions& p = options->prepare;
  try {
    const auto document = nlohmann::ordered_json::parse(model::ReadFile(file));
    const std::string task = document.value("task", "translation");
    if (options->task->count() == 0) p.task = task;
    if (p.source_language.empty()) p.source_language = document.value("source_language", "");
    if (p.target_language.empty()) p.target_language = document.value("target_language", "");
    p.provenance_json = document.value("provenance", nlohmann::ordered_json::array()).dump();
  } catch (const nlohmann::json::exception& e) {
    throw model::DataError(file.string() + " is damaged: " + e.what() + ". Fetch the text again.");
  }
}

// The names before `ending` of a folder's files.
std::set<std::string> NamesWith(const std::filesystem::path& folder, const std::string& ending) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > ending.size() && name.ends_with(ending)) {
      names.insert(name.substr(0, name.size() - ending.size()));
    }
  }
  return names;
}

// NAME.text; else NAME.source and NAME.target; else NAME.LANGUAGE twice. Each pair of files is a split.
void UseFolder(CommandOptions* options) {
  const std::filesystem::path& folder = options->input;
  PrepareOptions& p = options->prepare;
  if (!std::filesystem::is_directory(folder)) {
    throw model::DataError("There is no folder " + folder.string() +
                           ". 'strata-data fetch' or 'import' makes one, or name files with --source and --target.");
  }
  ReadProvenance(folder / "provenance.json", options);
  if (IsLanguageModel(p)) {
    for (const std::string& name : NamesWith(folder, ".text")) p.splits[name].target = folder / (name + ".text");
    if (p.splits.empty()) throw model::DataError(folder.string() + " holds no files NAME.text, such as train.text.");
    return;
  }
  std::string source = ".source", target = ".target";
  if (!std::filesystem::exists(folder / "train.source")) {
    if (p.source_language.empty() || p.target_language.empty()) {
      throw UsageError("--input " + folder.string() +
                       " has no train.source and does not say its languages. Add --source-language and "
                       "--target-language: its files are train.LANGUAGE, valid.LANGUAGE and so on.");
    }
    source = "." + p.source_language;
    target = "." + p.target_language;
  }
  std::set<std::string> names = NamesWith(folder, source);
  names.merge(NamesWith(folder, target));
  names.insert("train");
  for (const std::string& name : names) p.splits[name] = {folder / (name + source), folder / (name + target), {}};
}

// "NAME=VALUE"; both not empty.
std::pair<std::string, std::string> NameAndValue(const std::string& option, const std::string& text,
                                                 const std::string& form) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw UsageError(option + " " + text + ": write " + form + ".");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void AddSplit(const std::string& name, const TextPaths& paths, PrepareOptions* options) {
  if (!options->splits.emplace(name, paths).second) {
    throw UsageError("Split " + name +
                     " is named twice. Name each split once, or leave files out of --input's folder.");
  }
}

void UseFiles(CommandOptions* options) {
  PrepareOptions& p = options->prepare;
  for (const auto& [name, paths] :
       {std::pair{"train", &options->train}, {"valid", &options->valid}, {"test", &options->test}}) {
    if (paths->source.empty() && paths->target.empty()) continue;
    if (IsLanguageModel(p)) {
      throw UsageError(paths->source.string() + paths->target.string() + ": a language model's text has no sides. " +
                       "Name it with --split " + name + "=FILE.");
    }
    if (paths->source.empty() != paths->target.empty()) {
      throw UsageError("A source file without its target file (or the other way round): " + paths->source.string() +
                       paths->target.string() + ". Name both.");
    }
    AddSplit(name, *paths, &p);
  }
  for (const std::string& split : options->splits) {
    const std::string form = IsLanguageModel(p) ? "NAME=FILE" : "NAME=SOURCE,TARGET";
    const auto [name, files] = NameAndValue("--split", split, form);
    const size_t comma = files.find(',');
    if (IsLanguageModel(p)) {
      AddSplit(name, {{}, files, {}}, &p);
    } else if (comma == std::string::npos || files.find(',', comma + 1) != std::string::npos) {
      throw UsageError("--split " + split + ": write " + form + ".");
    } else {
      AddSplit(name, {files.substr(0, comma), files.substr(comma + 1), {}}, &p);
    }
  }
  for (const std::string& reference : options->references) {
    const auto [name, file] = NameAndValue("--reference", reference, "NAME=FILE");
    if (!p.splits.contains(name)) throw UsageError("--reference " + reference + ": there is no split " + name + ".");
    p.splits[name].reference = file;
  }
}

void SettleVocabulary(CommandOptions* options) {
  PrepareOptions& p = options->prepare;
  const int given = !p.vocabulary_file.empty() + !p.dictionary.empty() + !p.vocabulary_from.empty();
  if (given > 1) throw UsageError("Name one of --vocabulary-file, --dictionary and --vocabulary-from, not more.");
  if (given == 1 && options->size->count() > 0) {
    throw UsageError("--vocabulary goes with making one; the vocabulary that you name has its own size. Leave it out.");
  }
  std::string& kind = p.vocabulary.kind;
  if (!p.vocabulary_from.empty() && options->kind->count() > 0) {
    throw UsageError("--vocabulary-from takes the other dataset's kind too. Leave out --vocabulary-kind.");
  }
  if (!p.dictionary.empty() && MadeBySentencePiece(kind)) {
    throw UsageError("--dictionary goes with --vocabulary-kind words or split, not with " + kind + ".");
  }
  if (!p.vocabulary_file.empty() && !MadeBySentencePiece(kind)) {
    throw UsageError("--vocabulary-file is a SentencePiece model; for --vocabulary-kind " + kind +
                     " name --dictionary.");
  }
  const bool sized = kind == "bpe" || kind == "unigram";
  if (options->size->count() == 0 && !sized) p.vocabulary.size = 0;
  if (p.vocabulary.size == 0 ? sized : p.vocabulary.size < 5) {
    throw UsageError("--vocabulary " + std::to_string(p.vocabulary.size) + ": write 5 or more" +
                     (sized ? "." : ", or 0 for all that the text has."));
  }
}

void PrintSplit(const std::string& name, const model::DatasetSplit& split, const nlohmann::json& statistics) {
  std::cout << "  " << name << ": ";
  if (split.lines > 0) {
    std::cout << model::Grouped(split.lines) << " lines, " << model::Grouped(split.words) << " words, "
              << model::Grouped(split.target_tokens) << " pieces, " << model::Grouped(statistics.at("unknown"))
              << " of them unknown\n";
    return;
  }
  std::cout << model::Grouped(split.sentences) << " of " << model::Grouped(statistics.at("pairs_read"))
            << " pairs (dropped: " << model::Grouped(statistics.at("dropped").at("too long")) << " too long, "
            << model::Grouped(statistics.at("dropped").at("empty side")) << " with an empty side)\n";
  const uint64_t overlap = statistics.value("also_in_train", uint64_t{0});
  if (overlap == 0) return;
  std::cerr << "strata-data: warning: a side of " << model::Grouped(overlap) << " " << name
            << " pairs stands in train too: scores on them say less.\n";
}

void PrintSummary(const PrepareOptions& options, const model::Manifest& manifest) {
  const auto statistics = nlohmann::json::parse(manifest.statistics_json);
  std::cout << options.output.string() << ": dataset " << manifest.name << " (" << manifest.task << "), vocabulary "
            << model::Grouped(manifest.vocabulary_size) << " (" << manifest.vocabulary_kind << ")\n";
  for (const auto& [name, split] : manifest.splits) PrintSplit(name, split, statistics.at(name));
  std::cout << "  digest " << manifest.digest << "\n";
  for (const auto& [name, paths] : options.splits) {
    if (manifest.detokeniser.empty() || name == "train" || !paths.reference.empty()) continue;
    std::cerr << "strata-data: warning: split " << name << " is scored against its target text as it is, but what is "
              << "decoded goes through detokeniser " << manifest.detokeniser << ". Name plain text with --reference "
              << name << "=FILE.\n";
  }
}

void AddFileOptions(CLI::App* command, CommandOptions* options) {
  PrepareOptions& p = options->prepare;
  options->task = command
                      ->add_option("--task", p.task,
                                   "translation, headline or language_model (default: what --input's folder is for)")
                      ->check(CLI::IsMember(TextTasks()));
  command->add_option("--input", options->input,
                      "Folder that 'strata-data fetch' or 'import' made, or of the same file names: NAME.source and "
                      "NAME.target (or NAME.LANGUAGE twice; NAME.text for a language model) are split NAME");
  command
      ->add_option("--split", options->splits,
                   "NAME=SOURCE,TARGET, repeatable; a language model's NAME=FILE. train and valid must be there")
      ->take_all();
  command->add_option("--reference", options->references,
                      "NAME=FILE: plain target text of a split to score against, if its target is tokenised");
  command->add_option("--source", options->train.source, "Training text, one sentence a line");
  command->add_option("--target", options->train.target, "Its translation (headlines), line by line");
  command->add_option("--valid-source", options->valid.source, "Text for validation");
  command->add_option("--valid-target", options->valid.target, "Its translation");
  command->add_option("--test-source", options->test.source, "Text for tests");
  command->add_option("--test-target", options->test.target, "Its translation");
  command->add_option("--source-language", p.source_language, "Such as en");
  command->add_option("--target-language", p.target_language, "Such as de");
  command->add_option("--output", p.output, "Folder to make")->required();
  command->add_option("--name", p.name, "Name of the dataset")->required();
  command->add_flag("--force", p.force, "Replace --output if it exists");
}

void AddVocabularyOptions(CLI::App* command, CommandOptions* options) {
  PrepareOptions* p = &options->prepare;
  VocabularyOptions& v = p->vocabulary;
  options->size =
      command->add_option("--vocabulary", v.size, "Pieces, shared by both sides (char, words, split: default 0, all)")
          ->capture_default_str()
          ->check(CLI::Range(0, 1 << 22));
  options->kind = command
                      ->add_option("--vocabulary-kind", v.kind,
                                   "bpe, unigram, char (of raw text); words (one piece a word); split (the text is "
                                   "tokenised and split with '@@ ' already)")
                      ->capture_default_str()
                      ->check(CLI::IsMember(VocabularyKinds()));
  command->add_option("--vocabulary-from", p->vocabulary_from, "Share the vocabulary of this dataset");
  command->add_option("--vocabulary-file", p->vocabulary_file, "Use this SentencePiece model instead of training one");
  command->add_option("--dictionary", p->dictionary,
                      "words, split: use this dictionary in fairseq's format (a word and its count a line)");
  command->add_option("--min-count", v.min_count, "words, split: what is rarer in train is unknown")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
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
  command->add_option("--detokeniser", p->detokeniser,
                      "Name of the worker's command that what is decoded goes through, such as moses-de");
  command->add_option("--max-length", p->max_length, "Drop pairs with more subwords a side (0: none)")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--max-length-held-out", p->max_length_held_out,
                   "The same for all splits but train (default: as --max-length)")
      ->check(CLI::NonNegativeNumber);
}

void Run(CommandOptions* options) {
  if (!options->input.empty()) UseFolder(options);
  UseFiles(options);
  if (options->prepare.splits.empty()) {
    throw UsageError("Name the text with --input FOLDER, with --split, or with --source FILE --target FILE.");
  }
  SettleVocabulary(options);
  PrintSummary(options->prepare, Prepare(options->prepare));
}

}  // namespace

void AddPrepare(CLI::App& program) {
  auto options = std::make_shared<CommandOptions>();
  CLI::App* command = program.add_subcommand("prepare", "Make a dataset of text: vocabulary, shards, manifest");
  AddFileOptions(command, options.get());
  AddVocabularyOptions(command, options.get());
  command->footer(
      "Examples:\n  strata-data prepare --input text --output datasets/debian-en-de --name debian-en-de \\\n"
      "    --vocabulary 4000 --max-length 40\n"
      "  strata-data prepare --source train.en --target train.de --split valid=dev.en,dev.de \\\n"
      "    --split newstest2014=nt14.en,nt14.de --output datasets/mine --name mine --vocabulary 32000\n"
      "  strata-data prepare --task language_model --split train=train.txt --split valid=valid.txt \\\n"
      "    --vocabulary-kind words --min-count 3 --output datasets/lm --name lm");
  command->callback([options] { Run(options.get()); });
}

}  // namespace strata::data
