#include "client/top/palette.h"

#include <ncursesw/curses.h>

namespace strata::client::top {
namespace {

struct Look {
  short many, few;    // colour of 256 and of 8; -1: the terminal's own
  attr_t with, mono;  // attributes beside a colour, and where there is none
};

constexpr short kHeatMany[kHeatLevels] = {18, 19, 25, 60, 66, 102, 108, 144, 143, 179, 221, 228};
constexpr short kHeatFew[kHeatLevels] = {4, 4, 4, 6, 6, 6, 7, 7, 7, 3, 3, 3};

Look LookOf(Style style) {
  switch (style) {
    case Style::kText:
    case Style::kQueued:
      return {-1, -1, A_NORMAL, A_NORMAL};
    case Style::kTitle:
    case Style::kKey:
      return {-1, -1, A_BOLD, A_BOLD};
    case Style::kDim:
      return {245, -1, A_NORMAL, A_DIM};
    case Style::kCancelled:
      return {245, -1, A_DIM, A_DIM};
    case Style::kNotice:
      return {220, 3, A_BOLD, A_BOLD};
    case Style::kRunning:
      return {74, 6, A_BOLD, A_BOLD};
    case Style::kDone:
      return {36, 2, A_NORMAL, A_NORMAL};
    case Style::kDiverged:
      return {214, 3, A_NORMAL, A_UNDERLINE};
    case Style::kFailed:
      return {202, 5, A_BOLD, A_BOLD | A_UNDERLINE};
    case Style::kTrain:
      return {74, 6, A_NORMAL, A_NORMAL};
    case Style::kValid:
      return {214, 3, A_BOLD, A_BOLD};
    default: {
      const int level = static_cast<int>(style) - static_cast<int>(Style::kHeat);
      return {kHeatMany[level], kHeatFew[level], A_NORMAL, A_NORMAL};
    }
  }
}

constexpr int kStyles = static_cast<int>(Style::kHeat) + kHeatLevels;

}  // namespace

void DefineColors() {
  use_default_colors();
  for (int i = 0; i < kStyles; ++i) {
    const Look look = LookOf(static_cast<Style>(i));
    init_pair(static_cast<short>(i + 1), COLORS >= 256 ? look.many : look.few, -1);
  }
}

void ApplyLook(Style style, bool selected, bool color) {
  const Look look = LookOf(style);
  const attr_t attributes = (color ? look.with : look.mono) | (selected ? A_REVERSE : A_NORMAL);
  attr_set(attributes, static_cast<short>(color ? static_cast<int>(style) + 1 : 0), nullptr);
}

}  // namespace strata::client::top
