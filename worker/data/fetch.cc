// strata-data fetch: real text and speech out of Debian packages.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/commands.h"
#include "worker/data/output_folder.h"
#include "worker/data/sources.h"
#include "worker/data/speech_debian.h"
#include "worker/data/text_file.h"
#include "worker/data/word_vocabulary.h"

namespace strata::data {
namespace {

using model::Grouped;
using nlohmann::ordered_json;

struct FetchOptions {
  std::string source;
  std::vector<std::string> parts;
  std::filesystem::path output, cache;
  bool force = false;
};

// The parts that were asked for; `all` is all, and none at all are the first `by_default`.
template <typename PartOfSource>
std::vector<const PartOfSource*> ChosenParts(const FetchOptions& options, const std::vector<PartOfSource>& known,
                                             size_t by_default) {
  std::vector<const PartOfSource*> chosen;
  for (size_t i = 0; i < known.size(); ++i) {
    const auto named = [&](const std::string& name) { return name == known[i].name || name == "all"; };
    const bool asked = std::any_of(options.parts.begin(), options.parts.end(), named);
    if (asked || (options.parts.empty() && i < by_default)) chosen.push_back(&known[i]);
  }
  return chosen;
}

void WriteProvenance(const std::filesystem::path& folder, ordered_json document,
                     const std::vector<Provenance>& provenance) {
  for (const Provenance& p : provenance) {
    ordered_json entry = {{"part", p.part}, {"origin", p.origin}};
    if (!p.version.empty()) entry["version"] = p.version;
    entry["sha256"] = p.sha256;
    entry["licence"] = p.licence;
    document["provenance"].push_back(entry);
  }
  model::WriteFileAtomically(folder / "provenance.json", document.dump(1) + "\n");
}

ordered_json PairCounts(const SplitPairs& splits) {
  return {{"train", splits.train.size()}, {"valid", splits.valid.size()}, {"test", splits.test.size()}};
}

void RefuseTooLittle(const SplitPairs& splits, const std::string& what) {
  if (!splits.train.empty() && !splits.valid.empty() && !splits.test.empty()) return;
  throw model::DataError("The package lists hold too little " + what + " (train " + Grouped(splits.train.size()) +
                         ", valid " + Grouped(splits.valid.size()) + ", test " + Grouped(splits.test.size()) +
                         " pairs). See that a Debian release's main is among this machine's apt sources.");
}

std::string PairSummary(const SplitPairs& splits) {
  return Grouped(splits.train.size()) + " train, " + Grouped(splits.valid.size()) + " valid, " +
         Grouped(splits.test.size()) + " test pairs";
}

void Update(Apt& apt) {
  std::cerr
      << "Fetching Debian's package lists with apt (about 18 MB; this machine's own apt state is left alone) ...\n";
  apt.Update();
}

// Each source fills a folder and says what came of it, in a line.

std::string FetchTranslation(const FetchOptions& options, Apt& apt, const std::filesystem::path& folder) {
  Update(apt);
  std::vector<Document> documents;
  std::vector<Provenance> provenance;
  for (const Part* part : ChosenParts(options, EnglishGermanParts(), 1)) {
    std::cerr << "Reading " << part->name << ": " << part->what << " ...\n";
    PartText text = part->read(apt);
    uint64_t pairs = 0;
    for (const Document& document : text.documents) pairs += document.pairs.size();
    std::cerr << "  " << Grouped(pairs) << " pairs in " << Grouped(text.documents.size()) << " documents\n";
    std::move(text.documents.begin(), text.documents.end(), std::back_inserter(documents));
    std::move(text.provenance.begin(), text.provenance.end(), std::back_inserter(provenance));
  }
  const SplitPairs splits = HoldOut(documents);
  RefuseTooLittle(splits, "German text");
  WriteParallelText(folder, splits, "en", "de");
  WriteProvenance(folder,
                  {{"task", "translation"},
                   {"source_language", "en"},
                   {"target_language", "de"},
                   {"pairs", PairCounts(splits)},
                   {"dropped", splits.dropped}},
                  provenance);
  return PairSummary(splits);
}

std::string FetchHeadlines(const FetchOptions&, Apt& apt, const std::filesystem::path& folder) {
  Update(apt);
  std::cerr << "Reading the descriptions of Debian's packages ...\n";
  const PartText text = ReadHeadlines(apt);
  const SplitPairs splits = HoldOut(text.documents, PairKind::kHeadline);
  RefuseTooLittle(splits, "text");
  WriteParallelText(folder, splits, "source", "target");
  WriteProvenance(folder,
                  {{"task", "headline"},
                   {"source_language", "en"},
                   {"target_language", "en"},
                   {"pairs", PairCounts(splits)},
                   {"dropped", splits.dropped}},
                  text.provenance);
  return PairSummary(splits);
}

std::string FetchText(const FetchOptions& options, Apt& apt, const std::filesystem::path& folder) {
  std::vector<TextDocument> documents;
  std::vector<Provenance> provenance;
  const auto& known = RunningTextParts();
  const auto by_default = std::count_if(known.begin(), known.end(), [](const auto& part) { return part.by_default; });
  const auto chosen = ChosenParts(options, known, static_cast<size_t>(by_default));
  if (std::any_of(chosen.begin(), chosen.end(), [](const auto* part) { return part->packages; })) Update(apt);
  for (const RunningTextPart* part : chosen) {
    std::cerr << "Reading " << part->name << ": " << part->what << " ...\n";
    auto read = part->read(apt, &provenance);
    std::cerr << "  " << Grouped(read.size()) << " documents\n";
    std::move(read.begin(), read.end(), std::back_inserter(documents));
  }
  const SplitLinesOfText text = HoldOutText(documents);
  std::string summary;
  ordered_json counts;
  for (const auto& [name, lines] : {std::pair{"train", &text.train}, {"valid", &text.valid}, {"test", &text.test}}) {
    uint64_t words = 0;
    for (const std::string& line : *lines) words += AsciiWords(line).size();
    if (words == 0)
      throw model::DataError(std::string("These parts hold no ") + name + " text. Name more with --part.");
    const std::vector<std::string_view> views(lines->begin(), lines->end());
    model::WriteFileAtomically(folder / (std::string(name) + ".text"), Joined(views));
    counts[name] = {{"lines", lines->size()}, {"words", words}};
    summary += (summary.empty() ? "" : ", ") + Grouped(words) + " " + name;
  }
  WriteProvenance(folder, {{"task", "language_model"}, {"text", counts}, {"dropped", text.dropped}}, provenance);
  return summary + " words in " + Grouped(documents.size()) + " documents";
}

std::string FetchSpeech(const FetchOptions&, Apt& apt, const std::filesystem::path& folder) {
  Update(apt);
  std::string summary;
  for (const auto& [split, clips] : FetchDebianSpeech(apt, folder)) {
    summary += (summary.empty() ? "" : ", ") + Grouped(clips) + " " + split;
  }
  return summary + " clips";
}

template <typename PartOfSource>
std::vector<std::string> NamesOf(const std::vector<PartOfSource>& parts) {
  std::vector<std::string> names;
  for (const PartOfSource& part : parts) names.push_back(part.name);
  return names;
}

struct Source {
  std::string name, what;
  std::vector<std::string> parts;
  std::string (*fetch)(const FetchOptions& options, Apt& apt, const std::filesystem::path& folder);
};

const std::vector<Source>& Sources() {
  static const std::vector<Source> sources = {
      {"debian-en-de", "translation: parallel text", NamesOf(EnglishGermanParts()), FetchTranslation},
      {"debian-headline", "headline: long descriptions of packages, and their synopsis", {}, FetchHeadlines},
      {"debian-text", "language_model: English running text, punctuation parted from the words",
       NamesOf(RunningTextParts()), FetchText},
      {"debian-speech", "speech: recorded prompts with their wording", {}, FetchSpeech},
  };
  return sources;
}

void CheckParts(const FetchOptions& options, const Source& source) {
  if (source.parts.empty() && !options.parts.empty()) {
    throw UsageError(source.name + " has no parts: leave out --part.");
  }
  for (const std::string& name : options.parts) {
    if (name == "all" || std::find(source.parts.begin(), source.parts.end(), name) != source.parts.end()) continue;
    std::string list = "all";
    for (const std::string& part : source.parts) list += ", " + part;
    throw UsageError("--part " + name + ": " + source.name + " has no such part. It has " + list + ".");
  }
}

void Fetch(const FetchOptions& options) {
  const std::vector<Source>& sources = Sources();
  const auto source =
      std::find_if(sources.begin(), sources.end(), [&](const Source& s) { return s.name == options.source; });
  CheckParts(options, *source);
  OutputFolder output(options.output, options.force);
  const std::filesystem::path cache = options.cache.empty() ? output.path() / "apt" : options.cache;
  Apt apt(cache, {"en", "de"});
  const std::string summary = source->fetch(options, apt, output.path());
  if (options.cache.empty()) std::filesystem::remove_all(cache);
  output.Commit();
  std::cout << options.output.string() << ": " << summary << "\n";
}

}  // namespace

void AddFetch(CLI::App& program) {
  auto options = std::make_shared<FetchOptions>();
  CLI::App* command =
      program.add_subcommand("fetch", "Make text or speech out of Debian packages, by this machine's apt");
  std::vector<std::string> names;
  std::string list = "Sources:\n";
  for (const Source& source : Sources()) {
    names.push_back(source.name);
    list += "  " + source.name + ": " + source.what + "\n";
  }
  list += "Parts of debian-en-de (default: descriptions):\n";
  for (const Part& part : EnglishGermanParts()) list += "  " + part.name + ": " + part.what + "\n";
  list += "Parts of debian-text (default: all but austen and wikipedia):\n";
  for (const RunningTextPart& part : RunningTextParts()) list += "  " + part.name + ": " + part.what + "\n";
  command->add_option("source", options->source, "What to fetch")->required()->check(CLI::IsMember(names));
  command->add_option("--part", options->parts, "Parts to use, or all")->delimiter(',');
  command->add_option("--output", options->output, "Folder to make: train.*, valid.*, test.*")->required();
  command->add_option("--cache", options->cache,
                      "Folder that keeps apt's downloads for the next call (default: none kept)");
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer(
      list +
      "\nValid and test are whole documents (source packages, articles); nothing of theirs stands in train.\n"
      "Example:\n  strata-data fetch debian-en-de --output text/debian-en-de");
  command->callback([options] { Fetch(*options); });
}

}  // namespace strata::data
