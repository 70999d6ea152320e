// WMT as plain text: train.en and train.de (any prefix), and the newstests as plain text or as the SGML files of WMT's
// dev archive (newstest2014-src.en.sgm, newstest2014-ref.de.sgm; WMT's names of 2014 and later carry the pair as well).
#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "model/data/shard.h"
#include "model/metrics/text.h"
#include "worker/data/imported_text.h"
#include "worker/data/importers.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using model::DataError;

struct Options : ImportOptions {
  std::string source = "en", target = "de", train = "train", valid = "newstest2013";
  std::vector<std::string> tests;
};

// The value of an attribute within a tag; empty if it has none.
std::string Attribute(std::string_view tag, const std::string& name) {
  for (const char quote : {'"', '\''}) {
    const size_t at = tag.find(name + "=" + quote);
    if (at == std::string_view::npos) continue;
    const size_t begin = at + name.size() + 2;
    return std::string(tag.substr(begin, tag.find(quote, begin) - begin));
  }
  return "";
}

std::string Unescaped(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    bool found = false;
    for (const auto& [name, character] : std::initializer_list<std::pair<std::string_view, char>>{
             {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}) {
      if (!text.substr(at).starts_with(name)) continue;
      plain += character;
      at += name.size();
      found = true;
      break;
    }
    if (!found) plain += text[at++];
  }
  return plain;
}

std::string OneSpaced(std::string_view text) {
  std::string line;
  for (const std::string_view word : model::SplitAtSpaces(text)) line.append(line.empty() ? "" : " ").append(word);
  return line;
}

struct Segment {
  std::string key;  // document and number
  std::string text;
};

std::vector<Segment> ReadSgml(const std::filesystem::path& path) {
  const std::string all = Joined(TextLines(path).lines());
  std::vector<Segment> segments;
  std::string document;
  for (size_t at = all.find('<'); at != std::string::npos; at = all.find('<', at + 1)) {
    const size_t close = all.find('>', at);
    if (close == std::string::npos) break;
    const std::string_view tag = std::string_view(all).substr(at + 1, close - at - 1);
    if (tag.starts_with("doc ") || tag.starts_with("DOC ")) document = Attribute(tag, "docid");
    if (!tag.starts_with("seg ")) continue;
    const size_t end = all.find("</seg>", close);
    if (end == std::string::npos)
      throw DataError(path.string() + " is cut off: a <seg> has no </seg>. Fetch it again.");
    const std::string text = OneSpaced(std::string_view(all).substr(close + 1, end - close - 1));
    segments.push_back({document + " " + Attribute(tag, "id"), Unescaped(text)});
    at = end;
  }
  if (segments.empty()) throw DataError(path.string() + " holds no <seg id=...>. Is this a test set of WMT?");
  return segments;
}

struct TestSet {
  std::filesystem::path source_file, target_file;
  std::vector<std::string> source, target;
};

TestSet ReadSgmlPair(const std::filesystem::path& source, const std::filesystem::path& target) {
  TestSet set{source, target, {}, {}};
  std::map<std::string, std::string> references;
  for (Segment& segment : ReadSgml(target)) {
    if (!references.emplace(segment.key, std::move(segment.text)).second) {
      throw DataError(target.string() + " has segment '" + segment.key + "' twice. Give a file with one reference.");
    }
  }
  for (Segment& segment : ReadSgml(source)) {
    const auto found = references.find(segment.key);
    if (found == references.end()) {
      throw DataError(source.string() + " has segment '" + segment.key + "', which " + target.string() +
                      " lacks. Give two files of the same test set.");
    }
    set.source.push_back(std::move(segment.text));
    set.target.push_back(found->second);
  }
  ImportedText::ExpectPairs(source, set.source.size(), target, references.size());
  return set;
}

