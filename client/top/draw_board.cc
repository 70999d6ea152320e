#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/names.h"
#include "client/top/draw.h"

namespace strata::client::top {
namespace {

constexpr size_t kLeastCell = 12, kMostCell = 28, kMostLabel = 26, kDetails = 3;

// How a board lies on the screen.
struct Layout {
  size_t label = 0, cell = 0;              // columns
  size_t first_depth = 0, depths = 0;      // shown
  bool folded = false, two_lines = false;  // seeds in one line; a second line below each cell
  size_t Height(const BoardRow& row) const {
    return (folded ? 1 : std::max<size_t>(1, row.most)) * (two_lines ? 2 : 1);
  }
  size_t Height(const Board& board) const {
    size_t height = 0;
    for (const BoardRow& row : board.rows) height += Height(row);
    return height;
  }
};

size_t LabelWidth(const Board& board, bool folded) {
  size_t width = 6;
  for (const BoardRow& row : board.rows)
    width = std::max(width, WidthOf(row.label) + (!folded && row.most > 1 ? 4 : 0));
  return width + 1;
}

Layout LayOut(const Board& board, const View& view, size_t rows, size_t columns) {
  Layout layout;
  layout.folded = Folded(view, board);
  const size_t depths = std::max<size_t>(1, board.depths.size());
  layout.label = std::min(LabelWidth(board, layout.folded), kMostLabel);
  layout.cell = std::clamp((columns - layout.label) / depths, kLeastCell, kMostCell);
  layout.depths = std::clamp<size_t>((columns - layout.label) / layout.cell, 1, depths);
  layout.first_depth = FirstShown(view.depth, layout.depths, depths);
  layout.two_lines = true;
  if (layout.Height(board) > rows) layout.two_lines = false;
  return layout;
}

std::string SeedOf(const v1::Trial& trial) { return absl::StrCat("s", trial.spec().train().seed()); }

// One row of the board from screen row `top` on, which may lie above the page: lines before `begin` and from `end` on
// are left out.
struct Painter {
  const Knowledge& known;
  const Light& light;
  const Layout& layout;
  size_t left;
  Screen& screen;

  void Cell(const std::vector<size_t>& cell, size_t seed, size_t row, size_t column, bool last) const {
    const size_t end = column + layout.cell - 1;
    if (cell.empty() || seed >= cell.size()) return;
    CellText text;
    if (layout.folded && cell.size() > 1) {
      text = TellFolded(cell, known, light.signs);
    } else {
      const v1::Trial& trial = known.trials[cell[seed]];
      const auto score = known.scores.find(trial.name());
      text = Tell(trial, score == known.scores.end() ? nullptr : &score->second, light.now, light.signs, layout.cell);
    }
    screen.PutFit(row, column, text.first, text.style, end, light.signs);
    if (layout.two_lines && !last) screen.PutFit(row + 1, column + 2, text.second, Style::kDim, end, light.signs);
  }

