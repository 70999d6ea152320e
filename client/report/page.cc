#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/document.h"
#include "client/report/report.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

std::string Cell(const Report& report, const std::string& label, const std::string& depth) {
  const std::string nll = NllCell(report, label, depth), score = ScoreCell(report, label, depth);
  const bool failed = nll.rfind("Training failed", 0) == 0;
  std::string text = absl::StrCat("<td", failed ? " class=\"failed\"" : "", ">", nll.empty() ? "–" : EscapeHtml(nll));
  if (!score.empty())
    absl::StrAppend(&text, "<span class=\"score\">", EscapeHtml(score), ScoresAreEarly(report) ? "*" : "", "</span>");
  return text + "</td>";
}

std::string ResultsTable(const Report& report) {
  std::string text = "<div class=\"wide\"><table><thead><tr><th>Scheme</th>";
  for (const std::string& depth : report.depths) absl::StrAppend(&text, "<th>", EscapeHtml(depth), "</th>");
  text += "</tr></thead><tbody>\n";
  for (const std::string& label : report.labels) {
    absl::StrAppend(&text, "<tr><th>", EscapeHtml(label), "</th>");
    for (const std::string& depth : report.depths) text += Cell(report, label, depth);
    text += "</tr>\n";
  }
  text += "</tbody></table></div>\n";
  const std::string unigram = UnigramLevel(report);
  text += "<p class=\"note\">Lowest validation NLL, nats a target token";
  if (!unigram.empty()) absl::StrAppend(&text, "; the unigram level, which word frequencies alone reach, is ", unigram);
  text += ".";
  if (ScoresAreEarly(report)) {
    absl::StrAppend(&text, " *Under the NLL stand scores of generated text. After fewer than ",
                    FormatCount(kUpdatesForScores),
                    " updates they are of too short a training to mean anything: the NLL leads.");
  }
  return text + "</p>\n";
}

std::string TrialsTable(const Report& report) {
  std::string text =
      "<div class=\"wide\"><table><thead><tr><th>Trial</th><th>Scheme</th><th>Depth</th><th "
      "class=\"number\">Seed</th><th>State</th>"
      "<th class=\"number\">Updates</th><th class=\"number\">Best NLL</th><th class=\"number\">Final "
      "NLL</th><th>Evidence, or where it was trained</th>"
      "</tr></thead><tbody>\n";
  for (const TrialResult& result : report.trials) {
    const v1::Trial& trial = result.trial;
    const std::string reused =
        trial.reused_from().empty() ? "" : absl::StrCat("trained as ", ShortName(trial.reused_from()), ". ");
    const std::string evidence =
        trial.evidence().empty() ? "" : absl::StrCat("<code>", EscapeHtml(trial.evidence()), "</code>");
    absl::StrAppend(&text, "<tr><td>", EscapeHtml(result.id), "</td><td>", EscapeHtml(result.label), "</td><td>",
                    EscapeHtml(trial.spec().model().depth()), "</td><td class=\"number\">", trial.spec().train().seed(),
                    "</td><td>", StateName(trial.state()), "</td><td class=\"number\">");
    absl::StrAppend(&text, trial.updates_done(), " of ", trial.updates(), "</td><td class=\"number\">",
                    FormatNll(trial.has_best_nll(), trial.best_nll()), "</td><td class=\"number\">",
                    FormatNll(trial.has_final_nll(), trial.final_nll()), "</td><td>", EscapeHtml(reused), evidence,
                    "</td></tr>\n");
  }
  return text + "</tbody></table></div>\n";
}

// Fields on which a comparison hangs, whether they differ or not; then all others.
std::string Settings(const Report& report) {
  std::string text = "<div class=\"wide\"><table><thead><tr><th>Field</th><th>Value</th></tr></thead><tbody>\n";
  const auto values_of = [&report](const std::string& path) {
    std::vector<std::string> values;
    std::set<std::string> seen;
    for (const TrialResult& result : report.trials) {
      const auto value = base::GetField(result.trial.spec(), path);
      if (value.ok() && seen.insert(*value).second) values.push_back(*value);
    }
    return absl::StrJoin(values, ", ");
  };
  for (const base::Field& field : base::AllFields()) {
    if (field.item >= 0) continue;
    absl::StrAppend(&text, "<tr><td><code>", EscapeHtml(field.path), "</code></td><td>",
                    EscapeHtml(values_of(field.path)), "</td></tr>\n");
  }
  return text + "</tbody></table></div>\n";
}

// Builds and machines that the trainings report of themselves.
std::string Environments(const Report& report) {
  std::set<std::string> lines;
  for (const TrialResult& result : report.trials) {
    for (const v1::Job& job : result.trial.jobs()) {
      for (const v1::Attempt& attempt : job.attempts()) {
        const auto json = nlohmann::json::parse(attempt.environment(), nullptr, false);
        if (!json.is_object()) continue;
        std::vector<std::string> parts;
        for (const char* key : {"build", "libtorch", "device", "threads", "isa", "world_size"}) {
          if (json.contains(key))
            parts.push_back(
                absl::StrCat(key, " ", json[key].is_string() ? json[key].get<std::string>() : json[key].dump()));
        }
        if (!parts.empty()) lines.insert(absl::StrJoin(parts, ", "));
      }
    }
  }
  std::string text;
  for (const std::string& line : lines)
    absl::StrAppend(&text, "<p class=\"note\"><code>", EscapeHtml(line), "</code></p>\n");
  return text;
}

std::string FairnessNote(const Report& report) {
  const std::set<std::string> differing(report.differing.begin(), report.differing.end());
  if (differing.count("model.rescale_init") > 0) {
    return "<p>Trials differ in <code>rescale_init</code>. It helps every scheme, so schemes are compared fairly only "
           "under the same value.</p>\n";
  }
  const bool on = !report.trials.empty() && report.trials[0].trial.spec().model().rescale_init();
  return absl::StrCat("<p>All trials have <code>rescale_init: ", on ? "true" : "false", "</code>",
                      differing.empty()
                          ? " and differ in nothing but scheme, depth and seed"
                          : absl::StrCat("; they differ in ", EscapeHtml(absl::StrJoin(report.differing, ", "))),
                      ".</p>\n");
}

}  // namespace

std::string ReportPage(const Report& report, const std::vector<Plotted>& figures) {
  const std::string name = ShortName(report.experiment.name());
  std::string text = HtmlHead(name);
  std::set<std::string> tasks;
  for (const TrialResult& result : report.trials)
    tasks.insert(absl::StrCat(result.trial.spec().task().kind(), " on ", result.trial.spec().task().dataset()));
  absl::StrAppend(&text, "<h1>", EscapeHtml(name), "</h1>\n<p class=\"lead\">", EscapeHtml(absl::StrJoin(tasks, "; ")),
                  ". ", report.trials.size(),
                  report.trials.size() == 1 ? " trial: " : " trials: ", EscapeHtml(StateCounts(report.experiment)),
                  ".</p>\n");
  absl::StrAppend(&text, "<h2>Validation NLL by scheme and depth</h2>\n", ResultsTable(report), FairnessNote(report),
                  "<h2>Plots</h2>\n");
  for (const Plotted& figure : figures) text += HtmlPlot(figure);
  if (figures.empty()) text += "<p>Nothing has been measured yet.</p>\n";
  absl::StrAppend(
      &text, "<h2>Trials</h2>\n", TrialsTable(report),
      "<p class=\"note\">The same as data: <a href=\"report.json\">report.json</a>.</p>\n<h2>Configuration</h2>\n",
      Settings(report), Environments(report), "</body></html>\n");
  return text;
}

}  // namespace strata::client
