// What importers of text share: finding a corpus' files, and the folder that they make of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/output_folder.h"

namespace strata::data {

// Options of every importer.
struct ImportOptions {
  std::filesystem::path corpus, output;
  bool force = false;
};

// The first of `names` that is a file below `folder`; empty if none is.
std::filesystem::path FirstOf(const std::filesystem::path& folder, const std::vector<std::string>& names);

// The same; throws model::DataError that says `what` was looked for and all the names.
std::filesystem::path NeededFile(const std::filesystem::path& folder, const std::vector<std::string>& names,
                                 const std::string& what);

// The text folder that comes into being (docs/DATASETS.md): splits' text and provenance.json.
class ImportedText {
 public:
  // Throws model::DataError when options.output exists and is not to be replaced.
  ImportedText(const ImportOptions& options, const std::string& corpus, const std::string& task);

  void SetLanguages(const std::string& source, const std::string& target);
  // Copies text that was checked already, as a file of split `split`: NAME.SIDE. May be called again for the same file
  // name: the text goes behind what is there.
  void Add(const std::string& split, const std::string& side, std::span<const std::string_view> lines);
  // Notes a file that was read, with its hash.
  void Note(const std::string& part, const std::filesystem::path& file);

  // Throws model::DataError naming files and numbers when the lines differ.
  static void ExpectPairs(const std::filesystem::path& source, size_t source_lines, const std::filesystem::path& target,
                          size_t target_lines);

  // Writes provenance.json and makes the folder appear. Prints the lines of each split.
  void Commit();

 private:
  ImportOptions options_;
  OutputFolder output_;
  nlohmann::ordered_json provenance_;
  std::vector<std::pair<std::string, uint64_t>> lines_;  // by file name, in the order of their first mention
};

}  // namespace strata::data
