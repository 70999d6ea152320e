#include "absl/strings/str_cat.h"
#include "client/report/document.h"

extern "C" const char strata_report_css[];
extern "C" const unsigned long strata_report_css_size;

namespace strata::client {
namespace {

std::string ClassOf(CellKind kind) {
  switch (kind) {
    case CellKind::kText:
      return "";
    case CellKind::kNumber:
      return " class=\"number\"";
    case CellKind::kFailed:
      return " class=\"failed\"";
    case CellKind::kMissing:
      return " class=\"missing\"";
    case CellKind::kSuspect:
      return " class=\"number suspect\"";
  }
  return "";
}

std::string HtmlTable(const DocumentTable& table) {
  std::string text = table.title.empty() ? "" : absl::StrCat("<h2>", EscapeHtml(table.title), "</h2>\n");
  text += "<div class=\"wide\"><table><thead><tr>";
  for (const std::string& column : table.columns) absl::StrAppend(&text, "<th>", EscapeHtml(column), "</th>");
  text += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (const DocumentCell& cell : row) {
      absl::StrAppend(&text, "<td", ClassOf(cell.kind),
                      cell.span > 1 ? absl::StrCat(" colspan=\"", cell.span, "\"") : "", ">", EscapeHtml(cell.text),
                      "</td>");
    }
    text += "</tr>\n";
  }
  text += "</tbody></table></div>\n";
  for (const std::string& note : table.notes) absl::StrAppend(&text, "<p class=\"note\">", EscapeHtml(note), "</p>\n");
  return text;
}

}  // namespace

std::string EscapeHtml(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string HtmlHead(const std::string& title) {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>",
      EscapeHtml(title), " · Strata</title>\n<style>\n", std::string(strata_report_css, strata_report_css_size),
      "</style></head><body>\n");
}

std::string HtmlPlot(const Plotted& plot) {
  const std::string stem = EscapeHtml(plot.stem), caption = EscapeHtml(plot.caption);
  return absl::StrCat("<figure><a href=\"", stem, ".png\"><img src=\"", stem, ".svg\" alt=\"", caption,
                      "\"></a><figcaption>", caption, " <a href=\"", stem, ".png\">PNG</a>, <a href=\"", stem,
                      ".svg\">SVG</a></figcaption></figure>\n");
}

std::string PrintHtml(const Document& document) {
  std::string text = HtmlHead(document.title);
  absl::StrAppend(&text, "<h1>", EscapeHtml(document.title), "</h1>\n");
  for (const std::string& sentence : document.lead)
    absl::StrAppend(&text, "<p class=\"lead\">", EscapeHtml(sentence), "</p>\n");
  // The first table is what was asked for; the plots come before what stands behind it.
  for (size_t i = 0; i < document.tables.size(); ++i) {
    text += HtmlTable(document.tables[i]);
    if (i > 0 || document.plots.empty()) continue;
    text += "<h2>Plots</h2>\n";
    for (const Plotted& plot : document.plots) text += HtmlPlot(plot);
  }
  return text + "</body></html>\n";
}

}  // namespace strata::client
