// What the subcommands share. Each file here adds one subcommand by its Add function and sets Context::run when it is
// chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/connection.h"
#include "google/protobuf/message.h"

namespace strata::client {

struct Context {
  std::string address;           // --address; empty: resolved by ResolveAddress
  SecurityFlags security;        // --tls-ca and the like
  std::string output = "table";  // --output
  std::function<absl::Status()> run;

  bool json() const { return output == "json"; }
  // Ends the program with status 2 where certificates or the token cannot be used as they are.
  Connection Connect() const;
};

// Exit status for how a command ended: 0 ok, 1 failed, 2 usage or bad input, 3 no coordinator.
int ExitCode(const absl::Status& status);

// A subcommand with --address and --output. `examples` are lines of its help.
CLI::App* AddCommand(CLI::App& parent, Context& context, const std::string& name, const std::string& what,
                     const std::vector<std::string>& examples, const std::string& outputs = "table,json");

// --tls-ca and the like of the program itself.
void AddSecurityOptions(CLI::App& app, Context& context);

// `run` becomes what the program does when `command` is chosen.
void OnRun(CLI::App* command, Context& context, std::function<absl::Status()> run);

// The message as JSON with the proto's own names, indented.
std::string ToJson(const google::protobuf::Message& message);
void PrintJson(const google::protobuf::Message& message);

// OK after a typed yes to "Delete all of this for good?", with `before` printed before it; ABORTED after anything else.
// INVALID_ARGUMENT `unattended` where nobody can type.
absl::Status ConfirmDeletion(const std::string& before, const std::string& unattended);

// {"KEY": [...]} of messages.
template <typename Message>
void PrintJsonList(const std::string& key, const std::vector<Message>& messages) {
  std::string text = "{\"" + key + "\": [";
  for (size_t i = 0; i < messages.size(); ++i) text += (i == 0 ? "\n" : ",\n") + ToJson(messages[i]);
  std::fputs((text + "]}\n").c_str(), stdout);
}

// Follows an experiment until it is done. On a terminal a board, else plain lines; outlives restarts of the
// coordinator. OK once done, whatever came out of it; CANCELLED after Ctrl-C.
absl::Status Watch(const Connection& connection, const std::string& experiment, bool draw);

// ABORTED unless every trial is SUCCEEDED or DIVERGED.
absl::Status Verdict(const v1::Experiment& experiment);

void AddUp(CLI::App& app, Context& context);
void AddDown(CLI::App& app, Context& context);
void AddSubmit(CLI::App& app, Context& context);
void AddPlan(CLI::App& app, Context& context);
void AddProbe(CLI::App& app, Context& context);
void AddList(CLI::App& app, Context& context);
void AddDescribe(CLI::App& app, Context& context);
void AddTop(CLI::App& app, Context& context);
void AddWatch(CLI::App& app, Context& context);
void AddLogs(CLI::App& app, Context& context);
void AddCancel(CLI::App& app, Context& context);
void AddRetry(CLI::App& app, Context& context);
void AddHold(CLI::App& app, Context& context);
void AddRelease(CLI::App& app, Context& context);
void AddWait(CLI::App& app, Context& context);
void AddMetrics(CLI::App& app, Context& context);
void AddReport(CLI::App& app, Context& context);
void AddCheckpoints(CLI::App& app, Context& context);
void AddWorkers(CLI::App& app, Context& context);
void AddWorkerCommands(CLI::App& workers, Context& context);  // of 'strata workers'
void AddData(CLI::App& app, Context& context);
void AddAdmin(CLI::App& app, Context& context);
void AddAdminAudit(CLI::App& admin, Context& context);   // of 'strata admin'
void AddAdminCerts(CLI::App& admin, Context& context);
void AddAdminTokens(CLI::App& admin, Context& context);
void AddAdminBackup(CLI::App& admin, Context& context);
void AddAdminCheck(CLI::App& admin, Context& context);
void AddAdminRestore(CLI::App& admin, Context& context);
void AddDelete(CLI::App& app, Context& context);
void AddUsage(CLI::App& app, Context& context);
void AddGarbage(CLI::App& app, Context& context);
void AddGenerate(CLI::App& app, Context& context);
void AddScore(CLI::App& app, Context& context);
void AddSpec(CLI::App& app, Context& context);
void AddCompletion(CLI::App& app, Context& context);

}  // namespace strata::client
