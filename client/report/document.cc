#include "client/report/document.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/table.h"

namespace strata::client {
namespace {

bool FlushRight(const DocumentTable& table, size_t column) {
  bool numbers = false;
  for (const auto& row : table.rows) {
    size_t at = 0;
    for (const DocumentCell& cell : row) {
      if (at == column && cell.span == 1) {
        if (cell.kind == CellKind::kText && !cell.text.empty()) return false;
        numbers = numbers || cell.kind == CellKind::kNumber || cell.kind == CellKind::kSuspect;
      }
      at += static_cast<size_t>(cell.span);
    }
  }
  return numbers;
}

// Texts with an empty one for each further column that a cell covers.
std::vector<std::string> Spread(const std::vector<DocumentCell>& row) {
  std::vector<std::string> texts;
  for (const DocumentCell& cell : row) {
    texts.push_back(cell.text);
    texts.resize(texts.size() + static_cast<size_t>(cell.span) - 1);
  }
  return texts;
}

// Columns aligned, two spaces apart. A cell over several columns widens them only where it needs more than all of them.
std::string TerminalTable(const DocumentTable& table) {
  std::vector<size_t> widths;
  for (const std::string& column : table.columns) widths.push_back(DisplayWidth(column));
  for (const bool spanning : {false, true}) {
    for (const auto& row : table.rows) {
      size_t at = 0;
      for (const DocumentCell& cell : row) {
        const size_t last = at + static_cast<size_t>(cell.span) - 1;
        size_t width = 2 * (last - at);
        for (size_t i = at; i <= last; ++i) width += widths[i];
        if (spanning == (cell.span > 1) && DisplayWidth(cell.text) > width)
          widths[last] += DisplayWidth(cell.text) - width;
        at = last + 1;
      }
    }
  }
  std::string text;
  const auto add = [&](const std::vector<DocumentCell>& row) {
    std::string line;
    size_t at = 0;
    for (const DocumentCell& cell : row) {
      const size_t end = at + static_cast<size_t>(cell.span);
      size_t width = 2 * (end - at - 1);
      for (size_t i = at; i < end; ++i) width += widths[i];
      const std::string blanks(width - DisplayWidth(cell.text), ' ');
      absl::StrAppend(&line, at == 0 ? "" : "  ",
                      cell.span == 1 && FlushRight(table, at) ? blanks + cell.text : cell.text + blanks);
      at = end;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  };
  std::vector<DocumentCell> titles;
  for (const std::string& column : table.columns) titles.push_back({column});
  add(titles);
  for (const auto& row : table.rows) add(row);
  return text;
}

std::string Terminal(const Document& document) {
  std::string text = document.title + "\n";
  for (const std::string& sentence : document.lead) absl::StrAppend(&text, sentence, "\n");
  for (const DocumentTable& table : document.tables) {
    absl::StrAppend(&text, "\n", table.title, table.title.empty() ? "" : "\n", TerminalTable(table));
    for (const std::string& note : table.notes) absl::StrAppend(&text, note, "\n");
  }
  return text;
}

std::string Markdown(const Document& document) {
  const auto escaped = [](const std::string& text) {
    return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}, {"_", "\\_"}, {"*", "\\*"}, {"<", "&lt;"}});
  };
  std::string text = absl::StrCat("# ", escaped(document.title), "\n");
  for (const std::string& sentence : document.lead) absl::StrAppend(&text, "\n", escaped(sentence), "\n");
  for (const DocumentTable& table : document.tables) {
    absl::StrAppend(&text, "\n", table.title.empty() ? "" : absl::StrCat("## ", escaped(table.title), "\n\n"));
    std::string rule = "|";
    text += "|";
    for (size_t i = 0; i < table.columns.size(); ++i) {
      absl::StrAppend(&text, " ", escaped(table.columns[i]), " |");
      rule += FlushRight(table, i) ? " ---: |" : " --- |";
    }
    absl::StrAppend(&text, "\n", rule, "\n");
    for (const auto& row : table.rows) {
      text += "|";
      for (const std::string& cell : Spread(row)) absl::StrAppend(&text, " ", escaped(cell), " |");
      text += "\n";
    }
    for (const std::string& note : table.notes) absl::StrAppend(&text, "\n", escaped(note), "\n");
  }
  return text;
}

