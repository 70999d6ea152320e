#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/paper_document.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

bool SameValue(const std::string& a, const std::string& b) {
  double x = 0, y = 0;
  return absl::SimpleAtod(a, &x) && absl::SimpleAtod(b, &y) ? x == y : a == b;
}

// Table 7's value of a setting for a task; "" if it has no such column.
std::string PaperValue(const PaperSetting& setting, const std::string& task) {
  const std::vector<std::string> tasks = PaperSettingTasks();
  const auto column = std::find(tasks.begin(), tasks.end(), task);
  return column == tasks.end() ? "" : setting.values[static_cast<size_t>(column - tasks.begin())];
}

// How the dataset made text into tokens, by its manifest.
std::string TextOf(const Report& report, const std::string& dataset) {
  const auto found = report.datasets.find(dataset);
  if (found == report.datasets.end()) return "unknown: the dataset is not registered";
  const auto manifest = nlohmann::json::parse(found->second.manifest(), nullptr, false);
  if (!manifest.is_object() || !manifest.contains("vocabulary")) return "unknown: no manifest";
  const auto& vocabulary = manifest["vocabulary"];
  static const std::map<std::string, std::string>& kinds =
      *new std::map<std::string, std::string>{{"bpe", "SentencePiece BPE"},
                                              {"unigram", "SentencePiece unigram"},
                                              {"char", "SentencePiece characters"},
                                              {"words", "words as given"},
                                              {"split", "pre-tokenised and BPE-split as given"}};
  const std::string kind = vocabulary.value("kind", "bpe");
  const auto name = kinds.find(kind);
  std::string text = absl::StrCat(name == kinds.end() ? kind : name->second, ", ",
                                  FormatCount(vocabulary.value("size", 0)), " pieces");
  if (manifest.contains("detokeniser") && manifest["detokeniser"].is_string())
    absl::StrAppend(&text, ", detokenised by ", manifest["detokeniser"].get<std::string>());
  if (manifest.contains("features")) {
    const auto& features = manifest["features"];
    absl::StrAppend(&text, "; ", features.value("bins", 0), " log-mel bins, CMVN ",
                    features.value("cmvn", std::string("none")));
  }
  return text;
}

std::string DatasetOf(const Report& report, const v1::Trial& trial) {
  const std::string& name = trial.spec().task().dataset();
  return absl::StrCat(
      name, trial.dataset_digest().empty() ? "" : absl::StrCat(" (", trial.dataset_digest().substr(0, 8), ")"));
}

// Which of the two recipes, and whether Table 7's values stand.
std::string RecipeOf(const v1::TrialSpec& spec) {
  const bool released = spec.model().rescale_init() && spec.model().word_dropout() > 0;
  std::vector<std::string> others;
  for (const PaperSetting& setting : PaperSettings()) {
    const std::string paper = PaperValue(setting, spec.task().kind());
    if (setting.path.empty() || paper.empty()) continue;
    const std::string ours = *base::GetField(spec, setting.path);
    if (setting.path == "train.schedule" && ours == "scheme") continue;
    if (!SameValue(ours, paper)) others.push_back(setting.path.substr(setting.path.find('.') + 1));
  }
  const std::string name = released ? "released" : "paper";
  return others.empty() ? name : absl::StrCat(name, ", but ", absl::StrJoin(others, ", "));
}

std::string EvaluationOf(const v1::TrialSpec& spec) {
  std::vector<std::string> all;
  for (const v1::EvaluateSpec& evaluation : spec.evaluate()) {
    std::string text =
        absl::StrCat(evaluation.metric(), " of ", evaluation.split(), ", ", evaluation.checkpoint(), " weights");
    if (evaluation.checkpoint() == "average") absl::StrAppend(&text, " (last ", evaluation.average_last(), " epochs)");
    if (evaluation.metric() == "perplexity") {
      if (evaluation.window_tokens() > 0)
        absl::StrAppend(&text, ", windows of ", evaluation.window_tokens(), " with ", evaluation.context_tokens(),
                        " of context");
    } else {
      absl::StrAppend(&text, ", beam ", evaluation.beam(), ", length penalty ", evaluation.length_penalty());
      if (!evaluation.length_penalties().empty()) absl::StrAppend(&text, " (", evaluation.length_penalties(), ")");
    }
    if (evaluation.sentences() > 0) absl::StrAppend(&text, ", first ", evaluation.sentences(), " lines");
    all.push_back(text);
  }
  return absl::StrJoin(all, "; ");
}

