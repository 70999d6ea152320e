#include "server/base/spec/check_details.h"

#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/spec/spec.h"
#include "server/base/spec/text.h"

namespace strata::base {
namespace {

using nlohmann::json;

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// Fields of other tasks must stand at their defaults.
absl::Status CheckTasks(const v1::TrialSpec& spec) {
  const std::string& kind = spec.task().kind();
  for (const Field& of_first : AllFields()) {
    const auto& tasks = of_first.rule->tasks();
    if (tasks.empty() || std::find(tasks.begin(), tasks.end(), kind) != tasks.end()) continue;
    for (int item = 0; item < (of_first.item < 0 ? 1 : spec.evaluate_size()); ++item) {
      const std::string path = of_first.item < 0
                                   ? of_first.path
                                   : absl::StrCat(of_first.section, "[", item, "].", of_first.descriptor->name());
      const std::string value = *GetField(spec, path);
      if (value == of_first.rule->default_value()) continue;
      return Refuse(path, " is ", value, ", but it belongs to ", absl::StrJoin(tasks, " and "), ", and task.kind is ",
                    kind, ". Leave it out, or change task.kind.");
    }
  }
  return absl::OkStatus();
}

// What an option takes, as part of a sentence.
std::string OptionAccepts(const json& option) {
  if (option.contains("choices"))
    return absl::StrCat("one of ", absl::StrJoin(option["choices"].get<std::vector<std::string>>(), ", "));
  const std::string automatic = option.value("default", "");
  return absl::StrCat("a number from ", ShortestNumber(option.value("min", 0.0)), " to ",
                      ShortestNumber(option.value("max", 0.0)), automatic == "auto" ? ", or auto" : "");
}

bool OptionTakes(const json& option, const std::string& value) {
  if (option.contains("choices")) {
    const auto choices = option["choices"].get<std::vector<std::string>>();
    return std::find(choices.begin(), choices.end(), value) != choices.end();
  }
  if (value == option.value("default", "")) return true;
  double number = 0;
  return absl::SimpleAtod(value, &number) && number >= option.value("min", 0.0) && number <= option.value("max", 0.0);
}

absl::Status CheckSchemeOptions(const v1::TrialSpec& spec, const json& scheme) {
  const std::string& name = spec.model().scheme();
  const json options = scheme.is_object() && scheme.contains("options") ? scheme["options"] : json::array();
  std::vector<std::string> names;
  for (const json& option : options) names.push_back(option.value("name", ""));
  for (const auto& [key, value] : PairsOf(spec.model().scheme_options())) {
    const auto found = std::find(names.begin(), names.end(), key);
    if (found == names.end()) {
      const std::string nearest = Nearest(key, names);
      return Refuse("model.scheme_options: ", Quoted(key), " is no option of the scheme ", name, ". ",
                    names.empty() ? "It has none: leave model.scheme_options out."
                                  : absl::StrCat(nearest.empty() ? "" : absl::StrCat("Do you mean ", nearest, "? "),
                                                 "There are ", absl::StrJoin(names, ", "), "."));
    }
    const json& option = options[static_cast<size_t>(found - names.begin())];
    if (OptionTakes(option, value)) continue;
    return Refuse("model.scheme_options: ", key, " is ", Quoted(value), ", but the scheme ", name, " takes ",
                  OptionAccepts(option), ".");
  }
  return absl::OkStatus();
}

absl::Status CheckCutoffs(const v1::TrialSpec& spec) {
  const std::string& text = spec.model().adaptive_cutoffs();
  int64_t before = 0;
  for (const std::string& item : ItemsOf(text)) {
    int64_t cutoff = 0;
    if (!absl::SimpleAtoi(item, &cutoff) || cutoff <= before) {
      return Refuse("model.adaptive_cutoffs: ", Quoted(text), " does not ascend at ", item,
                    ". Write the first ids of the further bands in rising order, as in 20000,60000.");
    }
    before = cutoff;
  }
  if (!text.empty() && spec.train().label_smoothing() != 0) {
    return Refuse(
        "train.label_smoothing is ", ShortestNumber(spec.train().label_smoothing()), ", but model.adaptive_cutoffs is ",
        text, ": an adaptive softmax has no probability of every word to smooth over. Set train.label_smoothing to 0.");
  }
  return absl::OkStatus();
}

absl::Status CheckLayers(const v1::TrialSpec& spec) {
  const auto depth = ParseDepth(spec.model().depth());
  if (!depth.ok()) return depth.status();
  const int deepest = std::max(depth->encoder, depth->decoder);
  for (const std::string& item : ItemsOf(spec.diagnostics().location_layers())) {
    int64_t layer = 0;
    if (item == "last" || (absl::SimpleAtoi(item, &layer) && layer <= deepest)) continue;
    return Refuse("diagnostics.location_layers: there is no layer ", item, " in the depth ", spec.model().depth(),
                  ". Write layers from 1 to ", deepest, ", or last.");
  }
  return absl::OkStatus();
}

absl::Status CheckRanks(const v1::TrialSpec& spec) {
  const int ranks = spec.resources().ranks(), least = spec.resources().min_ranks();
  if (least > ranks) {
    return Refuse("resources.min_ranks is ", least, ", but resources.ranks is ", ranks,
                  ": the fewest are more than the most. Lower the one or raise the other.");
  }
  const int batch = spec.train().update_frequency() * ranks;
  if (least == 0 || batch % least == 0) return absl::OkStatus();
  std::vector<std::string> fit;
  for (int i = 1; i <= ranks; ++i) {
    if (batch % i == 0) fit.push_back(absl::StrCat(i));
  }
  return Refuse("resources.min_ranks is ", least, ", which does not divide the global batch of ", batch,
                " (train.update_frequency ", spec.train().update_frequency(), " x resources.ranks ", ranks,
                "). Use one of ", absl::StrJoin(fit, ", "), ", or change train.update_frequency.");
}

absl::Status CheckWeights(const v1::TrialSpec& spec, const std::string& path, const v1::EvaluateSpec& score) {
  if (score.checkpoint() != "average") return absl::OkStatus();
  const int kept = spec.train().keep_epoch_checkpoints();
  if (kept == 0) {
    return Refuse(
        path, ".checkpoint is average, but train.keep_epoch_checkpoints is 0: no epoch's weights are kept. Set it to ",
        score.average_last(), ", or write checkpoint: final.");
  }
  if (score.average_last() > kept) {
    return Refuse(path, ".average_last is ", score.average_last(), ", but train.keep_epoch_checkpoints is ", kept,
                  ". Raise the one or lower the other.");
  }
  return absl::OkStatus();
}

absl::Status CheckPenalties(const std::string& path, const v1::EvaluateSpec& score) {
  const std::vector<std::string> splits = ItemsOf(score.split());
  for (const auto& [split, text] : PairsOf(score.length_penalties())) {
    if (std::find(splits.begin(), splits.end(), split) == splits.end()) {
      return Refuse(path, ".length_penalties names the split ", split, ", but ", path, ".split is ", score.split(),
                    ". Name one of those.");
    }
    double penalty = 0;
    if (!absl::SimpleAtod(text, &penalty) || !(penalty >= -10 && penalty <= 10)) {
      return Refuse(path, ".length_penalties: ", Quoted(text), " of ", split, " is not a number from -10 to 10.");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckScore(const v1::TrialSpec& spec, int index) {
  const v1::EvaluateSpec& score = spec.evaluate(index);
  const std::string path = absl::StrCat("evaluate[", index, "]");
  if (score.n_best() > score.beam()) {
    return Refuse(path, ".n_best is ", score.n_best(), ", but ", path, ".beam is ", score.beam(),
                  ": a beam holds no more hypotheses than its size. Raise the one or lower the other.");
  }
  const int window = score.window_tokens() > 0 ? score.window_tokens() : spec.train().block_tokens();
  if (score.context_tokens() >= window) {
    return Refuse(path, ".context_tokens is ", score.context_tokens(), ", but the window has ", window, " tokens (",
                  score.window_tokens() > 0 ? absl::StrCat(path, ".window_tokens") : "train.block_tokens",
                  "): none would be scored. Lower the one or raise the other.");
  }
  if (absl::Status status = CheckWeights(spec, path, score); !status.ok()) return status;
  return CheckPenalties(path, score);
}

}  // namespace

absl::Status CheckDetails(const v1::TrialSpec& spec, const json& scheme) {
  for (const auto check : {CheckTasks, CheckCutoffs, CheckLayers, CheckRanks}) {
    if (absl::Status status = check(spec); !status.ok()) return status;
  }
  if (!scheme.is_null()) {
    if (absl::Status status = CheckSchemeOptions(spec, scheme); !status.ok()) return status;
  }
  for (int i = 0; i < spec.evaluate_size(); ++i) {
    if (absl::Status status = CheckScore(spec, i); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace strata::base
