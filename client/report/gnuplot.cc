#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/report/figure.h"
#include "server/base/file.h"

namespace strata::client {
namespace {

// Okabe and Ito's palette without yellow, which is too light for a line; told apart by every common colour vision.
constexpr const char* kKinds[] = {"#D55E00", "#0072B2", "#009E73", "#CC79A7",
                                  "#E69F00", "#56B4E9", "#000000", "#7F7F7F"};
// Dark to light, of the viridis map, for what has an order.
constexpr const char* kOrder[] = {"#440154", "#3B528B", "#21918C", "#5EC962", "#C2B000"};
constexpr const char* kDashes[] = {"1", "(14,5)", "(4,4)", "(14,4,3,4)", "(22,6)", "(3,7)"};
constexpr int kPoints[] = {7, 5, 9, 13, 11, 15, 4, 6};

constexpr int kPanelWidth = 440, kPanelHeight = 330, kKeyHeight = 56;
constexpr int kLeft = 80, kRight = 26, kTop = 34, kBottom = 62;  // margins around the axes of a panel

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

bool Shown(const Panel& panel, double x, double y) {
  return std::isfinite(x) && std::isfinite(y) && (!panel.log_y || y > 0);
}

struct Range {
  double low = 0, high = 1;
};

// What all panels of the figure share, so that heights can be compared.
Range SharedY(const Figure& figure) {
  double low = INFINITY, high = -INFINITY;
  for (const Panel& panel : figure.panels) {
    for (const Line& line : panel.lines) {
      for (size_t i = 0; i < line.x.size(); ++i) {
        if (!Shown(panel, line.x[i], line.y[i])) continue;
        low = std::min(low, line.y[i]);
        high = std::max(high, line.y[i]);
      }
    }
    for (const auto& [level, label] : panel.levels) {
      low = std::min(low, level);
      high = std::max(high, level);
    }
  }
  if (!(low <= high)) return {0.1, 1};
  if (!figure.panels.empty() && figure.panels[0].log_y) return {low / 2, high * 2};
  const double pad = std::max((high - low) * 0.06, 1e-6);
  return {low - pad, high + pad};
}

std::string ColorOf(const Figure& figure, const Line& line) {
  const size_t index = static_cast<size_t>(line.style);
  return absl::StrCat(
      "lc rgb '", figure.sequential ? kOrder[index % std::size(kOrder)] : kKinds[index % std::size(kKinds)], "' lw 2");
}

std::string StyleOf(const Figure& figure, const Line& line) {
  if (line.crosses) return absl::StrCat(ColorOf(figure, line), " pt 2 ps 1.5");
  const size_t index = static_cast<size_t>(line.style);
  std::string style = absl::StrCat(ColorOf(figure, line), " dt ", kDashes[index % std::size(kDashes)]);
  if (line.points) absl::StrAppend(&style, " pt ", kPoints[index % std::size(kPoints)], " ps 0.7");
  return style;
}

// x y value a line; a cell that is not finite is left out.
std::string MapBlock(const HeatMap& map, size_t panel) {
  std::string text = absl::StrCat("$m", panel, " << EOD\n");
  for (size_t row = 0; row < map.size(); ++row) {
    for (size_t column = 0; column < map[row].size(); ++column)
      absl::StrAppendFormat(&text, "%d %d %.6g\n", column + 1, row + 1, map[row][column]);
  }
  return text + "EOD\n";
}

std::string WithOf(const Line& line) {
  return line.crosses ? " with points " : line.points ? " with linespoints " : " with lines ";
}

// Data blocks first: a plot command names them.
std::string Blocks(const Figure& figure) {
  std::string text;
  for (size_t p = 0; p < figure.panels.size(); ++p) {
    if (!figure.panels[p].map.empty()) absl::StrAppend(&text, MapBlock(figure.panels[p].map, p));
    for (size_t l = 0; l < figure.panels[p].lines.size(); ++l) {
      const Line& line = figure.panels[p].lines[l];
      absl::StrAppend(&text, "$d", p, "_", l, " << EOD\n");
      for (size_t i = 0; i < line.x.size(); ++i) {
        if (Shown(figure.panels[p], line.x[i], line.y[i]))
          absl::StrAppendFormat(&text, "%.9g %.9g\n", line.x[i], line.y[i]);
      }
      absl::StrAppend(&text, "EOD\n");
    }
  }
  return text;
}

bool Empty(const Panel& panel, const Line& line) {
  for (size_t i = 0; i < line.x.size(); ++i) {
    if (Shown(panel, line.x[i], line.y[i])) return false;
  }
  return true;
}

// The last point shown, as inline data.
std::string LastPoint(const Panel& panel, const Line& line) {
  size_t last = line.x.size() - 1;
  while (last > 0 && !Shown(panel, line.x[last], line.y[last])) --last;
  return absl::StrFormat("%.9g %.9g\ne\n", line.x[last], line.y[last]);
}

std::string XAxis(const Panel& panel) {
  double last = 1;
  for (const Line& line : panel.lines) {
    for (const double x : line.x) last = std::max(last, x);
  }
  if (!panel.x_ticks.empty()) {
    std::vector<std::string> ticks;
    for (const auto& [x, label] : panel.x_ticks) {
      ticks.push_back(absl::StrFormat("%s %.9g", Quoted(label), x));
      last = std::max(last, x);
    }
    const double first = panel.x_ticks[0].first, pad = std::max(0.5, 0.04 * (last - first));
    return absl::StrFormat("set xrange [%.9g:%.9g]\nset xtics (%s)\n", first - pad, last + pad,
                           absl::StrJoin(ticks, ", "));
  }
  if (!panel.whole_x) return "set xrange [0:*]\nset xtics autofreq\n";
  const int step = std::max(1, static_cast<int>(std::ceil((last - 1) / 9)));
  return absl::StrCat("set xrange [0.5:", last + 0.5, "]\nset xtics 1,", step, "\n");
}

// The colours' scale of all maps of a figure.
Range SharedMap(const Figure& figure) {
  double low = INFINITY, high = -INFINITY;
  for (const Panel& panel : figure.panels) {
    for (const auto& row : panel.map) {
      for (const double value : row) {
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
  }
  return low < high ? Range{low, high} : Range{high - 1, high};
}

std::string MapCommands(const Figure& figure, size_t index) {
  const HeatMap& map = figure.panels[index].map;
  const int layers = static_cast<int>(map.size()), step = std::max(1, (layers + 7) / 9);
  const Range range = SharedMap(figure);
  return absl::StrFormat(
      "unset logscale y\nset format y '%%g'\nset xrange [0.5:%d.5]\nset yrange [0.5:%d.5]\nset xtics 1,%d\nset ytics "
      "1,%d\n"
      "set cbrange [%.6g:%.6g]\nset palette defined (0 '#440154', 1 '#3B528B', 2 '#21918C', 3 '#5EC962', 4 '#FDE725')\n"
      "unset colorbox\nplot $m%d using 1:2:3 with image notitle\n",
      layers, layers, step, step, range.low, range.high, index);
}

std::string PanelCommands(const Figure& figure, size_t index, int width, int height) {
  const Panel& panel = figure.panels[index];
  const int column = static_cast<int>(index) % figure.columns, row = static_cast<int>(index) / figure.columns;
  const double left = column * kPanelWidth + kLeft, right = (column + 1) * kPanelWidth - kRight;
  const double top = height - row * kPanelHeight - kTop, bottom = height - (row + 1) * kPanelHeight + kBottom;
  std::string text = absl::StrFormat(
      "set lmargin at screen %.6f\nset rmargin at screen %.6f\nset tmargin at screen %.6f\nset bmargin at screen "
      "%.6f\n",
      left / width, right / width, top / height, bottom / height);
  absl::StrAppend(&text, "set title ", Quoted(panel.title), " noenhanced font ',13' offset 0,-0.4\nset xlabel ",
                  Quoted(panel.x_label), " offset 0,0.3\nset ylabel ", Quoted(column == 0 ? panel.y_label : ""),
                  " offset 0.6,0\n");
  if (!panel.map.empty()) return text + MapCommands(figure, index);
  absl::StrAppend(&text,
                  panel.log_y ? "set logscale y\nset format y '10^{%T}'\n" : "unset logscale y\nset format y '%g'\n",
                  XAxis(panel));
  std::vector<std::string> plots;
  for (const auto& [level, label] : panel.levels)
    plots.push_back(absl::StrFormat("%.9g with lines lc rgb '#444444' lw 1.6 dt (8,6) notitle", level));
  for (size_t l = 0; l < panel.lines.size(); ++l) {
    if (Empty(panel, panel.lines[l])) continue;
    plots.push_back(
        absl::StrCat("$d", index, "_", l, WithOf(panel.lines[l]), StyleOf(figure, panel.lines[l]), " notitle"));
  }
  for (const Line& line : panel.lines) {
    if (line.failed && !Empty(panel, line)) {
      plots.push_back(absl::StrFormat("'-' with points %s pt 2 ps 1.7 notitle", ColorOf(figure, line)));
    }
  }
  if (plots.empty()) plots.push_back("NaN notitle");
  absl::StrAppend(&text, "plot ", absl::StrJoin(plots, ", \\\n  "), "\n");
  for (const Line& line : panel.lines) {
    if (line.failed && !Empty(panel, line)) absl::StrAppend(&text, LastPoint(panel, line));
  }
  return text;
}

// The strip under the panels of maps: what a colour means.
std::string ScaleCommands(const Figure& figure, int width, int height) {
  const Range range = SharedMap(figure);
  const double half = std::min(130.0, 0.2 * width) / width;
  return absl::StrFormat(
      "set lmargin at screen %.6f\nset rmargin at screen %.6f\nset bmargin at screen %.6f\nset tmargin at screen %.6f\n"
      "unset title\nunset ylabel\nunset xlabel\nunset grid\nunset ytics\nset xrange [%.6g:%.6g]\nset yrange [0:1]\n"
      "set label 1 'Cosine similarity' at screen %.6f,%.6f right\nset xtics autofreq\nset samples 256\n"
      "set isosamples 2\nset view map\nplot '++' using 1:2:1 with image notitle\nunset label 1\n",
      0.5 - half, 0.5 + half, 30.0 / height, 44.0 / height, range.low, range.high, 0.5 - half - 12.0 / width,
      37.0 / height);
}

// One strip under all panels, with an entry for each labelled line and level.
std::string KeyCommands(const Figure& figure, int height) {
  std::vector<std::string> entries;
  bool level_named = false, failed = false;
  for (const Panel& panel : figure.panels) {
    for (const Line& line : panel.lines) {
      failed = failed || ((line.failed || line.crosses) && !Empty(panel, line));
      if (line.label.empty()) continue;
      entries.push_back(
          absl::StrCat("NaN", WithOf(line), StyleOf(figure, line), " title ", Quoted(line.label), " noenhanced"));
    }
    for (const auto& [level, label] : panel.levels) {
      if (!level_named)
        entries.push_back(absl::StrCat("NaN with lines lc rgb '#444444' lw 1.6 dt (8,6) title ", Quoted(label)));
      level_named = true;
    }
  }
  if (failed) entries.push_back("NaN with points lc rgb '#222222' lw 2 pt 2 ps 1.4 title 'training failed'");
  if (entries.empty()) return "";
  return absl::StrFormat(
      "unset logscale y\nset lmargin at screen 0\nset rmargin at screen 1\nset bmargin at screen 0\nset tmargin at "
      "screen %.6f\nunset title\nunset xlabel\n"
      "unset ylabel\nunset border\nunset tics\nunset grid\nset xrange [0:1]\nset yrange [0:1]\nset key at screen "
      "0.5,%.6f center center horizontal "
      "Left reverse maxrows 2 samplen 3.5 spacing 1.1 width 1\nplot %s\n",
      static_cast<double>(kKeyHeight) / height, 0.55 * kKeyHeight / height, absl::StrJoin(entries, ", \\\n  "));
}

}  // namespace

std::string Script(const Figure& figure, const std::string& terminal) {
  const int columns = std::max(1, figure.columns);
  const int rows = (static_cast<int>(figure.panels.size()) + columns - 1) / columns;
  const int width = columns * kPanelWidth, height = rows * kPanelHeight + kKeyHeight;
  std::string text;
  if (terminal == "png") {  // twice the pixels, for sharp print and screens
    absl::StrAppendFormat(&text,
                          "set terminal pngcairo enhanced size %d,%d fontscale 2 linewidth 2 pointscale 2 font 'DejaVu "
                          "Sans,10' background '#FFFFFF'\n",
                          2 * width, 2 * height);
  } else {
    absl::StrAppendFormat(
        &text, "set terminal svg size %d,%d dynamic font 'DejaVu Sans, Verdana, sans-serif,11' background '#FFFFFF'\n",
        width, height);
  }
  absl::StrAppend(&text, "set output ", Quoted(absl::StrCat(figure.stem, ".", terminal)), "\nset encoding utf8\n",
                  Blocks(figure));
  const Range range = SharedY(figure);
  absl::StrAppendFormat(&text,
                        "set border 3 lc rgb '#555555'\nset tics nomirror out scale 0.6 textcolor rgb '#222222'\nset "
                        "grid lc rgb '#D8D8D8' lw 1 dt 1\nunset key\n"
                        "set yrange [%.9g:%.9g]\nset multiplot\n",
                        range.low, range.high);
  for (size_t p = 0; p < figure.panels.size(); ++p) absl::StrAppend(&text, PanelCommands(figure, p, width, height));
  const bool maps = !figure.panels.empty() && !figure.panels[0].map.empty();
  absl::StrAppend(&text, maps ? ScaleCommands(figure, width, height) : KeyCommands(figure, height),
                  "unset multiplot\nunset output\n");
  return text;
}

absl::Status CheckGnuplot() {
  const char* path = std::getenv("PATH");
  const std::vector<std::string> folders = absl::StrSplit(path == nullptr ? "" : path, ':');
  for (const std::string& folder : folders) {
    if (access(absl::StrCat(folder, "/gnuplot").c_str(), X_OK) == 0) return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      "gnuplot is not installed, and plots need it. Install it: apt install gnuplot-nox.");
}

absl::Status Draw(const std::vector<Figure>& figures, const std::string& folder) {
  if (const absl::Status status = CheckGnuplot(); !status.ok()) return status;
  std::string script;
  for (const Figure& figure : figures) {
    for (const char* terminal : {"png", "svg"}) absl::StrAppend(&script, "reset session\n", Script(figure, terminal));
  }
  const std::string script_file = folder + "/.plots.gnuplot", words_file = folder + "/.plots.log";
  if (const absl::Status status = base::WriteFileAtomically(script_file, script); !status.ok()) return status;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, words_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  char program[] = "gnuplot", file[] = ".plots.gnuplot";
  char* argv[] = {program, file, nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, program, &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error == 0) waitpid(child, &status, 0);
  std::ifstream words_stream(words_file);
  const std::string words(std::istreambuf_iterator<char>(words_stream), {});
  std::filesystem::remove(words_file);
  if (error != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InternalError(absl::StrCat("gnuplot failed over ", script_file, ": ", words));
  }
  std::filesystem::remove(script_file);
  return absl::OkStatus();
}

}  // namespace strata::client
