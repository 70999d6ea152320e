// strata-data encode: a user's own text, with the vocabulary of a dataset, for `strata generate`.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "worker/data/audio.h"
#include "worker/data/commands.h"
#include "worker/data/output_folder.h"
#include "worker/data/prepare.h"
#include "worker/data/speech_prepare.h"
#include "worker/data/split_writer.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using model::DataError;
using model::Grouped;

struct EncodeOptions {
  std::filesystem::path dataset, input, output;
  std::string task;
  int64_t max_frames = kMaxTrainingFrames;
  bool force = false;
};

void CheckTask(const EncodeOptions& options, const model::Manifest& manifest) {
  const std::string what = options.dataset.string() + " is a dataset of task " + manifest.task;
  if (manifest.task != "speech" && LooksLikeAudio(options.input)) {
    throw DataError(options.input.string() + " is a sound file, and " + what +
                    ". Name a dataset of speech, or give text.");
  }
  if (!options.task.empty() && options.task != manifest.task) {
    throw DataError(what + ", not of " + options.task + ". Name the dataset that the model was trained on.");
  }
  if (manifest.task == "speech") return;
  const std::vector<std::string>& tasks = TextTasks();
  if (std::find(tasks.begin(), tasks.end(), manifest.task) == tasks.end()) {
    throw DataError(what + ", whose input is no text. Name a dataset of " + tasks[0] + ", " + tasks[1] + " or " +
                    tasks[2] + ".");
  }
}

void EncodeAudio(const EncodeOptions& options, const model::Manifest& of) {
  const model::Manifest manifest = EncodeSpeech({.dataset = options.dataset,
                                                 .input = options.input,
                                                 .output = options.output,
                                                 .max_frames = options.max_frames,
                                                 .force = options.force},
                                                of);
  const model::DatasetSplit& split = manifest.Split("input");
  std::cout << options.output.string() << ": " << Grouped(split.sentences) << " clips, " << Grouped(split.frames)
            << " frames\n";
}

void EncodeText(const EncodeOptions& options, const model::Manifest& of) {
  const VocabularyContent content = VocabularyOf(options.dataset, of);
  const auto vocabulary = OpenVocabulary(content.kind, content.content, content.where.string());
  if (vocabulary->Pieces().size() != static_cast<size_t>(of.vocabulary_size)) {
    throw DataError(content.where.string() + " has " + Grouped(vocabulary->Pieces().size()) +
                    " pieces, the manifest one of " + Grouped(static_cast<uint64_t>(of.vocabulary_size)) +
                    ". Prepare the dataset again, or fetch it from the coordinator.");
  }
  const TextLines text(options.input);
  if (text.empty()) throw DataError(options.input.string() + " is empty. Give at least one line of text.");
  OutputFolder output(options.output, options.force);
  model::Manifest manifest;
  manifest.name = of.name;
  manifest.task = of.task;
  manifest.source_language = of.source_language;
  manifest.target_language = of.target_language;
  manifest.vocabulary_size = of.vocabulary_size;
  manifest.vocabulary_kind = of.vocabulary_kind;
  manifest.vocabulary_file = VocabularyFileName(of.vocabulary_kind);
  manifest.detokeniser = of.detokeniser;
  model::WriteFileAtomically(output.path() / manifest.vocabulary_file, content.content);

  // A pair's target is not known: each is empty.
  const bool stream = of.task == "language_model";
  const std::vector<std::string_view> none(stream ? 0 : text.size());
  const SplitLines lines = stream ? SplitLines{{}, text.lines(), text.lines()} : SplitLines{text.lines(), none, none};
  const SplitForm form{.name = "input", .streams = stream ? 1 : 2, .keep_empty = true, .with_text = stream};
  SplitFigures figures;
  const model::DatasetSplit& split = manifest.splits["input"] =
      WriteSplit(output.path(), *vocabulary, lines, form, nullptr, &figures);
  const auto side = (stream ? figures.target : figures.source).Json();
  if (side.at("subwords") == 0) throw DataError(options.input.string() + " holds only empty lines. Give some text.");
  manifest.statistics_json = nlohmann::ordered_json{{"input", side}}.dump();
  model::WriteManifest(output.path(), &manifest);
  output.Commit();
  std::cout << options.output.string() << ": " << Grouped(split.sentences) << " lines, " << Grouped(side.at("subwords"))
            << " pieces, " << Grouped(side.at("unknown")) << " of them unknown\n";
}

}  // namespace

void AddEncode(CLI::App& program) {
  auto options = std::make_shared<EncodeOptions>();
  CLI::App* command =
      program.add_subcommand("encode", "Make a dataset with one split, input, of your own text for a trained model");
  command
      ->add_option("--dataset", options->dataset,
                   "Dataset that the model was trained on; only its manifest.json, vocabulary (and cmvn.json, if it "
                   "has one) are needed")
      ->required();
  command
      ->add_option("--input", options->input,
                   "Text, one sentence a line; speech: a sound file, or a list of them, one a line")
      ->required();
  command->add_option("--max-frames", options->max_frames, "Speech: refuse a longer clip, in frames of 10 ms")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kLongestClip));
  command->add_option("--output", options->output, "Folder to make")->required();
  command->add_option("--task", options->task, "Refuse a dataset of another task");
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer(
      "Example:\n  strata-data encode --dataset datasets/debian-en-de --input letter.txt --output letter\n"
      "  strata-data encode --dataset datasets/debian-speech --input clip.flac --output clip");
  command->callback([options] {
    const model::Manifest of = model::ReadManifest(options->dataset);
    CheckTask(*options, of);
    of.task == "speech" ? EncodeAudio(*options, of) : EncodeText(*options, of);
  });
}

}  // namespace strata::data
