// The board of an experiment: its trials as cells of scheme x depth, one board for each task and dataset. Pure values.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/top/knowledge.h"
#include "client/top/screen.h"

namespace strata::client::top {

struct BoardRow {
  std::string label;                       // the scheme, and what else tells rows apart: "b2t rescale_init=true"
  std::vector<std::vector<size_t>> cells;  // for each depth the trials, as indices, seed by seed; may be empty
  size_t most = 0;                         // trials of its fullest cell
};

struct Board {
  std::string title;                // "translation debian-en-de"
  std::vector<std::string> depths;  // shallow first
  std::vector<BoardRow> rows;
  size_t most_seeds = 1;  // of any cell
};

// Boards in the order in which their first trials stand; never empty. Indices are into `trials`.
std::vector<Board> Arrange(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials);

// What a cell says of a trial: a sign, a word in short, and a second line with more. `style` goes with the sign.
struct CellText {
  std::string first, second;
  Style style = Style::kText;
};
CellText Tell(const v1::Trial& trial, const MainScore* score, absl::Time now, const Signs& signs, size_t width);
// What a cell of several seeds says in one line: how many stand how, and the mean score of those that are done.
CellText TellFolded(const std::vector<size_t>& cell, const Knowledge& known, const Signs& signs);

// Everything about a trial in a line or two, for the lines below the board.
std::vector<std::string> Details(const Knowledge& known, const v1::Trial& trial, absl::Time now);

// Seconds until the training ends by the service's estimate; negative if it has none.
double SecondsLeft(const v1::Trial& trial, absl::Time now);
// "48s", "12m05", "3h20", "2d4h"; "" for a negative number.
std::string ShortDuration(double seconds);
// "bleu 26.53": two decimals, as tables have it.
std::string ScoreText(const MainScore& score);

}  // namespace strata::client::top
