// Pages of the monitor as screens. Pure: knowledge and view in, cells out.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "client/top/knowledge.h"
#include "client/top/screen.h"
#include "client/top/view.h"

namespace strata::client::top {

inline constexpr size_t kLeastRows = 24, kLeastColumns = 80;

// What a picture depends on besides knowledge and view.
struct Light {
  Signs signs;
  absl::Time now;
  absl::TimeZone zone;  // of the times shown
};

// The whole screen. Below kLeastRows x kLeastColumns a single line that says so.
Screen Draw(const Knowledge& known, const View& view, const Light& light, size_t rows, size_t columns);

// The lines of a page, each as high as its part of the screen, for Draw.
void DrawExperiments(const Knowledge& known, const View& view, const Light& light, Screen& screen);
void DrawBoard(const Knowledge& known, const View& view, const Light& light, Screen& screen);
void DrawTrial(const Knowledge& known, const View& view, const Light& light, Screen& screen);
void DrawWorkers(const Knowledge& known, const View& view, const Light& light, Screen& screen);
void DrawLogs(const Knowledge& known, const View& view, const Light& light, Screen& screen);
void DrawHelp(const Light& light, Screen& screen);

// All boards of an experiment whole, however wide and long, as plain text.
std::string BoardText(const Knowledge& known, const Light& light);

// Rows of a page: the title and the status stand above, the notice and the keys below.
inline constexpr size_t kTop = 2;
inline size_t Bottom(const Screen& screen) { return screen.rows() - 2; }

// The first of `shown` lines of `count` such that `at` is among them.
inline size_t FirstShown(size_t at, size_t shown, size_t count) {
  if (count <= shown || shown == 0) return 0;
  return at < shown ? 0 : at - shown + 1;
}

}  // namespace strata::client::top
