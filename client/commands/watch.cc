#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/progress.h"
#include "server/base/mutex.h"

namespace strata::client {
namespace {

constexpr std::chrono::milliseconds kRedraw{500};
constexpr absl::Duration kPatience = absl::Minutes(10);  // with a coordinator that is away

volatile std::sig_atomic_t interrupted = 0;

void OnInterrupt(int) { interrupted = 1; }

// What the reading thread and the drawing one share.
struct Shared {
  base::Mutex mutex;
  base::CondVar changed;
  Board board ABSL_GUARDED_BY(mutex);
  std::vector<std::string> lines ABSL_GUARDED_BY(mutex);  // plain lines not yet printed
  bool ended ABSL_GUARDED_BY(mutex) = false;
  bool away ABSL_GUARDED_BY(mutex) = false;  // the coordinator does not answer
  absl::Status status ABSL_GUARDED_BY(mutex);
  grpc::ClientContext* call ABSL_GUARDED_BY(mutex) = nullptr;
};

// One stream, to its end.
grpc::Status ReadStream(const Connection& connection, const std::string& experiment, Shared& shared) {
  grpc::ClientContext context;
  {
    base::MutexLock lock(shared.mutex);
    shared.call = &context;
  }
  v1::WatchExperimentRequest request;
  request.set_name(experiment);
  const auto stream = connection.experiments().WatchExperiment(&context, request);
  v1::WatchExperimentResponse message;
  while (stream->Read(&message)) {
    base::MutexLock lock(shared.mutex);
    shared.away = false;
    shared.board.Update(message.experiment(), {message.trials().begin(), message.trials().end()}, &shared.lines);
    shared.changed.NotifyAll();
  }
  const grpc::Status status = stream->Finish();
  base::MutexLock lock(shared.mutex);
  shared.call = nullptr;
  return status;
}

// Streams again and again until the experiment is done, an error is final, or patience ends.
void Follow(const Connection& connection, const std::string& experiment, Shared& shared) {
  absl::Time last_answer = absl::InfinitePast();
  absl::Status status;
  while (interrupted == 0) {
    const grpc::Status end = ReadStream(connection, experiment, shared);
    base::MutexLock lock(shared.mutex);
    if (end.ok() && shared.board.experiment().done()) break;
    if (!shared.away && !shared.board.experiment().name().empty()) last_answer = absl::Now();
    const bool passes = end.ok() || end.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!passes || absl::Now() - last_answer > kPatience) {
      status = connection.Explain(end);
      break;
    }
    if (!end.ok() && !shared.away) {
      shared.lines.push_back(
          absl::StrCat("The coordinator at ", connection.address(), " does not answer; trying again."));
      shared.away = true;
    }
    shared.changed.WaitFor(shared.mutex, kRedraw);
  }
  base::MutexLock lock(shared.mutex);
  shared.status = status;
  shared.ended = true;
  shared.changed.NotifyAll();
}

void Erase(size_t lines) {
  if (lines > 0) std::printf("\033[%zuA\033[J", lines);
}

winsize WindowSize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    size.ws_col = 100;
    size.ws_row = 24;
  }
  return size;
}

}  // namespace

absl::Status Watch(const Connection& connection, const std::string& experiment, bool draw) {
  Shared shared;
  interrupted = 0;
  const auto before = std::signal(SIGINT, OnInterrupt);
  std::thread reader([&] { Follow(connection, experiment, shared); });
  const bool color = std::getenv("NO_COLOR") == nullptr;
  size_t drawn = 0;
  absl::Status status;
  for (bool ended = false; !ended;) {
    base::MutexLock lock(shared.mutex);
    ended = shared.ended;
    if (interrupted != 0 && shared.call != nullptr) shared.call->TryCancel();
    if (draw) {
      const winsize size = WindowSize();
      std::vector<std::string> lines = shared.board.Draw(absl::Now(), size.ws_col, size.ws_row, color);
      if (shared.away) lines.push_back("The coordinator does not answer; trying again.");
      Erase(drawn);
      for (const std::string& line : lines) std::puts(line.c_str());
      drawn = lines.size();
    } else {
      for (const std::string& line : shared.lines) std::puts(line.c_str());
    }
    shared.lines.clear();
    std::fflush(stdout);
    if (!ended) shared.changed.WaitFor(shared.mutex, kRedraw);
    status = shared.status;
  }
  reader.join();
  std::signal(SIGINT, before);
  if (interrupted != 0) {
    const std::string name = ShortName(experiment);
    return absl::CancelledError(
        absl::StrCat(name, " goes on. 'strata watch ", name, "' shows it again, 'strata cancel ", name, "' ends it."));
  }
  return status;
}

void AddWatch(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(
      app, context, "watch",
      "Follow an experiment until it is done: a board with progress and ETA on a terminal, plain lines elsewhere. "
      "Ctrl-C leaves it running.",
      {"strata watch quickstart-1", "strata watch quickstart-1 | tee watch.log"}, "");
  static std::string name;
  static bool plain = false;
  command->add_option("EXPERIMENT", name, "Experiment")->required();
  command->add_flag("--plain", plain, "Plain lines on a terminal too");
  OnRun(command, context, [&context]() -> absl::Status {
    const auto full = ParseNameOf(NameKind::kExperiment, name);
    if (!full.ok()) return full.status();
    return Watch(context.Connect(), *full, isatty(STDOUT_FILENO) != 0 && !plain);
  });
}

}  // namespace strata::client
