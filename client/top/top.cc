#include "client/top/top.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/top/draw.h"
#include "client/top/poller.h"
#include "client/top/score_query.h"
#include "client/top/terminal.h"

namespace strata::client::top {
namespace {

constexpr int kKeyWait = 200;  // ms; also the longest that a change waits to be shown

// The signals that the terminal's thread takes; other threads inherit that they are blocked.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH}) sigaddset(&ours, signal);
    pthread_sigmask(SIG_BLOCK, &ours, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

Light LightOf(bool color, bool utf8) {
  return {utf8 ? Signs::Unicode(color) : Signs::Ascii(), absl::Now(), absl::LocalTimeZone()};
}

// NOT_FOUND, UNAVAILABLE: what is wrong before the screen is taken.
absl::Status Check(const Connection& connection, const std::string& experiment) {
  if (experiment.empty()) {
    v1::ListExperimentsRequest request;
    request.set_page_size(1);
    return connection.Call(&v1::ExperimentService::Stub::ListExperiments, connection.experiments(), request).status();
  }
  v1::GetExperimentRequest request;
  request.set_name(experiment);
  return connection.Call(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), request).status();
}

void Loop(Terminal& terminal, Poller& poller, View& view) {
  const bool utf8 = LocaleIsUtf8();
  uint64_t drawn = 0;
  int64_t second = 0;
  size_t rows = 0, columns = 0;
  bool pressed = false;
  while (!view.quit && Terminal::ended() == 0) {
    const uint64_t version = poller.version();
    const Light light = LightOf(terminal.color(), utf8);
    const bool resized = rows != terminal.rows() || columns != terminal.columns();
    if (version != drawn || pressed || resized || absl::ToUnixSeconds(light.now) != second) {
      drawn = version;
      second = absl::ToUnixSeconds(light.now);
      rows = terminal.rows();
      columns = terminal.columns();
      std::optional<Screen> screen;
      Wish wish;
      poller.Look([&](const Knowledge& known) {
        Clamp(known, view);
        wish = WishOf(view, known);
        screen = Draw(known, view, light, rows, columns);
      });
      poller.Want(wish);
      terminal.Show(*screen);
    }
    const std::optional<Key> key = terminal.ReadKey(kKeyWait);
    pressed = key.has_value();
    if (!pressed) continue;
    std::optional<Command> command;
    poller.Look([&](const Knowledge& known) { command = Press(*key, known, view); });
    if (command.has_value()) poller.Do(*command);
  }
}

}  // namespace

absl::Status Monitor(const std::function<Connection()>& connect, const Options& options) {
  std::optional<SignalsBlocked> blocked(std::in_place);
  const Connection connection = connect();
  if (const absl::Status status = Check(connection, options.experiment); !status.ok()) return status;
  Poller poller(connection);
  blocked.reset();
  View view;
  view.experiment = options.experiment;
  if (view.experiment.empty()) view.page = Page::kExperiments;
  try {
    Terminal terminal(options.color);
    Loop(terminal, poller, view);
  } catch (const std::exception& error) {  // here the terminal is restored
    return absl::InternalError(absl::StrCat("strata top ended by a fault of its own: ", error.what()));
  }
  const int signal = Terminal::ended();
  if (signal == SIGINT) return absl::CancelledError("");
  if (signal != 0) std::raise(signal);
  return absl::OkStatus();
}

absl::Status PrintOnce(const Connection& connection, const std::string& experiment) {
  const Light light = LightOf(/*color=*/false, LocaleIsUtf8());
  Knowledge known;
  known.address = connection.address();
  v1::GetExperimentRequest request;
  request.set_name(experiment);
  const auto found = connection.Call(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), request);
  if (!found.ok()) return found.status();
  auto trials = ListTrials(connection, experiment);
  if (!trials.ok()) return trials.status();
  known.experiment = *found;
  known.trials = *std::move(trials);
  for (const v1::Trial& trial : known.trials) {
    const std::optional<ScoreQuery> query = QueryOf(trial);
    for (const std::string& job : query.has_value() ? query->jobs : std::vector<std::string>{}) {
      const auto points = QueryScalars(connection, job, query->metric);
      if (!points.ok() && !absl::IsNotFound(points.status())) return points.status();
      if (!points.ok() || points->empty()) continue;
      known.scores[trial.name()] = {query->metric, points->back().value()};
      break;
    }
  }
  std::fputs(BoardText(known, light).c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace strata::client::top
