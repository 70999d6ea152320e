#include "worker/data/speech_prepare.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "model/data/file.h"
#include "worker/data/output_folder.h"
#include "worker/data/prepare.h"
#include "worker/data/speech_cmvn.h"
#include "worker/data/speech_list.h"
#include "worker/data/speech_writer.h"
#include "worker/data/statistics.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;
using model::Grouped;
using nlohmann::ordered_json;

constexpr char kTask[] = "speech";

std::map<std::string, SpeechList> ReadLists(const PrepareSpeechOptions& options) {
  std::map<std::string, SpeechList> lists;
  for (const char* needed : {"train", "valid"}) {
    if (options.splits.contains(needed)) continue;
    throw DataError(std::string("Split ") + needed + " is missing. Give " + needed +
                    ".tsv in --input's folder, or --split " + needed + "=FILE.");
  }
  for (const auto& [name, file] : options.splits) {
    CheckSplitName(name);
    SpeechList& list = lists[name] = ReadSpeechList(file, Transcripts::kRequired);
    if (!options.lowercase) continue;
    for (ClipEntry& clip : list.clips) clip.transcript = LowerCase(clip.transcript);
  }
  return lists;
}

std::string VocabularyFor(const PrepareSpeechOptions& options, const SpeechList& train) {
  if (!options.vocabulary_file.empty()) return model::ReadFile(options.vocabulary_file);
  std::cerr << "Making a vocabulary of " << (options.vocabulary.size > 0 ? Grouped(options.vocabulary.size) : "all")
            << " pieces ...\n";
  std::vector<std::string_view> lines;
  for (const ClipEntry& clip : train.clips) lines.push_back(clip.transcript);
  const std::vector<std::span<const std::string_view>> texts = {lines};
  return MakeVocabulary(texts, options.vocabulary);
}

SpeechForm FormOf(const PrepareSpeechOptions& options, const std::string& name) {
  if (name != "train") return {.name = name, .with_text = true};
  return {.name = name, .max_frames = options.max_frames, .drop_by_length = true};
}

Cmvn CmvnFor(const PrepareSpeechOptions& options, const SpeechList& train) {
  if (options.cmvn != "global") return Cmvn(options.cmvn);
  std::cerr << "Gathering the statistics of " << Grouped(train.clips.size()) << " clips ...\n";
  FeatureStatistics statistics;
  SpeechFigures unused;
  ForEachClip(train, FormOf(options, "train"), &unused,
              [&](const ClipFeatures& clip) { statistics.Add(clip.features); });
  if (statistics.frames() == 0) throw DataError("No clip of train is left. Allow longer ones with --max-frames.");
  return Cmvn(statistics);
}

void RefuseNothing(const std::string& name, const SpeechFigures& figures, int64_t max_frames) {
  if (!figures.frames.empty()) return;
  throw DataError("No clip of " + name + " is left of " + Grouped(figures.read) + " (" + Grouped(figures.too_long) +
                  " longer than " + Grouped(static_cast<uint64_t>(max_frames)) + " frames, " +
                  Grouped(figures.too_short) +
                  " shorter than a window). Give other clips, or allow longer ones with --max-frames.");
}

model::Manifest ManifestFor(const std::string& kind, const std::vector<model::Piece>& pieces, const Cmvn& cmvn) {
  model::Manifest manifest;
  manifest.task = kTask;
  manifest.vocabulary_kind = kind;
  manifest.vocabulary_size = static_cast<int>(pieces.size());
  manifest.vocabulary_file = VocabularyFileName(kind);
  manifest.features = {.bins = kFilterBanks, .cmvn = cmvn.kind()};
  return manifest;
}

// Writes one split after another, train first.
ordered_json WriteSplits(const PrepareSpeechOptions& options, const fs::path& folder, const Vocabulary& vocabulary,
                         const Cmvn& cmvn, const std::map<std::string, SpeechList>& lists, model::Manifest* manifest) {
  ordered_json statistics = {{"max_frames", options.max_frames}, {"lowercase", options.lowercase}};
  TrainSides trained;
  std::vector<uint64_t> train_counts;
  std::vector<std::string> names = {"train"};
  for (const auto& [name, list] : lists) {
    if (name != "train") names.push_back(name);
  }
  for (const std::string& name : names) {
    const SpeechList& list = lists.at(name);
    const SpeechForm form = FormOf(options, name);
    std::cerr << "Encoding " << name << ": " << Grouped(list.clips.size()) << " clips ...\n";
    SpeechFigures figures;
    manifest->splits[name] = WriteSpeechSplit(folder, vocabulary, cmvn, list, form, &figures);
    RefuseNothing(name, figures, form.max_frames);
    statistics[name] = figures.Json();
    if (name == "train") {
      for (const ClipEntry& clip : list.clips) trained.Add(clip.transcript, clip.transcript);
      train_counts = figures.target_counts;
      continue;
    }
    uint64_t overlap = 0;
    for (const ClipEntry& clip : list.clips) overlap += trained.HoldsEither(clip.transcript, clip.transcript) ? 1 : 0;
    statistics[name]["also_in_train"] = overlap;
    if (name == "valid") statistics["unigram_nll"] = UnigramLevel(train_counts, figures.target_counts);
  }
  return statistics;
}

