#include "client/report/paper.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

extern "C" const char strata_paper_json[];
extern "C" const unsigned long strata_paper_json_size;

namespace strata::client {
namespace {

using Json = nlohmann::ordered_json;

const Json& Paper() {
  static const Json& paper = *new Json(Json::parse(std::string(strata_paper_json, strata_paper_json_size)));
  return paper;
}

// The metric and the task behind the paper's name of a score.
struct Meaning {
  std::string metric, task;
};
Meaning MeaningOf(const std::string& name) {
  static const std::map<std::string, Meaning>& meanings = *new std::map<std::string, Meaning>{
      {"sacrebleu", {"bleu", "translation"}},
      {"rouge_f1", {"rouge", "headline"}},
      {"perplexity", {"perplexity", "language_model"}},
      {"wer", {"wer", "speech"}},
  };
  const auto found = meanings.find(name);
  return found == meanings.end() ? Meaning{} : found->second;
}

PaperRow ReadRow(const Json& json) {
  PaperRow row;
  row.depth = json.value("depth", "");
  row.scheme = json.value("scheme", "");
  row.task = json.value("task", "");
  row.values = json.value("values", std::vector<double>());
  row.failed = json.value("failed", false);
  row.suspect = json.value("suspect", "");
  return row;
}

// Table 7's values as text that a spec's field gives for them; lists joined.
std::string SettingText(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

}  // namespace

std::string PaperSource() { return Paper()["source"]; }

std::vector<std::string> PaperNames() {
  std::vector<std::string> names;
  for (const char* kind : {"tables", "figures"}) {
    for (const auto& [name, value] : Paper()[kind].items()) names.push_back(name);
  }
  return names;
}

absl::Status CheckPaperName(const std::string& name) {
  const std::vector<std::string> names = PaperNames();
  if (std::find(names.begin(), names.end(), name) != names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--paper: \"", name,
                                                 "\" is no table or figure of the paper that we have. There are ",
                                                 absl::StrJoin(names, ", "), "."));
}

PaperTable FindPaperTable(const std::string& name) {
  const Json& json = Paper()["tables"][name];
  PaperTable table;
  table.name = name;
  table.caption = json["caption"];
  const Meaning meaning = MeaningOf(json.value("metric", ""));
  table.metric = meaning.metric;
  table.task = meaning.task;
  table.columns = json["columns"].get<std::vector<std::string>>();
  table.in_source = json["rows"].is_array();
  if (table.in_source) {
    for (const Json& row : json["rows"]) table.rows.push_back(ReadRow(row));
    return table;
  }
  for (const std::string depth : json["cells"]["depths"]) {
    for (const std::string scheme : json["cells"]["schemes"]) {
      PaperRow& row = table.rows.emplace_back();
      row.depth = depth;
      row.scheme = scheme;
    }
  }
  return table;
}

PaperFigure FindPaperFigure(const std::string& name) {
  const Json& json = Paper()["figures"][name];
  PaperFigure figure;
  figure.name = name;
  figure.shows = json["shows"];
  figure.findings = json.value("findings", std::vector<std::string>());
  if (figure.shows.find(':') == std::string::npos) {  // a list of depths follows a colon
    for (const char* depth : {"18L-18L", "36L-36L", "6L-6L"}) {
      if (figure.depth.empty() && absl::StrContains(figure.shows, depth)) figure.depth = depth;
    }
    if (absl::StrContains(figure.shows, "as figure 4")) figure.depth = "18L-18L";
  }
  return figure;
}

std::vector<std::string> PaperSettingTasks() {
  return Paper()["tables"]["table7"]["columns"].get<std::vector<std::string>>();
}

std::vector<PaperSetting> PaperSettings() {
  const std::map<std::string, std::string> paths = {
      {"model_dim", "model.dim"},         {"ffn_dim", "model.ffn_dim"},
      {"attention_heads", "model.heads"}, {"learning_rate", "train.learning_rate"},
      {"schedule", "train.schedule"},     {"warmup_updates", "train.warmup"},
      {"max_updates", "train.updates"},   {"max_tokens_per_gpu", "train.max_tokens"},
  };
  std::vector<PaperSetting> settings;
  for (const auto& [name, values] : Paper()["tables"]["table7"]["rows"].items()) {
    if (name == "adam_betas") {
      for (const int beta : {0, 1}) {
        PaperSetting& setting = settings.emplace_back();
        setting.name = absl::StrCat("adam_beta", beta + 1);
        setting.path = absl::StrCat("train.", setting.name);
        for (const Json& value : values) setting.values.push_back(SettingText(value[beta]));
      }
      continue;
    }
    PaperSetting& setting = settings.emplace_back();
    setting.name = name;
    const auto path = paths.find(name);
    setting.path = path == paths.end() ? "" : path->second;
    for (const Json& value : values) setting.values.push_back(SettingText(value));
  }
  return settings;
}

}  // namespace strata::client
