#include "client/report/report.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/command.h"
#include "client/home.h"
#include "client/names.h"
#include "client/report/compare.h"
#include "client/report/figures.h"
#include "client/report/paper_document.h"
#include "client/report/write.h"

namespace strata::client {
namespace {

struct ReportOptions {
  std::vector<std::string> experiments;
  std::string paper;
  std::string form;
  std::string folder;
};

std::string FolderOf(const ReportOptions& options) {
  if (!options.folder.empty()) return options.folder;
  return absl::StrCat(StrataHome(), "/reports/", absl::StrJoin(options.experiments, "-"),
                      options.paper.empty() ? "" : absl::StrCat("-", options.paper));
}

void PrintPage(const std::string& folder) {
  std::puts(std::filesystem::absolute(absl::StrCat(folder, "/index.html")).lexically_normal().c_str());
}

absl::StatusOr<std::vector<Report>> CollectAll(const Connection& connection, ReportOptions& options) {
  std::vector<Report> reports;
  for (std::string& text : options.experiments) {
    const auto name = ParseNameOf(NameKind::kExperiment, text);
    if (!name.ok()) return name.status();
    text = ShortName(*name);
    auto report = Collect(connection, *name);
    if (!report.ok()) return report.status();
    reports.push_back(std::move(*report));
  }
  return reports;
}

// The document in its form on standard output, or as a page with its plots in a folder.
absl::Status Deliver(Document document, const std::vector<Figure>& figures, Form form, const ReportOptions& options) {
  if (form != Form::kHtml) {
    std::fputs(Print(document, form).c_str(), stdout);
    return absl::OkStatus();
  }
  document.plots.clear();
  for (const Figure& figure : figures) document.plots.push_back({figure.stem, figure.caption});
  const std::string folder = FolderOf(options);
  if (const absl::Status status = WriteDocument(document, figures, folder); !status.ok()) return status;
  PrintPage(folder);
  return absl::OkStatus();
}

// A table prints; a figure is drawn as well, because a terminal cannot show it.
absl::Status DrawPaper(const Connection& connection, std::vector<Report> reports, Form form,
                       const ReportOptions& options) {
  Report report = Merge(std::move(reports));
  if (absl::StartsWith(options.paper, "table")) {
    if (const absl::Status status = ReadSentenceScores(connection, report); !status.ok()) return status;
    return Deliver(PaperTableDocument(options.paper, report),
                   form == Form::kHtml ? MakeFigures(report) : std::vector<Figure>(), form, options);
  }
  const FigureDocument figure = PaperFigureDocument(options.paper, report, /*all_points=*/form == Form::kCsv);
  if (const absl::Status status = Deliver(figure.document, figure.figures, form, options); !status.ok()) return status;
  if (form != Form::kTerminal || figure.figures.empty()) return absl::OkStatus();
  std::puts("");
  return Deliver(figure.document, figure.figures, Form::kHtml, options);
}

absl::Status DrawOne(const Context& context, const Report& report, const ReportOptions& options) {
  const std::string folder = FolderOf(options);
  if (const absl::Status status = WriteReport(report, folder); !status.ok()) return status;
  if (context.json()) {
    std::fputs(ReportJson(report).c_str(), stdout);
    return absl::OkStatus();
  }
  std::printf("%s\n", Print(ReportDocument(report), Form::kTerminal).c_str());
  PrintPage(folder);
  return absl::OkStatus();
}

absl::Status DrawReport(const Context& context, ReportOptions options) {
  const auto form = ParseForm(options.form.empty() ? "terminal" : options.form);
  if (!form.ok()) return form.status();
  if (!options.paper.empty()) {
    if (const absl::Status status = CheckPaperName(options.paper); !status.ok()) return status;
  }
  const Connection connection = context.Connect();
  auto reports = CollectAll(connection, options);
  if (!reports.ok()) return reports.status();
  if (!options.paper.empty()) return DrawPaper(connection, std::move(*reports), *form, options);
  if (reports->size() > 1) return Deliver(CompareDocument(*reports), {}, *form, options);
  const bool folder_form = options.form.empty() || *form == Form::kHtml;
  if (folder_form) return DrawOne(context, reports->front(), options);
  return Deliver(ReportDocument(reports->front()), {}, *form, options);
}

}  // namespace

void AddReport(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(
      app, context, "report",
      "Draw an experiment's table and plots as a folder: index.html, report.json, each plot as PNG and SVG. Prints the "
      "table and, last, the page's path. With --paper: our cells beside a table of the paper, or our points of one of "
      "its "
      "figures, from one experiment or several. Several experiments without it: what differs, their cells and "
      "differences.",
      {"strata report quickstart-1", "strata report quickstart-1 --output-dir results",
       "strata report quickstart-1 --output json", "strata report small-table1-1 --paper table1",
       "strata report small-table1-1 small-table1-2 --paper table1 --format latex",
       "strata report small-figure3-1 --paper figure3 --output-dir figure3", "strata report order-1 order-2"});
  static ReportOptions options;
  command->add_option("EXPERIMENT", options.experiments, "Experiment, or several")->required();
  command->add_option("--paper", options.paper,
                      "A table or figure of the paper: table1 ... table10, figure1, figure3 ... figure9");
  command->add_option("--format", options.form, "terminal (the default), markdown, latex, csv or html");
  command->add_option("--output-dir", options.folder,
                      "Folder to write a page or figure to; STRATA_HOME/reports/EXPERIMENT by default");
  OnRun(command, context, [&context] { return DrawReport(context, options); });
}

}  // namespace strata::client
