// Importers: from a corpus as its publisher lays it out to text (or audio lists) that `strata-data prepare` takes. One
// file an importer; each adds itself to `strata-data import` as a subcommand and is listed in importers.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <vector>

namespace strata::data {

// Adds a subcommand, with its options, to `import`; it runs when it was chosen, and throws as commands do (commands.h).
using AddImporter = void (*)(CLI::App& import);

// Every importer, by name.
const std::vector<AddImporter>& Importers();

void AddImportGigaword(CLI::App& import);
void AddImportLibriSpeech(CLI::App& import);
void AddImportWikiText(CLI::App& import);
void AddImportWmt(CLI::App& import);

}  // namespace strata::data
