// strata-data fetch: real parallel text out of Debian packages.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/commands.h"
#include "worker/data/output_folder.h"
#include "worker/data/sources.h"

namespace strata::data {
namespace {

using model::Grouped;

struct FetchOptions {
  std::string source;
  std::vector<std::string> parts;
  std::filesystem::path output, cache;
  bool force = false;
};

std::vector<const Part*> ChosenParts(const FetchOptions& options) {
  const std::vector<Part>& known = EnglishGermanParts();
  std::vector<const Part*> chosen;
  for (const Part& part : known) {
    const auto named = [&](const std::string& name) { return name == part.name || name == "all"; };
    if (std::any_of(options.parts.begin(), options.parts.end(), named)) chosen.push_back(&part);
  }
  if (options.parts.empty()) chosen.push_back(&known[0]);
  return chosen;
}

std::string ProvenanceJson(const std::vector<Provenance>& provenance, const SplitPairs& splits) {
  nlohmann::ordered_json document = {{"source_language", "en"}, {"target_language", "de"}};
  document["pairs"] = {{"train", splits.train.size()}, {"valid", splits.valid.size()}, {"test", splits.test.size()}};
  document["dropped"] = splits.dropped;
  for (const Provenance& p : provenance) {
    nlohmann::ordered_json entry = {{"part", p.part}, {"origin", p.origin}};
    if (!p.version.empty()) entry["version"] = p.version;
    entry["sha256"] = p.sha256;
    entry["licence"] = p.licence;
    document["provenance"].push_back(entry);
  }
  return document.dump(1) + "\n";
}

void Fetch(const FetchOptions& options) {
  OutputFolder output(options.output, options.force);
  const std::filesystem::path cache = options.cache.empty() ? output.path() / "apt" : options.cache;
  std::cerr
      << "Fetching Debian's package lists with apt (about 18 MB; this machine's own apt state is left alone) ...\n";
  Apt apt(cache, {"en", "de"});
  apt.Update();
  std::vector<Document> documents;
  std::vector<Provenance> provenance;
  for (const Part* part : ChosenParts(options)) {
    std::cerr << "Reading " << part->name << ": " << part->what << " ...\n";
    PartText text = part->read(apt);
    uint64_t pairs = 0;
    for (const Document& document : text.documents) pairs += document.pairs.size();
    std::cerr << "  " << Grouped(pairs) << " pairs in " << Grouped(text.documents.size()) << " documents\n";
    std::move(text.documents.begin(), text.documents.end(), std::back_inserter(documents));
    std::move(text.provenance.begin(), text.provenance.end(), std::back_inserter(provenance));
  }
  const SplitPairs splits = HoldOut(documents);
  if (splits.train.empty() || splits.valid.empty() || splits.test.empty()) {
    throw model::DataError("The package lists hold too little German text (train " + Grouped(splits.train.size()) +
                           ", valid " + Grouped(splits.valid.size()) + ", test " + Grouped(splits.test.size()) +
                           " pairs). See that a Debian release's main is among this machine's apt sources.");
  }
  WriteParallelText(output.path(), splits, "en", "de");
  model::WriteFileAtomically(output.path() / "provenance.json", ProvenanceJson(provenance, splits));
  if (options.cache.empty()) std::filesystem::remove_all(cache);
  output.Commit();
  std::cout << options.output.string() << ": " << Grouped(splits.train.size()) << " train, "
            << Grouped(splits.valid.size()) << " valid, " << Grouped(splits.test.size()) << " test pairs\n";
}

}  // namespace

void AddFetch(CLI::App& program) {
  auto options = std::make_shared<FetchOptions>();
  CLI::App* command =
      program.add_subcommand("fetch", "Make parallel text out of Debian packages, by this machine's apt");
  std::vector<std::string> names = {"all"};
  std::string list;
  for (const Part& part : EnglishGermanParts()) {
    names.push_back(part.name);
    list += "  " + part.name + ": " + part.what + "\n";
  }
  command->add_option("source", options->source, "What to fetch: debian-en-de")
      ->required()
      ->check(CLI::IsMember({"debian-en-de"}));
  command->add_option("--part", options->parts, "Parts to use, or all (default: descriptions)")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  command->add_option("--output", options->output, "Folder to make: train.en, train.de, valid.*, test.*")->required();
  command->add_option("--cache", options->cache,
                      "Folder that keeps apt's downloads for the next call (default: none kept)");
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer("Parts:\n" + list +
                  "\nValid and test are whole documents (source packages); nothing of theirs stands in train.\n"
                  "Example:\n  strata-data fetch debian-en-de --output text/debian-en-de");
  command->callback([options] { Fetch(*options); });
}

}  // namespace strata::data
