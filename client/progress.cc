#include "client/progress.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/table.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

constexpr size_t kBarWidth = 20;

const v1::Job* Find(const v1::Trial& trial, v1::JobKind kind, bool live) {
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() == kind && (!live || !IsFinal(job.state()))) return &job;
  }
  return nullptr;
}

// Seconds to the end of the training; negative if unknown.
double SecondsLeft(const v1::Trial& trial, absl::Time now) {
  if (trial.state() != v1::JOB_STATE_RUNNING) return -1;
  if (trial.estimated_end_time().seconds() > 0) {
    return std::max(0.0, absl::ToDoubleSeconds(absl::FromUnixSeconds(trial.estimated_end_time().seconds()) - now));
  }
  if (trial.seconds_per_update() > 0) return trial.seconds_per_update() * (trial.updates() - trial.updates_done());
  return -1;
}

double Fraction(const v1::Trial& trial) {
  if (trial.state() == v1::JOB_STATE_SUCCEEDED) return 1;
  return trial.updates() > 0 ? std::clamp(static_cast<double>(trial.updates_done()) / trial.updates(), 0.0, 1.0) : 0;
}

const char* Color(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_RUNNING:
      return "\033[36m";
    case v1::JOB_STATE_DIVERGED:
      return "\033[33m";
    case v1::JOB_STATE_FAILED:
      return "\033[1;31m";
    case v1::JOB_STATE_SUCCEEDED:
      return "\033[32m";
    default:
      return "\033[2m";
  }
}

bool Done(const v1::Trial& trial) {
  return IsFinal(trial.state()) && Find(trial, v1::JOB_KIND_EVALUATE, /*live=*/true) == nullptr;
}

std::string TrialLine(const v1::Experiment& experiment, const v1::Trial& trial, absl::Time now, size_t label_width,
                      bool color) {
  const std::string label = CellLabel(experiment, trial);
  const double left = SecondsLeft(trial, now);
  const std::string bar = Bar(Fraction(trial), kBarWidth);
  std::string line = absl::StrFormat("%-5s%s%s  ", LastPart(trial.name()), label,
                                     std::string(label_width - std::min(label_width, DisplayWidth(label)), ' '));
  absl::StrAppend(&line, color ? Color(trial.state()) : "", "▕", bar, "▏", color ? "\033[0m" : "");
  if (trial.updates() > 0) {
    absl::StrAppend(&line, absl::StrFormat(" %6d/%d  nll %-6s", trial.updates_done(), trial.updates(),
                                           FormatNll(trial.has_best_nll(), trial.best_nll())));
  }
  absl::StrAppend(&line, "  ");
  if (left >= 0) absl::StrAppend(&line, "ETA ", FormatDuration(left), "  ");
  absl::StrAppend(&line, Describe(trial));
  return line;
}

// Cuts a line with colour codes, which take no cells.
std::string FitColored(const std::string& line, size_t width) {
  size_t codes = 0;
  for (size_t at = line.find('\033'); at != std::string::npos; at = line.find('\033', at + 1)) {
    codes += line.find('m', at) - at + 1;
  }
  return Fit(line, width + codes);
}

}  // namespace

std::string Bar(double fraction, size_t width) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<size_t>(std::floor(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(width) * 8));
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  if (eighths % 8 != 0) bar += kEighths[eighths % 8];
  return bar + std::string(width - (eighths + 7) / 8, ' ');
}

std::vector<std::string> FurtherSettings(const v1::Experiment& experiment, const v1::Trial& trial) {
  static const std::set<std::string> kOwnColumns = {"scheme", "model.scheme", "depth", "model.depth", "seed", "train.seed"};
  std::vector<std::string> settings;
  for (const v1::Axis& axis : experiment.spec().axes()) {
    if (kOwnColumns.contains(axis.field())) continue;
    const auto value = base::GetField(trial.spec(), axis.field());
    if (value.ok()) settings.push_back(absl::StrCat(axis.field(), "=", *value));
  }
  return settings;
}

std::string CellLabel(const v1::Experiment& experiment, const v1::Trial& trial) {
  std::vector<std::string> parts = {trial.spec().model().scheme(), trial.spec().model().depth()};
  for (std::string& setting : FurtherSettings(experiment, trial)) parts.push_back(std::move(setting));
  for (const v1::Axis& axis : experiment.spec().axes()) {
    if (axis.field() == "train.seed" && axis.values_size() > 1)
      parts.push_back(absl::StrCat("seed ", trial.spec().train().seed()));
  }
  return absl::StrJoin(parts, " ");
}

