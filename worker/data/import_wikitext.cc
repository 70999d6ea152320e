// WikiText-103 (or -2) as its publisher lays it out: wiki.train.tokens, wiki.valid.tokens, wiki.test.tokens, tokenised,
// with <unk> where a word is rare. Its lines are kept as they are, empty ones too.
#include <memory>

#include "worker/data/imported_text.h"
#include "worker/data/importers.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

void Import(const ImportOptions& options) {
  std::vector<std::pair<std::string, std::filesystem::path>> splits;
  for (const std::string split : {"train", "valid", "test"}) {
    splits.emplace_back(split, NeededFile(options.corpus, {"wiki." + split + ".tokens"}, split + " text of WikiText"));
  }
  ImportedText text(options, "wikitext-103", "language_model");
  for (const auto& [split, path] : splits) {
    text.Add(split, "text", TextLines(path).lines());
    text.Note(split, path);
  }
  text.Commit();
}

}  // namespace

void AddImportWikiText(CLI::App& import) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = import.add_subcommand("wikitext-103", "WikiText-103: wiki.{train,valid,test}.tokens");
  command->add_option("corpus", options->corpus, "Folder of the corpus")->required();
  command->add_option("--output", options->output, "Folder to make: train.text, valid.text, test.text")->required();
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer(
      "Example:\n  strata-data import wikitext-103 wikitext-103 --output text/wikitext-103\n"
      "  strata-data prepare --input text/wikitext-103 --output datasets/wikitext-103 --name wikitext-103 \\\n"
      "    --vocabulary-kind words");
  command->callback([options] { Import(*options); });
}

}  // namespace strata::data