// Values of one field over the cells: one value, or each with its cells.
std::string ValuesOf(const std::vector<ResultCell>& cells, const std::string& path) {
  std::vector<std::pair<std::string, std::vector<std::string>>> values;
  for (const ResultCell& cell : cells) {
    const std::string value = *base::GetField(cell.seeds[0]->trial.spec(), path);
    auto found = std::find_if(values.begin(), values.end(), [&](const auto& entry) { return entry.first == value; });
    if (found == values.end()) found = values.insert(values.end(), {value, {}});
    found->second.push_back(absl::StrCat(cell.label, " ", cell.depth));
  }
  if (values.size() == 1) return values[0].first.empty() ? "none" : values[0].first;
  return absl::StrJoin(values, "; ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first.empty() ? "none" : entry.first, " (", absl::StrJoin(entry.second, ", "), ")");
  });
}

// Fields that a recipe is made of and that the paper's tables are silent about: always said.
const std::set<std::string> kAlwaysSaid = {"model.dropout",           "model.word_dropout",    "model.rescale_init",
                                           "model.depth_scaled_init", "model.scheme_options",  "train.clip_norm",
                                           "train.update_frequency",  "train.label_smoothing", "resources.ranks"};

}  // namespace

DocumentTable BehindTable(const std::vector<ResultCell>& cells, const Report& report) {
  DocumentTable table;
  table.title = "Behind our cells";
  table.columns = {"Cell", "Trials", "Task", "Dataset", "Text", "Recipe", "Evaluated"};
  for (const ResultCell& cell : cells) {
    const v1::Trial& trial = cell.seeds[0]->trial;
    std::vector<std::string> trials;
    for (const TrialResult* result : cell.seeds) trials.push_back(ShortName(result->trial.name()));
    table.rows.push_back({{absl::StrCat(cell.label, " ", cell.depth)},
                          {absl::StrJoin(trials, ", ")},
                          {trial.spec().task().kind()},
                          {DatasetOf(report, trial)},
                          {TextOf(report, trial.spec().task().dataset())},
                          {RecipeOf(trial.spec())},
                          {EvaluationOf(trial.spec())}});
  }
  table.notes = {
      "Recipe: paper is Table 7 and no initialisation but the base; released has rescale_init and word dropout; after "
      "\"but\" stand the fields whose values are not Table 7's. The authors' text was Moses tokens and BPE merges."};
  return table;
}

DocumentTable RecipeTable(const std::vector<ResultCell>& cells, const std::string& task) {
  DocumentTable table;
  table.title = "Recipe";
  table.columns = {"Field", "Ours", "Table 7"};
  std::map<std::string, std::string> paper;
  for (const PaperSetting& setting : PaperSettings()) paper[setting.path] = PaperValue(setting, task);
  for (const base::Field& field : base::AllFields()) {
    const std::string& path = field.path;
    if (path == "model.scheme" || path == "model.depth" || field.section == "task" || !DecidesResult(field)) continue;
    const std::string ours = ValuesOf(cells, path);
    const bool is_default =
        SameValue(ours, field.rule->default_value()) || (ours == "none" && field.rule->default_value().empty());
    if (is_default && paper.count(path) == 0 && kAlwaysSaid.count(path) == 0) continue;
    table.rows.push_back({{path}, {ours}, {paper.count(path) > 0 ? paper[path] : ""}});
  }
  table.notes = {
      "Table 7 is the same for every scheme but T-Fixup, which had the values of its own paper; speech counts frames."};
  return table;
}

}  // namespace strata::client
