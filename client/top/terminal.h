// The real terminal: ncurses in the whole-screen mode, left again however the program ends.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "client/top/screen.h"
#include "client/top/view.h"

namespace strata::client::top {

// Whether the locale's encoding is UTF-8. Sets the program's locale to the environment's.
bool LocaleIsUtf8();

// One at a time, and of one thread. While it lives, SIGINT, SIGTERM and SIGHUP only set what ended() returns; SIGTSTP
// suspends the program with the terminal restored. Fatal signals restore the terminal before they end the program.
class Terminal {
 public:
  // FAILED_PRECONDITION: standard input or output is no terminal, or one that cannot move its cursor; says which.
  static absl::Status Usable();
  explicit Terminal(bool color);  // Usable() is OK
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool color() const { return color_; }
  size_t rows() const;
  size_t columns() const;
  // Writes what differs from the screen shown before.
  void Show(const Screen& screen);
  // Waits for a key for at most that long. Nothing: time is up, or the size has changed, or a signal has come.
  std::optional<Key> ReadKey(int milliseconds);
  // The signal that asks the program to end; 0 if none has come.
  static int ended();

 private:
  std::optional<Screen> shown_;
  bool color_ = false;
  bool utf8_ = false;
};

}  // namespace strata::client::top
