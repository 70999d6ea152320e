// A report as values, apart from the form it is printed in: tables, notes and plots; and its forms.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::client {

enum class CellKind {
  kText,     // words, flush left
  kNumber,   // flush right
  kFailed,   // a training that failed
  kMissing,  // what there is no value of
  kSuspect,  // a number of the source that cannot be right; a note says why
};

struct DocumentCell {
  std::string text;
  CellKind kind = CellKind::kText;
  int span = 1;  // columns that it covers; a row's spans add up to the columns of its table
};

struct DocumentTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<DocumentCell>> rows;
  std::vector<std::string> notes;  // sentences under the table
};

struct Plotted {
  std::string stem;  // STEM.png and STEM.svg stand beside the page
  std::string caption;
};

struct Document {
  std::string title;
  std::vector<std::string> lead;  // sentences
  std::vector<DocumentTable> tables;
  std::vector<Plotted> plots;  // the HTML form shows them
};

enum class Form { kTerminal, kMarkdown, kLatex, kCsv, kHtml };

// The form of that name: terminal, markdown, latex, csv or html. INVALID_ARGUMENT names them.
absl::StatusOr<Form> ParseForm(const std::string& name);

// The same document in the same form is the same bytes. CSV holds the tables alone, an empty line between two; LaTeX
// needs the package booktabs; HTML is a whole page that needs no network.
std::string Print(const Document& document, Form form);

// Text that stands for itself between HTML tags and in attributes.
std::string EscapeHtml(const std::string& text);
// The page's beginning up to <body>, style included.
std::string HtmlHead(const std::string& title);
// A plot with its caption and links to both files.
std::string HtmlPlot(const Plotted& plot);
// Inner to Print.
std::string PrintHtml(const Document& document);

}  // namespace strata::client