// A test set by its name, from the corpus' folder or its dev and test folders; none if it is not there.
std::optional<TestSet> ReadTest(const Options& o, const std::string& name) {
  const std::string pair = o.source + o.target, reverse = o.target + o.source;
  for (const std::string folder : {"", "dev/", "test/", "test-full/"}) {
    const auto in = [&](const std::vector<std::string>& names) { return FirstOf(o.corpus / folder, names); };
    const auto plain_source = in({name + "." + o.source}), plain_target = in({name + "." + o.target});
    if (plain_source.empty() != plain_target.empty()) {
      throw DataError((plain_source.empty() ? plain_target : plain_source).string() +
                      " stands without its other language. Give both " + name + "." + o.source + " and " + name + "." +
                      o.target + ".");
    }
    if (!plain_source.empty()) {
      TestSet set{plain_source, plain_target, ReadTextLines(plain_source), ReadTextLines(plain_target)};
      ImportedText::ExpectPairs(plain_source, set.source.size(), plain_target, set.target.size());
      return set;
    }
    const std::string src = "-src." + o.source + ".sgm", ref = "-ref." + o.target + ".sgm";
    const auto sgml_source = in({name + src, name + "-" + pair + src, name + "-" + reverse + src});
    const auto sgml_target = in({name + ref, name + "-" + pair + ref, name + "-" + reverse + ref});
    if (!sgml_source.empty() && !sgml_target.empty()) return ReadSgmlPair(sgml_source, sgml_target);
  }
  return std::nullopt;
}

void Write(const Options& o, const std::string& split, const TestSet& set, ImportedText* text) {
  const std::vector<std::string_view> source(set.source.begin(), set.source.end()),
      target(set.target.begin(), set.target.end());
  text->Add(split, o.source, source);
  text->Add(split, o.target, target);
  text->Note(split, set.source_file);
  text->Note(split, set.target_file);
}

void Import(Options o) {
  if (o.tests.empty()) {
    for (int year = 2010; year <= 2016; ++year) o.tests.push_back("newstest" + std::to_string(year));
  }
  const std::filesystem::path source = NeededFile(o.corpus, {o.train + "." + o.source}, "training text"),
                              target = NeededFile(o.corpus, {o.train + "." + o.target}, "training text");
  const auto missing = [&](const std::string& name) {
    return DataError("There is no " + name + " in " + o.corpus.string() + " (nor in its dev and test): looked for " +
                     name + "." + o.source + " with " + name + "." + o.target + ", and " + name + "-src." + o.source +
                     ".sgm with " + name + "-ref." + o.target +
                     ".sgm. Put it there, or name the test sets that you have with --tests and --valid.");
  };
  ImportedText text(o, "wmt", "translation");
  text.SetLanguages(o.source, o.target);
  {
    const TextLines source_lines(source), target_lines(target);
    ImportedText::ExpectPairs(source, source_lines.size(), target, target_lines.size());
    text.Add("train", o.source, source_lines.lines());
    text.Add("train", o.target, target_lines.lines());
  }
  text.Note("train", source);
  text.Note("train", target);
  const std::optional<TestSet> valid = ReadTest(o, o.valid);
  if (!valid) throw missing(o.valid);
  Write(o, "valid", *valid, &text);
  for (const std::string& name : o.tests) {
    const std::optional<TestSet> test = ReadTest(o, name);
    if (!test) throw missing(name);
    Write(o, name, *test, &text);
  }
  text.Commit();
}

}  // namespace

void AddImportWmt(CLI::App& import) {
  auto options = std::make_shared<Options>();
  CLI::App* command = import.add_subcommand("wmt", "WMT: train.en, train.de and newstests, plain or SGML");
  command->add_option("corpus", options->corpus, "Folder of the corpus")->required();
  command->add_option("--source-language", options->source, "Such as en")->capture_default_str();
  command->add_option("--target-language", options->target, "Such as de")->capture_default_str();
  command->add_option("--train", options->train, "Training text's name before .LANGUAGE")->capture_default_str();
  command->add_option("--valid", options->valid, "Test set for validation")->capture_default_str();
  command->add_option("--tests", options->tests, "Test sets (default: newstest2010 to newstest2016)")->delimiter(',');
  command->add_option("--output", options->output, "Folder to make: train.*, valid.*, newstest2010.* and so on")
      ->required();
  command->add_flag("--force", options->force, "Replace --output if it exists");
  command->footer(
      "Example:\n  strata-data import wmt corpora/wmt16 --output text/wmt-en-de\n"
      "  strata-data prepare --input text/wmt-en-de --output datasets/wmt-en-de --name wmt-en-de --vocabulary 32000");
  command->callback([options] { Import(*options); });
}

}  // namespace strata::data