std::string EscapeLatex(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\textbackslash{}"},
                                    {"&", "\\&"},
                                    {"%", "\\%"},
                                    {"$", "\\$"},
                                    {"#", "\\#"},
                                    {"_", "\\_"},
                                    {"{", "\\{"},
                                    {"}", "\\}"},
                                    {"~", "\\textasciitilde{}"},
                                    {"^", "\\textasciicircum{}"},
                                    {"±", "$\\pm$"},
                                    {"×", "$\\times$"},
                                    {"†", "$^\\dagger$"},
                                    {"−", "$-$"},
                                    {"–", "--"},
                                    {"<", "\\textless{}"},
                                    {">", "\\textgreater{}"}});
}

std::string LatexTable(const DocumentTable& table) {
  std::string text = "\\begin{table}\n\\centering\n";
  if (!table.title.empty()) absl::StrAppend(&text, "\\caption{", EscapeLatex(table.title), "}\n");
  text += "\\begin{tabular}{";
  for (size_t i = 0; i < table.columns.size(); ++i) text += FlushRight(table, i) ? "r" : "l";
  std::vector<std::string> titles;
  for (const std::string& column : table.columns) titles.push_back(EscapeLatex(column));
  absl::StrAppend(&text, "}\n\\toprule\n", absl::StrJoin(titles, " & "), " \\\\\n\\midrule\n");
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (const DocumentCell& cell : row) {
      std::string latex = EscapeLatex(cell.text);
      if (cell.kind == CellKind::kFailed) latex = absl::StrCat("\\textit{", latex, "}");
      if (cell.span > 1) latex = absl::StrCat("\\multicolumn{", cell.span, "}{l}{", latex, "}");
      cells.push_back(latex);
    }
    absl::StrAppend(&text, absl::StrJoin(cells, " & "), " \\\\\n");
  }
  text += "\\bottomrule\n\\end{tabular}\n";
  for (const std::string& note : table.notes)
    absl::StrAppend(&text, "\\par\\smallskip{\\footnotesize ", EscapeLatex(note), "\\par}\n");
  return text + "\\end{table}\n";
}

std::string Latex(const Document& document) {
  std::string text = absl::StrCat("% ", document.title, "\n");
  for (const std::string& sentence : document.lead) absl::StrAppend(&text, "% ", sentence, "\n");
  for (const DocumentTable& table : document.tables) absl::StrAppend(&text, "\n", LatexTable(table));
  return text;
}

std::string Csv(const Document& document) {
  const auto line = [](const std::vector<std::string>& cells) {
    return absl::StrJoin(cells, ",",
                         [](std::string* out, const std::string& cell) {
                           const bool quoted = cell.find_first_of(",\"\r\n") != std::string::npos;
                           absl::StrAppend(
                               out,
                               quoted ? absl::StrCat("\"", absl::StrReplaceAll(cell, {{"\"", "\"\""}}), "\"") : cell);
                         }) +
           "\n";
  };
  std::string text;
  for (const DocumentTable& table : document.tables) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", line(table.columns));
    for (const auto& row : table.rows) text += line(Spread(row));
  }
  return text;
}

}  // namespace

absl::StatusOr<Form> ParseForm(const std::string& name) {
  if (name == "terminal") return Form::kTerminal;
  if (name == "markdown") return Form::kMarkdown;
  if (name == "latex") return Form::kLatex;
  if (name == "csv") return Form::kCsv;
  if (name == "html") return Form::kHtml;
  return absl::InvalidArgumentError(
      absl::StrCat("--format: \"", name, "\" is no form of a report. Write terminal, markdown, latex, csv or html."));
}

std::string Print(const Document& document, Form form) {
  switch (form) {
    case Form::kTerminal:
      return Terminal(document);
    case Form::kMarkdown:
      return Markdown(document);
    case Form::kLatex:
      return Latex(document);
    case Form::kCsv:
      return Csv(document);
    case Form::kHtml:
      return PrintHtml(document);
  }
  return "";
}

}  // namespace strata::client
