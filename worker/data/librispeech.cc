// strata-data import librispeech: the corpus as openslr.org distributes it, to lists for `strata-data prepare-speech`.
//
// LibriSpeech/<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac, and in each chapter's folder
// <speaker>-<chapter>.trans.txt with a line "<speaker>-<chapter>-<number> TRANSCRIPT" a clip.
#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/importers.h"
#include "worker/data/output_folder.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;
using model::Grouped;

struct Split {
  const char* name;
  std::vector<std::string> subsets;
};

// valid is what the published recipe validates on.
const std::vector<Split>& Splits() {
  static const std::vector<Split> splits = {{"train", {"train-clean-100", "train-clean-360", "train-other-500"}},
                                            {"valid", {"dev-clean", "dev-other"}},
                                            {"dev_clean", {"dev-clean"}},
                                            {"dev_other", {"dev-other"}},
                                            {"test_clean", {"test-clean"}},
                                            {"test_other", {"test-other"}}};
  return splits;
}

struct ImportOptions {
  fs::path folder, output;
  std::vector<std::string> train;  // subsets; empty: all three
  bool force = false;
};

std::vector<fs::path> SortedFolders(const fs::path& folder) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

// Appends the chapter's clips to `list`, one line each; returns how many.
size_t AddChapter(const fs::path& chapter, std::string* list) {
  const std::string prefix = chapter.parent_path().filename().string() + "-" + chapter.filename().string();
  const fs::path transcripts = chapter / (prefix + ".trans.txt");
  if (!fs::exists(transcripts)) {
    throw DataError(transcripts.string() + " is missing: there are no transcripts for " + chapter.string() +
                    ". Unpack the subset again.");
  }
  size_t clips = 0;
  for (const std::string& line : ReadTextLines(transcripts)) {
    ++clips;
    const std::string where = transcripts.string() + ":" + std::to_string(clips);
    const size_t space = line.find(' ');
    if (!line.starts_with(prefix + "-") || space == std::string::npos || space + 1 == line.size()) {
      throw DataError(where + ": not '" + prefix + "-NUMBER TRANSCRIPT'. Unpack the subset again.");
    }
    const fs::path audio = chapter / (line.substr(0, space) + ".flac");
    if (!fs::exists(audio)) {
      throw DataError(where + ": " + audio.string() + " is missing. Unpack the subset again.");
    }
    *list += audio.string() + "\t" + line.substr(space + 1) + "\n";
  }
  const auto files = std::count_if(fs::directory_iterator(chapter), {},
                                   [](const auto& entry) { return entry.path().extension() == ".flac"; });
  if (static_cast<size_t>(files) == clips) return clips;
  throw DataError(chapter.string() + " has " + Grouped(static_cast<uint64_t>(files)) + " FLAC files but " +
                  Grouped(clips) + " transcripts in " + transcripts.filename().string() + ". Unpack the subset again.");
}

std::string ListOf(const fs::path& subset, size_t* clips) {
  std::string list;
  const size_t before = *clips;
  for (const fs::path& speaker : SortedFolders(subset)) {
    for (const fs::path& chapter : SortedFolders(speaker)) *clips += AddChapter(chapter, &list);
  }
  if (*clips == before) throw DataError(subset.string() + " holds no clips. Unpack the subset again.");
  return list;
}

// The folder that holds the subsets: `folder` or the LibriSpeech in it.
fs::path Root(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw DataError("There is no folder " + folder.string() + ". Name the one that the archives were unpacked in.");
  }
  return fs::absolute(fs::is_directory(folder / "LibriSpeech") ? folder / "LibriSpeech" : folder).lexically_normal();
}

void CheckSubsets(const fs::path& root, const std::vector<Split>& splits) {
  std::string missing;
  for (const Split& split : splits) {
    if (std::string_view(split.name) == "valid") continue;  // its subsets are splits too
    for (const std::string& subset : split.subsets) {
      if (!fs::is_directory(root / subset)) missing += (missing.empty() ? "" : ", ") + subset;
    }
  }
  if (missing.empty()) return;
  throw DataError(root.string() + " lacks " + missing +
                  ". Unpack these archives there, or name the training subsets that you have with --train.");
}

void Import(const ImportOptions& options) {
  const fs::path root = Root(options.folder);
  std::vector<Split> splits = Splits();
  if (!options.train.empty()) splits[0].subsets = options.train;
  CheckSubsets(root, splits);
  OutputFolder output(options.output, options.force);
  std::map<std::string, std::pair<std::string, size_t>> lists;  // by subset
  for (const Split& split : splits) {
    std::string text;
    size_t clips = 0;
    for (const std::string& subset : split.subsets) {
      auto [found, fresh] = lists.try_emplace(subset);
      if (fresh) found->second.first = ListOf(root / subset, &found->second.second);
      text += found->second.first;
      clips += found->second.second;
    }
    model::WriteFileAtomically(output.path() / (std::string(split.name) + ".tsv"), text);
    std::cout << split.name << ": " << Grouped(clips) << " clips\n";
  }
  model::WriteFileAtomically(
      output.path() / "provenance.json",
      "{\"task\": \"speech\", \"language\": \"en\", \"provenance\": [{\"origin\": \"LibriSpeech\", "
      "\"licence\": \"CC-BY-4.0\"}]}\n");
  output.Commit();
}

}  // namespace

void AddImportLibriSpeech(CLI::App& import) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = import.add_subcommand("librispeech", "LibriSpeech's folders of FLAC files, to lists of clips");
  command->add_option("folder", options->folder, "Where the archives were unpacked: holds LibriSpeech/, or is it")
      ->required();
  command->add_option("--output", options->output, "Folder to make: train.tsv, valid.tsv, dev_clean.tsv, ...")
      ->required();
  command
      ->add_option("--train", options->train, "Training subsets (default: train-clean-100, -360 and train-other-500)")
      ->delimiter(',')
      ->check(CLI::IsMember({"train-clean-100", "train-clean-360", "train-other-500"}));
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer(
      "The audio stays where it is. valid is dev-clean and dev-other together.\n"
      "Example:\n  strata-data import librispeech corpora/LibriSpeech --output text/librispeech\n"
      "  strata-data prepare-speech --input text/librispeech --output datasets/librispeech --name librispeech");
  command->callback([options] { Import(*options); });
}

}  // namespace strata::data
