#include "worker/data/imported_text.h"

#include <algorithm>
#include <fstream>
#include <iostream>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/text_file.h"

namespace strata::data {

using model::DataError;
using model::Grouped;

std::filesystem::path FirstOf(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (std::filesystem::is_regular_file(folder / name)) return folder / name;
  }
  return {};
}

std::filesystem::path NeededFile(const std::filesystem::path& folder, const std::vector<std::string>& names,
                                 const std::string& what) {
  std::filesystem::path found = FirstOf(folder, names);
  if (!found.empty()) return found;
  std::string tried;
  for (const std::string& name : names) tried += (tried.empty() ? "" : ", ") + name;
  throw DataError("There is no " + what + " in " + folder.string() + ": looked for " + tried +
                  ". Name the corpus' own folder, as its publisher lays it out.");
}

ImportedText::ImportedText(const ImportOptions& options, const std::string& corpus, const std::string& task)
    : options_(options), output_(options.output, options.force) {
  provenance_ = {{"corpus", corpus}, {"task", task}, {"provenance", nlohmann::ordered_json::array()}};
}

void ImportedText::SetLanguages(const std::string& source, const std::string& target) {
  provenance_["source_language"] = source;
  provenance_["target_language"] = target;
}

void ImportedText::Add(const std::string& split, const std::string& side, std::span<const std::string_view> lines) {
  const std::string name = split + "." + side;
  auto place = std::find_if(lines_.begin(), lines_.end(), [&](const auto& entry) { return entry.first == name; });
  const std::filesystem::path path = output_.path() / name;
  const std::string text = Joined(lines);
  if (place == lines_.end()) {
    lines_.emplace_back(name, lines.size());
    model::WriteFileAtomically(path, text);
    return;
  }
  place->second += lines.size();
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << text << std::flush;
  if (!file) throw DataError("Cannot write " + path.string() + ". Is the disk full?");
}

void ImportedText::Note(const std::string& part, const std::filesystem::path& file) {
  provenance_["provenance"].push_back(
      {{"part", part}, {"origin", file.filename().string()}, {"sha256", model::FileSha256(file)}});
}

void ImportedText::ExpectPairs(const std::filesystem::path& source, size_t source_lines,
                               const std::filesystem::path& target, size_t target_lines) {
  if (source_lines == target_lines) return;
  throw DataError(source.string() + " has " + Grouped(source_lines) + " lines, " + target.string() + " has " +
                  Grouped(target_lines) + ". Line n of one must belong to line n of the other: is the corpus whole?");
}

void ImportedText::Commit() {
  model::WriteFileAtomically(output_.path() / "provenance.json", provenance_.dump(1) + "\n");
  output_.Commit();
  std::cout << options_.output.string() << ":\n";
  for (const auto& [name, lines] : lines_) std::cout << "  " << name << ": " << Grouped(lines) << " lines\n";
}

}  // namespace strata::data
