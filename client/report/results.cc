#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/cell.h"
#include "client/report/report.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

std::vector<const TrialResult*> CellOf(const Report& report, const std::string& label, const std::string& depth) {
  std::vector<const TrialResult*> seeds;
  for (const ResultCell& cell : Cells(report)) {
    if (cell.label == label && cell.depth == depth) seeds.insert(seeds.end(), cell.seeds.begin(), cell.seeds.end());
  }
  return seeds;
}

// Whether a score is one of several splits of its evaluation, whose average stands beside it.
bool IsPart(const TrialResult& result, const Score& score) {
  return !score.split.empty() && std::any_of(result.scores.begin(), result.scores.end(), [&](const Score& other) {
    return other.job == score.job && other.metric == score.metric && other.split.empty();
  });
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
      if (std::isfinite(score.value) && !IsPart(*result, score))
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

Document ReportDocument(const Report& report) {
  Document document;
  document.title = ShortName(report.experiment.name());
  DocumentTable& table = document.tables.emplace_back();
  table.columns = {"Best validation NLL"};
  table.columns.insert(table.columns.end(), report.depths.begin(), report.depths.end());
  for (const std::string& label : report.labels) {
    std::vector<DocumentCell>& row = table.rows.emplace_back();
    row.push_back({label});
    for (const std::string& depth : report.depths) {
      const std::string nll = NllCell(report, label, depth), score = ScoreCell(report, label, depth);
      const bool failed = nll.rfind("Training failed", 0) == 0;
      row.push_back({absl::StrCat(nll, score.empty() ? "" : absl::StrCat("  [", score, "]")),
                     failed ? CellKind::kFailed : CellKind::kText});
    }
  }
  const std::string unigram = UnigramLevel(report);
  table.notes.push_back(
      absl::StrCat("Nats a target token", unigram.empty() ? "." : absl::StrCat("; unigram level ", unigram, ".")));
  if (ScoresAreEarly(report)) {
    table.notes.push_back(absl::StrCat("Scores in brackets are of fewer than ", FormatCount(kUpdatesForScores),
                                       " updates: too short a training to mean anything."));
  }
  return document;
}

}  // namespace strata::client