  void Label(const BoardRow& board_row, size_t seed, size_t row) const {
    const size_t end = left + layout.label - 1;
    const bool seeds = !layout.folded && board_row.most > 1;
    if (seed == 0) screen.PutFit(row, left, board_row.label, Style::kText, seeds ? end - 4 : end, light.signs);
    if (!seeds) return;
    for (const auto& cell : board_row.cells) {  // the seed, where all cells of the line agree on it as a rule
      if (seed >= cell.size()) continue;
      const std::string text = SeedOf(known.trials[cell[seed]]);
      screen.Put(row, end - std::min<size_t>(text.size(), 4), text, Style::kDim, end);
      return;
    }
  }
};

void DrawHeader(const Board& board, const Layout& layout, const Light& light, size_t left, size_t row, Screen& screen) {
  const size_t hidden_right = board.depths.size() - layout.first_depth - layout.depths;
  std::string more;
  if (layout.first_depth > 0) absl::StrAppend(&more, layout.first_depth, light.signs.left);
  if (hidden_right > 0) absl::StrAppend(&more, more.empty() ? "" : " ", hidden_right, light.signs.right);
  screen.Put(row, left, more, Style::kNotice, left + layout.label - 1);
  for (size_t i = 0; i < layout.depths && layout.first_depth + i < board.depths.size(); ++i) {
    const size_t column = left + layout.label + i * layout.cell;
    screen.PutFit(row, column, board.depths[layout.first_depth + i], Style::kTitle, column + layout.cell - 1,
                  light.signs);
  }
}

// The board's lines in screen rows `begin` to before `end`, the cursor's among them. Returns how many lines lie above
// and below.
std::pair<size_t, size_t> DrawRows(const Board& board, const View* view, const Painter& painter, size_t begin,
                                   size_t end) {
  const Layout& layout = painter.layout;
  const size_t step = layout.two_lines ? 2 : 1, shown = end - begin, height = layout.Height(board);
  size_t cursor = 0;
  if (view != nullptr) {
    for (size_t i = 0; i < std::min(view->row, board.rows.size()); ++i) cursor += layout.Height(board.rows[i]);
    cursor += (layout.folded ? 0 : view->seed) * step + step - 1;
  }
  const size_t skipped = FirstShown(cursor, shown, height);
  size_t line = 0;
  for (size_t i = 0; i < board.rows.size(); ++i) {
    const size_t seeds = layout.Height(board.rows[i]) / step;
    for (size_t seed = 0; seed < seeds; ++seed, line += step) {
      if (line < skipped || line - skipped >= shown) continue;
      const size_t row = begin + line - skipped;
      painter.Label(board.rows[i], seed, row);
      for (size_t d = 0; d < layout.depths && layout.first_depth + d < board.depths.size(); ++d) {
        const size_t column = painter.left + layout.label + d * layout.cell, depth = layout.first_depth + d;
        painter.Cell(board.rows[i].cells[depth], seed, row, column, row + 1 >= end);
        const bool selected =
            view != nullptr && view->row == i && view->depth == depth && (layout.folded || view->seed == seed);
        if (selected) {
          for (size_t r = row; r < std::min(row + step, end); ++r)
            painter.screen.Select(r, column, column + layout.cell - 1);
        }
      }
    }
  }
  return {skipped, height > skipped + shown ? height - skipped - shown : 0};
}

}  // namespace

void DrawBoard(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  if (known.trials.empty()) {
    if (!known.away()) screen.Put(kTop, 1, absl::StrCat("Asking the coordinator at ", known.address, "."), Style::kDim);
    return;
  }
  const std::vector<Board> boards = Arrange(known.experiment, known.trials);
  const size_t shown = std::min(view.board, boards.size() - 1);
  const Board& board = boards[shown];
  const size_t line = Bottom(screen) - kDetails, top = kTop + 1;
  const Layout layout = LayOut(board, view, line - top, screen.columns() - 2);
  const Painter painter{known, light, layout, 1, screen};
  DrawHeader(board, layout, light, 1, kTop, screen);
  const auto [above, below] = DrawRows(board, &view, painter, top, line);
  for (size_t column = 1; column + 1 < screen.columns(); ++column)
    screen.Put(line, column, light.signs.line, Style::kDim);
  std::string title = absl::StrCat(" ", board.title, " ");
  if (boards.size() > 1) title = absl::StrCat(" board ", shown + 1, " of ", boards.size(), ": ", board.title, " ");
  screen.PutFit(line, 2, title, Style::kDim, screen.columns() - 24, light.signs);
  if (above + below > 0) {
    const std::string more = absl::StrCat(" lines: ", above, " above, ", below, " below ");
    screen.Put(line, screen.columns() - 2 - more.size(), more, Style::kDim);
  }
  if (const v1::Trial* trial = Selected(view, known); trial != nullptr) {
    size_t row = line + 1;
    for (const std::string& text : Details(known, *trial, light.now))
      screen.PutFit(row++, 1, text, Style::kText, screen.columns() - 1, light.signs);
  } else {
    screen.Put(line + 1, 1, "No trial of the grid stands here.", Style::kDim);
  }
}

std::string BoardText(const Knowledge& known, const Light& light) {
  std::string text = absl::StrCat(ShortName(known.experiment.name()), "\n");
  View view;
  view.folded = false;
  for (const Board& board : Arrange(known.experiment, known.trials)) {
    Layout layout;
    layout.label = LabelWidth(board, /*folded=*/false);
    layout.cell = kMostCell;
    layout.depths = std::max<size_t>(1, board.depths.size());
    layout.two_lines = true;
    Screen screen(layout.Height(board) + 1, layout.label + layout.cell * layout.depths);
    const Painter painter{known, light, layout, 0, screen};
    DrawHeader(board, layout, light, 0, 0, screen);
    DrawRows(board, nullptr, painter, 1, screen.rows());
    absl::StrAppend(&text, "\n", board.title, "\n", screen.Text());
  }
  return text;
}

}  // namespace strata::client::top
