#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"

namespace strata::client {
namespace {

absl::Status Retry(const Context& context, const std::string& text) {
  const auto name = ParseNameOf(NameKind::kJob, text);
  if (!name.ok()) return name.status();
  const Connection connection = context.Connect();
  v1::RetryJobRequest request;
  request.set_name(*name);
  const auto job = connection.Call(&v1::JobService::Stub::RetryJob, connection.jobs(), request);
  if (!job.ok()) return job.status();
  if (context.json()) {
    PrintJson(*job);
  } else {
    std::printf("%s is %s again, after %d attempt%s.\n", ShortName(*name).c_str(), StateName(job->state()).c_str(),
                job->attempts_size(), job->attempts_size() == 1 ? "" : "s");
  }
  return absl::OkStatus();
}

}  // namespace

void AddRetry(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "retry",
                 "Queue a FAILED or CANCELLED job again, from its last checkpoint. A trial stands for its TRAIN job.",
                 {"strata retry quickstart-1/t3", "strata retry quickstart-1/t3/evaluate-1"});
  static std::string name;
  command->add_option("JOB", name, "Job, or trial")->required();
  OnRun(command, context, [&context] { return Retry(context, name); });
}

}  // namespace strata::client
