// Headline pairs of Gigaword in the usual layout (`sumdata`): the first sentence of an article, and its headline. More
// pairs can be added to train: the authors used 13 million of RealNews and NewsCrawl.
#include <memory>

#include "worker/data/imported_text.h"
#include "worker/data/importers.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

struct Options : ImportOptions {
  std::vector<std::filesystem::path> extra;
};

struct Files {
  std::string split, part;
  std::filesystem::path article, title;
};

std::vector<Files> FindFiles(const Options& options) {
  const std::filesystem::path& folder = options.corpus;
  const auto both = [&](const std::string& name) {
    return std::pair{std::vector<std::string>{"train/" + name, name}, "text of " + name};
  };
  std::vector<Files> files;
  const auto [train_article, train_what] = both("train.article.txt");
  files.push_back({"train", "gigaword", NeededFile(folder, train_article, "training articles"),
                   NeededFile(folder, both("train.title.txt").first, "training headlines")});
  files.push_back({"valid", "gigaword",
                   NeededFile(folder,
                              {"train/valid.article.filter.txt", "train/valid.article.txt", "valid.article.filter.txt",
                               "valid.article.txt", "valid/valid.article.filter.txt"},
                              "articles for validation"),
                   NeededFile(folder,
                              {"train/valid.title.filter.txt", "train/valid.title.txt", "valid.title.filter.txt",
                               "valid.title.txt", "valid/valid.title.filter.txt"},
                              "headlines for validation")});
  files.push_back(
      {"test", "gigaword",
       NeededFile(folder, {"Giga/input.txt", "test/input.txt", "giga/input.txt", "input.txt"}, "test articles"),
       NeededFile(folder, {"Giga/task1_ref0.txt", "test/task1_ref0.txt", "giga/task1_ref0.txt", "task1_ref0.txt"},
                  "test headlines")});
  for (const std::filesystem::path& prefix : options.extra) {
    const std::filesystem::path folder_of = prefix.has_parent_path() ? prefix.parent_path() : ".";
    const std::string name = prefix.filename().string();
    files.push_back(
        {"train", name,
         NeededFile(folder_of, {name + ".article.txt", name + ".source", name + ".src"}, "articles of --extra"),
         NeededFile(folder_of, {name + ".title.txt", name + ".target", name + ".tgt"}, "headlines of --extra")});
  }
  return files;
}

void Import(const Options& options) {
  const std::vector<Files> files = FindFiles(options);
  ImportedText text(options, "gigaword", "headline");
  text.SetLanguages("en", "en");
  for (const Files& f : files) {
    const TextLines articles(f.article), titles(f.title);
    ImportedText::ExpectPairs(f.article, articles.size(), f.title, titles.size());
    text.Add(f.split, "source", articles.lines());
    text.Add(f.split, "target", titles.lines());
    text.Note(f.part, f.article);
    text.Note(f.part, f.title);
  }
  text.Commit();
}

}  // namespace

void AddImportGigaword(CLI::App& import) {
  auto options = std::make_shared<Options>();
  CLI::App* command = import.add_subcommand(
      "gigaword", "Headline pairs: train/{train,valid}.{article,title}*.txt, Giga/{input,task1_ref0}.txt");
  command->add_option("corpus", options->corpus, "Folder of the corpus")->required();
  command
      ->add_option("--extra", options->extra,
                   "More pairs for train, repeatable: PREFIX.article.txt and PREFIX.title.txt (or .source and .target)")
      ->take_all();
  command->add_option("--output", options->output, "Folder to make: train.source, train.target, valid.*, test.*")
      ->required();
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer(
      "Example:\n  strata-data import gigaword sumdata --extra news/realnews-newscrawl --output text/headlines\n"
      "  strata-data prepare --input text/headlines --output datasets/headlines --name headlines --vocabulary 32000");
  command->callback([options] { Import(*options); });
}

}  // namespace strata::data
