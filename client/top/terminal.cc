#include "client/top/terminal.h"

#include <langinfo.h>
#include <ncursesw/curses.h>
#include <ncursesw/term.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/top/palette.h"

// The macros of curses that words of ours would meet.
#undef lines
#undef columns

namespace strata::client::top {
namespace {

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP};
constexpr int kFatal[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};

volatile std::sig_atomic_t end_signal = 0;
struct sigaction before_ending[std::size(kEnding)], before_fatal[std::size(kFatal)];

// What a handler needs to restore the terminal without curses, which no handler may call.
termios modes_before;
char leave_sequence[128];
size_t leave_length = 0;

void OnEnding(int signal) { end_signal = signal; }

void OnFatal(int signal) {
  (void)!write(STDOUT_FILENO, leave_sequence, leave_length);
  tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
  std::signal(signal, SIG_DFL);
  raise(signal);
}

void CatchSignals() {
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = OnEnding;  // without SA_RESTART: it ends the wait for a key
  for (size_t i = 0; i < std::size(kEnding); ++i) sigaction(kEnding[i], &action, &before_ending[i]);
  action.sa_handler = OnFatal;
  for (size_t i = 0; i < std::size(kFatal); ++i) sigaction(kFatal[i], &action, &before_fatal[i]);
}

void GiveSignalsBack() {
  for (size_t i = 0; i < std::size(kEnding); ++i) sigaction(kEnding[i], &before_ending[i], nullptr);
  for (size_t i = 0; i < std::size(kFatal); ++i) sigaction(kFatal[i], &before_fatal[i], nullptr);
}

// The terminal's words for: attributes off, cursor visible, keypad off, the screen of before.
void KeepLeaveSequence() {
  leave_length = 0;
  for (const char* capability : {"sgr0", "cnorm", "rmkx", "rmcup"}) {
    const char* text = tigetstr(const_cast<char*>(capability));
    if (text == nullptr || text == reinterpret_cast<char*>(-1)) continue;
    const size_t length = std::strlen(text);
    if (leave_length + length > sizeof(leave_sequence)) continue;
    std::memcpy(leave_sequence + leave_length, text, length);
    leave_length += length;
  }
}

Key KeyOf(int code) {
  switch (code) {
    case KEY_UP:
      return {Key::kUp};
    case KEY_DOWN:
      return {Key::kDown};
    case KEY_LEFT:
      return {Key::kLeft};
    case KEY_RIGHT:
      return {Key::kRight};
    case KEY_PPAGE:
      return {Key::kPageUp};
    case KEY_NPAGE:
      return {Key::kPageDown};
    case KEY_HOME:
      return {Key::kHome};
    case KEY_END:
      return {Key::kEnd};
    case KEY_ENTER:
    case '\n':
    case '\r':
      return {Key::kEnter};
    case '\t':
      return {Key::kTab};
    case KEY_BTAB:
      return {Key::kBackTab};
    case 27:
    case KEY_BACKSPACE:
      return {Key::kEscape};
    default:
      return {code < KEY_MIN ? code : 0};
  }
}

void WriteRun(int row, int column, const Screen& screen, size_t begin, size_t end, bool utf8) {
  std::wstring run;
  std::string bytes;
  for (size_t i = begin; i < end; ++i) {
    const char32_t glyph = screen.at(static_cast<size_t>(row), i).glyph;
    if (glyph == 0) continue;
    run.push_back(static_cast<wchar_t>(glyph));
    bytes.push_back(glyph < 0x80 ? static_cast<char>(glyph) : '?');
  }
  if (utf8) {
    mvaddnwstr(row, column, run.c_str(), static_cast<int>(run.size()));
  } else {
    mvaddnstr(row, column, bytes.c_str(), static_cast<int>(bytes.size()));
  }
}

}  // namespace

bool LocaleIsUtf8() { return std::setlocale(LC_ALL, "") != nullptr && std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0; }

absl::Status Terminal::Usable() {
  for (const auto& [file, name] :
       {std::pair{STDIN_FILENO, "Standard input"}, std::pair{STDOUT_FILENO, "Standard output"}}) {
    if (isatty(file) == 0) return absl::FailedPreconditionError(absl::StrCat(name, " is no terminal."));
  }
  const char* term = std::getenv("TERM");
  const std::string name = term == nullptr ? "" : term;
  int error = 0;
  if (name.empty() || setupterm(name.c_str(), STDOUT_FILENO, &error) == ERR)
    return absl::FailedPreconditionError(
        absl::StrCat("TERM is \"", name, "\", which is no terminal that this machine knows."));
  const char* move = tigetstr(const_cast<char*>("cup"));
  if (move == nullptr || move == reinterpret_cast<char*>(-1))
    return absl::FailedPreconditionError(absl::StrCat("The terminal \"", name, "\" cannot move its cursor."));
  return absl::OkStatus();
}

Terminal::Terminal(bool color) : utf8_(LocaleIsUtf8()) {
  end_signal = 0;
  tcgetattr(STDIN_FILENO, &modes_before);
  CatchSignals();  // before curses, which would end the program at them
  set_escdelay(50);
  newterm(nullptr, stdout, stdin);
  KeepLeaveSequence();
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  curs_set(0);
  color_ = color && has_colors() && start_color() == OK;
  if (color_) DefineColors();
}

Terminal::~Terminal() {
  endwin();
  GiveSignalsBack();
}

size_t Terminal::rows() const { return static_cast<size_t>(std::max(1, getmaxy(stdscr))); }
size_t Terminal::columns() const { return static_cast<size_t>(std::max(1, getmaxx(stdscr))); }

int Terminal::ended() { return end_signal; }

std::optional<Key> Terminal::ReadKey(int milliseconds) {
  timeout(milliseconds);
  const int code = getch();
  if (code == ERR) return std::nullopt;
  if (code == KEY_RESIZE) {
    shown_.reset();
    return std::nullopt;
  }
  if (code == 12) {  // ctrl-L
    shown_.reset();
    return std::nullopt;
  }
  return KeyOf(code);
}

void Terminal::Show(const Screen& screen) {
  const bool whole = !shown_.has_value() || shown_->rows() != screen.rows() || shown_->columns() != screen.columns();
  if (whole) {
    erase();
    clearok(stdscr, TRUE);
  }
  for (size_t row = 0; row < screen.rows(); ++row) {
    for (size_t column = 0; column < screen.columns();) {
      const Cell& cell = screen.at(row, column);
      if (!whole && cell == shown_->at(row, column)) {
        ++column;
        continue;
      }
      size_t end = column + 1;  // cells of one look that differ are one run
      while (end < screen.columns() && screen.at(row, end).style == cell.style &&
             screen.at(row, end).selected == cell.selected && (whole || screen.at(row, end) != shown_->at(row, end)))
        ++end;
      if (cell.glyph == 0 && column > 0) --column;  // the right half of a wide character: write all of it
      ApplyLook(cell.style, cell.selected, color_);
      WriteRun(static_cast<int>(row), static_cast<int>(column), screen, column, end, utf8_);
      column = end;
    }
  }
  refresh();
  shown_ = screen;
}

}  // namespace strata::client::top