// By its name; then what is wrong with it is wrong with a sound, whatever it holds.
bool IsNamedAsAudio(const fs::path& file) {
  const std::string ending = LowerCase(file.extension().string());
  return ending == ".wav" || ending == ".flac" || ending == ".ogg" || ending == ".oga";
}

// The input of EncodeSpeech as a list.
SpeechList InputList(const EncodeSpeechOptions& options, bool lowercase) {
  if (LooksLikeAudio(options.input) || IsNamedAsAudio(options.input))
    return {.file = options.input, .clips = {{.audio = options.input, .transcript = {}}}};
  SpeechList list = ReadSpeechList(options.input, Transcripts::kOptional);
  for (ClipEntry& clip : list.clips) {
    if (lowercase) clip.transcript = LowerCase(clip.transcript);
  }
  return list;
}

bool Lowercased(const model::Manifest& manifest) {
  return nlohmann::json::parse(manifest.statistics_json).value("lowercase", true);
}

// Features are never resampled, so a model hears a clip of a rate that it was not trained on as something else.
void WarnOfOtherRates(const SpeechFigures& figures, const model::Manifest& of) {
  const auto statistics = nlohmann::json::parse(of.statistics_json);
  if (!statistics.contains("train")) return;
  const auto trained = statistics["train"].value("rates", nlohmann::json::object());
  std::string rates;
  for (const auto& [rate, clips] : trained.items()) rates += (rates.empty() ? "" : ", ") + rate;
  for (const auto& [rate, clips] : figures.rates) {
    if (trained.empty() || trained.contains(std::to_string(rate))) continue;
    std::cerr << "Warning: clips of " << rate << " samples a second (" << Grouped(clips)
              << "); those that the model was trained on have " << rates
              << ". Convert them first (for instance: sox in.wav -r " << trained.items().begin().key()
              << " out.wav).\n";
  }
}

}  // namespace

model::Manifest PrepareSpeech(const PrepareSpeechOptions& options) {
  const std::map<std::string, SpeechList> lists = ReadLists(options);
  OutputFolder output(options.output, options.force);
  const std::string content = VocabularyFor(options, lists.at("train"));
  const auto vocabulary =
      OpenVocabulary(options.vocabulary.kind, content,
                     options.vocabulary_file.empty() ? "the vocabulary" : options.vocabulary_file.string());
  const Cmvn cmvn = CmvnFor(options, lists.at("train"));
  model::Manifest manifest = ManifestFor(options.vocabulary.kind, vocabulary->Pieces(), cmvn);
  manifest.name = options.name;
  manifest.target_language = options.language;
  manifest.provenance_json = options.provenance_json;
  model::WriteFileAtomically(output.path() / manifest.vocabulary_file, content);
  cmvn.Write(output.path());
  manifest.statistics_json = WriteSplits(options, output.path(), *vocabulary, cmvn, lists, &manifest).dump();
  model::WriteManifest(output.path(), &manifest);
  output.Commit();
  return manifest;
}

model::Manifest EncodeSpeech(const EncodeSpeechOptions& options, const model::Manifest& of) {
  if (of.task != kTask) {
    throw DataError(options.dataset.string() + " is a dataset of task " + of.task +
                    ", not of speech. Name the dataset that " + "the model was trained on.");
  }
  if (of.features.bins != kFilterBanks) {
    throw DataError(options.dataset.string() + "/manifest.json: features.bins is " + std::to_string(of.features.bins) +
                    ", but sounds are encoded with " + std::to_string(kFilterBanks) +
                    " filter banks. Compute the features of such a dataset yourself, or train on one of 'strata-data "
                    "prepare-speech'.");
  }
  const VocabularyContent content = VocabularyOf(options.dataset, of);
  const auto vocabulary = OpenVocabulary(content.kind, content.content, content.where.string());
  if (vocabulary->Pieces().size() != static_cast<size_t>(of.vocabulary_size)) {
    throw DataError(content.where.string() + " has " + Grouped(vocabulary->Pieces().size()) +
                    " pieces, the manifest says " + Grouped(static_cast<uint64_t>(of.vocabulary_size)) +
                    ". Prepare the dataset again, or fetch it from the coordinator.");
  }
  const Cmvn cmvn = Cmvn::Of(options.dataset, of);
  const SpeechList list = InputList(options, Lowercased(of));
  OutputFolder output(options.output, options.force);
  model::Manifest manifest = ManifestFor(of.vocabulary_kind, vocabulary->Pieces(), cmvn);
  manifest.name = of.name;
  manifest.target_language = of.target_language;
  manifest.detokeniser = of.detokeniser;
  model::WriteFileAtomically(output.path() / manifest.vocabulary_file, content.content);
  cmvn.Write(output.path());
  const SpeechForm form{.name = "input", .max_frames = options.max_frames, .with_text = true};
  SpeechFigures figures;
  manifest.splits["input"] = WriteSpeechSplit(output.path(), *vocabulary, cmvn, list, form, &figures);
  WarnOfOtherRates(figures, of);
  manifest.statistics_json = ordered_json{{"lowercase", Lowercased(of)}, {"input", figures.Json()}}.dump();
  model::WriteManifest(output.path(), &manifest);
  output.Commit();
  return manifest;
}

}  // namespace strata::data
