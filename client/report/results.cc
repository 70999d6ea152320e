#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/report.h"
#include "client/table.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

std::vector<const TrialResult*> CellOf(const Report& report, const std::string& label, const std::string& depth) {
  std::vector<const TrialResult*> cell;
  for (const TrialResult& result : report.trials) {
    if (result.label == label && result.trial.spec().model().depth() == depth) cell.push_back(&result);
  }
  return cell;
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Deviation(const std::vector<double>& values) {  // of a sample
  const double mean = Mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

}  // namespace

std::string RuleOf(const v1::Trial& trial) {
  const auto evidence = nlohmann::json::parse(trial.evidence(), nullptr, false);
  return evidence.is_object() && evidence.contains("rule") && evidence["rule"].is_string()
             ? evidence["rule"].get<std::string>()
             : "";
}

std::string NllCell(const Report& report, const std::string& label, const std::string& depth) {
  const auto cell = CellOf(report, label, depth);
  std::vector<double> values;
  std::set<std::string> rules, others;
  size_t failed = 0;
  for (const TrialResult* result : cell) {
    const v1::Trial& trial = result->trial;
    if (trial.state() == v1::JOB_STATE_DIVERGED) {
      ++failed;
      if (const std::string rule = RuleOf(trial); !rule.empty()) rules.insert(rule);
    } else if (trial.state() == v1::JOB_STATE_SUCCEEDED && trial.has_best_nll() && std::isfinite(trial.best_nll())) {
      values.push_back(trial.best_nll());
    } else {
      others.insert(StateName(trial.state()));
    }
  }
  if (cell.empty()) return "";
  const std::string failure =
      absl::StrCat("Training failed (DIVERGED", rules.empty() ? "" : ": ", absl::StrJoin(rules, ", "), ")");
  std::vector<std::string> parts;
  if (values.size() == 1) parts.push_back(absl::StrFormat("%.3f", values[0]));
  if (values.size() > 1)
    parts.push_back(absl::StrFormat("%.3f ± %.3f (%d seeds)", Mean(values), Deviation(values), values.size()));
  if (failed > 0)
    parts.push_back(failed == 1 && cell.size() == 1
                        ? failure
                        : absl::StrCat(failure, " in ", failed, " of ", cell.size(), " seeds"));
  if (!others.empty()) parts.push_back(absl::StrJoin(others, ", "));
  return absl::StrJoin(parts, "; ");
}

std::string ScoreCell(const Report& report, const std::string& label, const std::string& depth) {
  std::map<std::string, std::vector<double>> scores;
  for (const TrialResult* result : CellOf(report, label, depth)) {
    if (result->trial.state() == v1::JOB_STATE_DIVERGED) continue;
    for (const Score& score : result->scores) {
      if (std::isfinite(score.value))
        scores[absl::StrCat(score.metric, score.job == "evaluate-1" ? "" : " " + score.job)].push_back(score.value);
    }
  }
  return absl::StrJoin(scores, ", ", [](std::string* out, const auto& score) {
    absl::StrAppend(out, score.first, " ", absl::StrFormat("%.2f", Mean(score.second)));
  });
}

bool ScoresAreEarly(const Report& report) {
  return std::any_of(report.trials.begin(), report.trials.end(), [](const TrialResult& result) {
    return !result.scores.empty() && result.trial.updates_done() < kUpdatesForScores;
  });
}

std::string UnigramLevel(const Report& report) {
  std::set<std::string> levels;
  for (const TrialResult& result : report.trials) {
    if (result.trial.has_unigram_nll()) levels.insert(FormatNll(true, result.trial.unigram_nll()));
  }
  if (levels.empty()) return "";
  return levels.size() == 1 ? *levels.begin() : absl::StrCat(*levels.begin(), " to ", *levels.rbegin());
}

std::string ReportText(const Report& report) {
  std::vector<std::string> titles = {"Best validation NLL"};
  titles.insert(titles.end(), report.depths.begin(), report.depths.end());
  Table table(titles);
  for (const std::string& label : report.labels) {
    std::vector<std::string> row = {label};
    for (const std::string& depth : report.depths) {
      const std::string score = ScoreCell(report, label, depth);
      row.push_back(absl::StrCat(NllCell(report, label, depth), score.empty() ? "" : absl::StrCat("  [", score, "]")));
    }
    table.Add(row);
  }
  std::string text = table.Text();
  const std::string unigram = UnigramLevel(report);
  absl::StrAppend(&text, "Nats a target token", unigram.empty() ? "." : absl::StrCat("; unigram level ", unigram, "."),
                  "\n");
  if (ScoresAreEarly(report)) {
    absl::StrAppend(&text, "Scores in brackets are of fewer than ", FormatCount(kUpdatesForScores),
                    " updates: too short a training to mean anything.\n");
  }
  return text;
}

}  // namespace strata::client
