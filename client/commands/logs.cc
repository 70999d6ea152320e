#include <chrono>
#include <thread>

#include "client/commands/command.h"
#include "client/names.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

constexpr std::chrono::milliseconds kPoll{500};

struct LogsOptions {
  std::string name;
  int attempt = 0;
  bool follow = false;
};

absl::Status Logs(const Context& context, const LogsOptions& options) {
  const auto name = ParseNameOf(NameKind::kJob, options.name);
  if (!name.ok()) return name.status();
  const Connection connection = context.Connect();
  v1::GetJobLogRequest request;
  request.set_name(*name);
  request.set_attempt(options.attempt);
  std::string whole;
  for (;;) {
    const auto log = connection.CallPatiently(&v1::JobService::Stub::GetJobLog, connection.jobs(), request);
    if (!log.ok()) return log.status();
    const bool nothing_new = log->text().empty();
    request.set_offset(log->next_offset());
    request.set_attempt(log->attempt());
    if (context.json()) {
      whole += log->text();
    } else {
      std::fwrite(log->text().data(), 1, log->text().size(), stdout);
      std::fflush(stdout);
    }
    if (log->complete() || (nothing_new && !options.follow)) break;
    if (nothing_new) std::this_thread::sleep_for(kPoll);
  }
  if (context.json())
    std::puts(nlohmann::json({{"job", *name}, {"attempt", request.attempt()}, {"text", whole}})
                  .dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                  .c_str());
  return absl::OkStatus();
}

}  // namespace

void AddLogs(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "logs", "Print the log of a job's attempt. A trial stands for its TRAIN job.",
                 {"strata logs quickstart-1/t3", "strata logs quickstart-1/t3/evaluate-1 --follow",
                  "strata logs quickstart-1/t3 --attempt 1"});
  static LogsOptions options;
  command->add_option("JOB", options.name, "Job, or trial")->required();
  command->add_option("--attempt", options.attempt, "Attempt; the last by default")->check(CLI::PositiveNumber);
  command->add_flag("-f,--follow", options.follow, "Go on until the attempt ends");
  OnRun(command, context, [&context] { return Logs(context, options); });
}

}  // namespace strata::client
