// strata-data import: the corpora that have an importer.
#include "worker/data/importers.h"

#include "worker/data/commands.h"

namespace strata::data {

const std::vector<AddImporter>& Importers() {
  static const std::vector<AddImporter> importers = {
      AddImportGigaword,
      AddImportLibriSpeech,
      AddImportWikiText,
      AddImportWmt,
  };
  return importers;
}

void AddImport(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("import", "Take a corpus that you have on disk, in its publisher's layout");
  command->require_subcommand(1);
  for (const AddImporter add : Importers()) add(*command);
  command->footer("Example:\n  strata-data import wmt corpora/wmt16 --output text/wmt");
}

}  // namespace strata::data
