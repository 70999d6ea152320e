#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/command.h"
#include "client/table.h"
#include "model/metrics/text.h"
#include "model/metrics/text_scores.h"
#include "nlohmann/json.hpp"
#include "server/base/utf8.h"

namespace strata::client {
namespace {

struct ScoreOptions {
  std::string metric, hypotheses, references;
};

absl::StatusOr<std::vector<std::string>> ReadTextLines(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return absl::NotFoundError(absl::StrCat(path, ": there is no such file."));
  if (std::filesystem::is_directory(path, error))
    return absl::InvalidArgumentError(absl::StrCat(path, " is a folder. Name a file of text."));
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file && !file.eof()) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read."));
  std::vector<std::string> lines;
  for (const std::string_view line : model::Lines(text)) {
    lines.emplace_back(line);
    for (size_t at = 0; at < line.size();) {
      const int length = base::Utf8Length(lines.back(), at);
      if (length < 1) {
        return absl::InvalidArgumentError(absl::StrCat(path, ":", lines.size(), ": byte ", at + 1,
                                                       " of the line is not UTF-8. Convert the file, e.g. with "
                                                       "'iconv -f LATIN1 -t UTF-8'."));
      }
      at += static_cast<size_t>(length);
    }
  }
  return lines;
}

absl::Status Score(const Context& context, const ScoreOptions& options) {
  const auto hypotheses = ReadTextLines(options.hypotheses);
  if (!hypotheses.ok()) return hypotheses.status();
  const auto references = ReadTextLines(options.references);
  if (!references.ok()) return references.status();
  if (hypotheses->size() != references->size()) {
    return absl::InvalidArgumentError(absl::StrCat(options.hypotheses, " has ", hypotheses->size(), " lines, but ",
                                                   options.references, " has ", references->size(),
                                                   ". Give one reference a hypothesis; lines end at \\n only."));
  }
  if (hypotheses->empty())
    return absl::InvalidArgumentError(absl::StrCat(options.hypotheses, " is empty. Give at least one line."));
  const model::TextScores scores = model::ScoreTexts(options.metric, *hypotheses, *references);
  const std::string signature = model::MetricSignature(options.metric);
  nlohmann::ordered_json json;
  const std::vector<std::string>& values = model::ValuesOf(options.metric);
  for (const std::string& value : values) json[values.size() == 1 ? "score" : value] = scores.values.at(value);
  if (context.json()) {
    json["metric"] = options.metric;
    json["lines"] = hypotheses->size();
    json["signature"] = signature;
    for (const auto& [name, value] : scores.values) {
      if (std::find(values.begin(), values.end(), name) == values.end()) json[name] = value;
    }
    std::printf("%s\n", json.dump(1).c_str());
    return absl::OkStatus();
  }
  Table table({"SCORE", ">PERCENT"});
  for (const std::string& value : values) table.Add({value, nlohmann::json(scores.values.at(value)).dump()});
  std::printf("%s%zu lines, %s\n", table.Text().c_str(), hypotheses->size(), signature.c_str());
  return absl::OkStatus();
}

}  // namespace

void AddScore(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "score",
                 "Score a file of hypotheses against a file of references, in percent, as evaluations do. Needs no "
                 "coordinator.",
                 {"strata score --metric bleu --hyp hypotheses.txt --ref test.de",
                  "strata score --metric rouge --hyp headlines.txt --ref test.headline --output json"});
  static ScoreOptions options;
  const std::vector<std::string> metrics = model::TextMetrics();
  command->add_option("--metric", options.metric, absl::StrJoin(metrics, ", "))
      ->required()
      ->check(CLI::IsMember(metrics));
  command->add_option("--hyp", options.hypotheses, "Hypotheses, one a line, UTF-8")->required()->type_name("FILE");
  command->add_option("--ref", options.references, "References, line by line")->required()->type_name("FILE");
  OnRun(command, context, [&context] { return Score(context, options); });
}

}  // namespace strata::client
