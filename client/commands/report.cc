#include "client/report/report.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/home.h"
#include "client/names.h"

namespace strata::client {
namespace {

absl::Status DrawReport(const Context& context, const std::string& text, std::string folder) {
  const auto name = ParseNameOf(NameKind::kExperiment, text);
  if (!name.ok()) return name.status();
  if (folder.empty()) folder = absl::StrCat(StrataHome(), "/reports/", ShortName(*name));
  const auto report = Collect(context.Connect(), *name);
  if (!report.ok()) return report.status();
  if (const absl::Status status = WriteReport(*report, folder); !status.ok()) return status;
  if (context.json()) {
    std::fputs(ReportJson(*report).c_str(), stdout);
    return absl::OkStatus();
  }
  std::printf("%s\n%s\n", ReportText(*report).c_str(),
              std::filesystem::absolute(absl::StrCat(folder, "/index.html")).lexically_normal().c_str());
  return absl::OkStatus();
}

}  // namespace

void AddReport(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "report",
                                 "Draw an experiment's table and plots as a folder: index.html, report.json, each plot "
                                 "as PNG and SVG. Prints the table "
                                 "and, last, the page's path.",
                                 {"strata report quickstart-1", "strata report quickstart-1 --output-dir results",
                                  "strata report quickstart-1 --output json"});
  static std::string name;
  static std::string folder;
  command->add_option("EXPERIMENT", name, "Experiment")->required();
  command->add_option("--output-dir", folder, "Folder to write; STRATA_HOME/reports/EXPERIMENT by default");
  OnRun(command, context, [&context] { return DrawReport(context, name, folder); });
}

}  // namespace strata::client
