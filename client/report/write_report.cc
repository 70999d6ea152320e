#include "absl/strings/str_cat.h"
#include "client/report/figures.h"
#include "client/report/report.h"
#include "client/report/write.h"
#include "server/base/file.h"

namespace strata::client {

absl::Status WriteDocument(const Document& document, const std::vector<Figure>& figures, const std::string& folder) {
  if (const absl::Status status = base::MakeFolders(folder); !status.ok()) return status;
  if (!figures.empty()) {
    if (const absl::Status status = Draw(figures, folder); !status.ok()) return status;
  }
  return base::WriteFileAtomically(absl::StrCat(folder, "/index.html"), Print(document, Form::kHtml));
}

absl::Status WriteReport(const Report& report, const std::string& folder) {
  if (const absl::Status status = CheckGnuplot(); !status.ok()) return status;
  if (const absl::Status status = base::MakeFolders(folder); !status.ok()) return status;
  const std::vector<Figure> figures = MakeFigures(report);
  if (const absl::Status status = Draw(figures, folder); !status.ok()) return status;
  std::vector<Plotted> plotted;
  for (const Figure& figure : figures) plotted.push_back({figure.stem, figure.caption});
  if (const absl::Status status = base::WriteFileAtomically(absl::StrCat(folder, "/report.json"), ReportJson(report));
      !status.ok())
    return status;
  return base::WriteFileAtomically(absl::StrCat(folder, "/index.html"), ReportPage(report, plotted));
}

}  // namespace strata::client