std::string Describe(const v1::Trial& trial) {
  const bool probe = Find(trial, v1::JOB_KIND_PROBE, /*live=*/false) != nullptr;
  const v1::Job* train = Find(trial, probe ? v1::JOB_KIND_PROBE : v1::JOB_KIND_TRAIN, /*live=*/false);
  const v1::Job* evaluate = Find(trial, v1::JOB_KIND_EVALUATE, /*live=*/true);
  const std::string reused = trial.reused_from().empty() ? ""
                                                         : absl::StrCat(probe ? " (probed as " : " (trained as ",
                                                                        ShortName(trial.reused_from()), ")");
  switch (trial.state()) {
    case v1::JOB_STATE_QUEUED:
      if (train != nullptr && train->queue_position() > 0)
        return absl::StrCat("queued, place ", train->queue_position());
      return train != nullptr && !train->waiting_for().empty() ? absl::StrCat("queued: ", train->waiting_for())
                                                               : "queued";
    case v1::JOB_STATE_PENDING:
      return "starting";
    case v1::JOB_STATE_RUNNING:
      if (probe) return "probing";
      return train != nullptr && train->phase() == "validate" ? "validating" : "training";
    case v1::JOB_STATE_CANCELLING:
      return "being cancelled";
    case v1::JOB_STATE_SUCCEEDED:
      if (evaluate == nullptr) return absl::StrCat("SUCCEEDED", reused);
      return evaluate->state() == v1::JOB_STATE_QUEUED ? "trained, waits to be evaluated" : "trained, evaluating";
    case v1::JOB_STATE_DIVERGED: {
      const auto evidence = nlohmann::json::parse(trial.evidence(), nullptr, false);
      if (!evidence.is_object() || !evidence.contains("rule") || !evidence["rule"].is_string())
        return absl::StrCat("DIVERGED", reused);
      const std::string at = evidence.contains("update") ? absl::StrCat(" at update ", evidence["update"].dump()) : "";
      return absl::StrCat("DIVERGED (", evidence["rule"].get<std::string>(), at, ")", reused);
    }
    default:
      return absl::StrCat(StateName(trial.state()),
                          train == nullptr || train->cause().empty() ? "" : absl::StrCat(" (", train->cause(), ")"));
  }
}

void Board::Update(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials,
                   std::vector<std::string>* lines) {
  experiment_ = experiment;
  for (const v1::Trial& trial : trials) {
    const auto known =
        std::find_if(trials_.begin(), trials_.end(), [&](const v1::Trial& t) { return t.name() == trial.name(); });
    if (known == trials_.end()) {
      trials_.push_back(trial);
    } else {
      *known = trial;
    }
    const std::string about =
        absl::StrCat(trial.state() == v1::JOB_STATE_QUEUED ? "queued" : Describe(trial), "/",
                     trial.state() == v1::JOB_STATE_RUNNING ? static_cast<int>(Fraction(trial) * 10) : 0);
    std::string& told = told_[trial.name()];
    const bool only_validates = absl::StrContains(about, "validating");
    if (lines != nullptr && about != told && !only_validates) {
      std::string line =
          absl::StrCat(ShortName(trial.name()), " ", CellLabel(experiment, trial), ": ", Describe(trial));
      if (trial.updates() > 0) {
        absl::StrAppend(&line, ", update ", trial.updates_done(), " of ", trial.updates(), ", nll ",
                        FormatNll(trial.has_best_nll(), trial.best_nll()));
      }
      lines->push_back(std::move(line));
    }
    if (!only_validates) told = about;
  }
}

std::vector<std::string> Board::Draw(absl::Time now, size_t width, size_t rows, bool color) const {
  std::vector<std::string> lines;
  size_t label_width = 0;
  for (const v1::Trial& trial : trials_)
    label_width = std::max(label_width, DisplayWidth(CellLabel(experiment_, trial)));
  lines.push_back(absl::StrCat(ShortName(experiment_.name()), ": ", experiment_.trials(),
                               experiment_.trials() == 1 ? " trial, " : " trials, ", StateCounts(experiment_)));
  const size_t room = rows > 3 ? rows - 3 : 1;
  size_t hidden = 0;
  const bool crowded = trials_.size() > room;
  for (const v1::Trial& trial : trials_) {
    if (lines.size() > room || (crowded && Done(trial))) {
      ++hidden;
    } else {
      lines.push_back(TrialLine(experiment_, trial, now, label_width, color));
    }
  }
  if (hidden > 0)
    lines.push_back(
        absl::StrCat("and ", hidden, " more; 'strata describe ", ShortName(experiment_.name()), "' shows all"));
  for (std::string& line : lines) line = FitColored(line, width);
  return lines;
}

}  // namespace strata::client
