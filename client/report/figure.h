// A figure as values: panels of lines, drawn by gnuplot as PNG and SVG.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace strata::client {

struct Line {
  std::string label;  // "" draws it without an entry in the key (a further seed)
  int style = 0;      // colour, dash and point by index; the same thing has the same style in every figure
  bool points = false;
  bool failed = false;       // a cross marks its end: the training failed there
  bool crosses = false;      // no line: each point is a cross, a training that failed
  std::vector<double> x, y;  // points that are not finite, or not positive on a log scale, are left out
};

// Values over a square of cells, as colours; the figure's panels share one scale. Row and column 0 are at the lower
// left.
using HeatMap = std::vector<std::vector<double>>;

struct Panel {
  std::string title, x_label, y_label;
  bool log_y = false;
  bool whole_x = false;  // x counts layers: ticks at whole numbers
  std::vector<Line> lines;
  std::vector<std::pair<double, std::string>> levels;   // horizontal dashed lines
  std::vector<std::pair<double, std::string>> x_ticks;  // where numbers say nothing; empty: numbers
  HeatMap map;                                          // instead of lines; cells are layers, counted from 1
};

struct Figure {
  std::string stem;         // file name without ".png", ".svg"
  std::string caption;      // a sentence for the page
  int columns = 2;          // panels side by side; rows follow
  bool sequential = false;  // styles are an order (layers), not kinds: colours from dark to light
  std::vector<Panel> panels;
};

// Draws STEM.png and STEM.svg of every figure into `folder`. Same figures, same bytes (given gnuplot and its fonts).
// FAILED_PRECONDITION: gnuplot is missing. INTERNAL: it failed; with its words.
absl::Status Draw(const std::vector<Figure>& figures, const std::string& folder);

// OK if gnuplot can be started.
absl::Status CheckGnuplot();

// The script of one figure for one terminal ("png" or "svg"). Inner; here for the test.
std::string Script(const Figure& figure, const std::string& terminal);

}  // namespace strata::client
