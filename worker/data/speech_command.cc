// strata-data prepare-speech: from audio and transcripts to a dataset.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "model/data/file.h"
#include "worker/data/audio.h"
#include "worker/data/commands.h"
#include "worker/data/speech_prepare.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::Grouped;

struct CommandOptions {
  PrepareSpeechOptions prepare;
  fs::path input;
  std::vector<std::string> splits;  // NAME=FILE
  CLI::Option* size = nullptr;
};

void UseFolder(const fs::path& folder, PrepareSpeechOptions* options) {
  if (!fs::is_directory(folder)) {
    throw model::DataError("There is no folder " + folder.string() +
                           ". 'strata-data fetch debian-speech' and 'strata-data import librispeech' make one.");
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".tsv") options->splits[entry.path().stem().string()] = entry.path();
  }
  const fs::path provenance = folder / "provenance.json";
  if (!fs::exists(provenance)) return;
  try {
    const auto document = nlohmann::ordered_json::parse(model::ReadFile(provenance));
    if (options->language.empty()) options->language = document.value("language", "");
    options->provenance_json = document.value("provenance", nlohmann::ordered_json::array()).dump();
  } catch (const nlohmann::json::exception& e) {
    throw model::DataError(provenance.string() + " is damaged: " + e.what() + ". Make the folder again.");
  }
}

void Settle(CommandOptions* options) {
  PrepareSpeechOptions& p = options->prepare;
  if (options->input.empty() && options->splits.empty()) {
    throw UsageError("Name the clips with --input FOLDER or with --split NAME=FILE.");
  }
  if (!options->input.empty()) UseFolder(options->input, &p);
  for (const std::string& split : options->splits) {
    const size_t equals = split.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == split.size()) {
      throw UsageError("--split " + split + ": write NAME=FILE, such as test_clean=lists/test_clean.tsv.");
    }
    p.splits[split.substr(0, equals)] = split.substr(equals + 1);
  }
  if (!p.vocabulary_file.empty() && options->size->count() > 0) {
    throw UsageError("--vocabulary goes with making one; the model that you name has its own size. Leave it out.");
  }
  if (p.vocabulary.kind == "char" && options->size->count() == 0) p.vocabulary.size = 0;  // as many as there are
}

void PrintSummary(const fs::path& output, const model::Manifest& manifest) {
  const auto statistics = nlohmann::json::parse(manifest.statistics_json);
  std::cout << output.string() << ": " << Grouped(static_cast<uint64_t>(manifest.vocabulary_size)) << " pieces, "
            << manifest.features.bins << " filter banks, cmvn " << manifest.features.cmvn << ", digest "
            << manifest.digest.substr(0, 12) << "\n";
  for (const auto& [name, split] : manifest.splits) {
    const auto& figures = statistics.at(name);
    const auto& dropped = figures.at("dropped");
    std::cout << "  " << name << ": " << Grouped(split.sentences) << " clips, "
              << static_cast<int64_t>(figures.at("seconds").get<double>() / 60 + 0.5) << " min, "
              << Grouped(split.frames) << " frames, " << Grouped(split.target_tokens) << " subwords";
    const uint64_t too_long = dropped.at("too long"), too_short = dropped.at("too short");
    if (too_long > 0) std::cout << "; " << Grouped(too_long) << " longer than --max-frames left out";
    if (too_short > 0) std::cout << "; " << Grouped(too_short) << " shorter than a window left out";
    std::cout << "\n";
  }
}

void AddOptions(CLI::App* command, CommandOptions* options) {
  PrepareSpeechOptions& p = options->prepare;
  command->add_option("--input", options->input, "Folder of lists: train.tsv, valid.tsv and any NAME.tsv");
  command->add_option("--split", options->splits, "NAME=FILE: a further list, or another for that name")->take_all();
  command->add_option("--output", p.output, "Folder to make")->required();
  command->add_option("--name", p.name, "Name of the dataset")->required();
  command->add_option("--language", p.language, "Of the transcripts, such as en");
  command->add_flag("--force", p.force, "Replace --output if it exists");
  options->size = command->add_option("--vocabulary", p.vocabulary.size, "Pieces (char: default all there are)")
                      ->capture_default_str()
                      ->check(CLI::Range(5, 1 << 20));
  command->add_option("--vocabulary-kind", p.vocabulary.kind, "unigram, bpe or char, by SentencePiece")
      ->capture_default_str()
      ->check(CLI::IsMember({"unigram", "bpe", "char"}));
  command->add_option("--vocabulary-file", p.vocabulary_file, "Use this SentencePiece model instead of making one");
  command->add_flag("--lowercase,!--keep-case", p.lowercase,
                    "Transcripts in lower case, or as they are (default: lower)");
  command->add_option("--cmvn", p.cmvn, "Normalise each clip by itself, by the statistics of train, or not")
      ->capture_default_str()
      ->check(CLI::IsMember({"utterance", "global", "none"}));
  command->add_option("--max-frames", p.max_frames, "Leave longer clips out of train, in frames of 10 ms")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kLongestClip));
}

}  // namespace

void AddPrepareSpeech(CLI::App& program) {
  auto options = std::make_shared<CommandOptions>();
  CLI::App* command = program.add_subcommand(
      "prepare-speech", "Make a dataset of audio and transcripts: filter banks, vocabulary, shards, manifest");
  AddOptions(command, options.get());
  command->footer(
      "A list has a line a clip: path of its audio (FLAC, WAV, OGG; from the list's folder), a tab, its transcript.\n"
      "Examples:\n  strata-data prepare-speech --input text/debian-speech --output datasets/debian-speech \\\n"
      "    --name debian-speech --vocabulary 200\n"
      "  strata-data prepare-speech --input text/librispeech --output datasets/librispeech --name librispeech");
  command->callback([options] {
    Settle(options.get());
    PrintSummary(options->prepare.output, PrepareSpeech(options->prepare));
  });
}

}  // namespace strata::data
