#include "client/commands/command.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "absl/strings/str_split.h"
#include "client/home.h"
#include "google/protobuf/util/json_util.h"

namespace strata::client {

Connection Context::Connect() const {
  const std::string to = ResolveAddress(address);
  auto chosen = ResolveSecurity(security, to, IsEmbedded(address));
  if (!chosen.ok()) {
    std::fprintf(stderr, "%s\n", std::string(chosen.status().message()).c_str());
    std::exit(2);
  }
  return Connection(to, *std::move(chosen));
}

namespace {

// Known to every command, and shown by 'strata --help' alone.
void AddSecurity(CLI::App& command, SecurityFlags& flags, const std::string& group) {
  command.add_option("--tls-ca", flags.tls_ca, "Authority that the coordinator's certificate is checked with (STRATA_TLS_CA)")
      ->group(group);
  command.add_option("--tls-cert", flags.tls_cert, "Own certificate, where one is used (STRATA_TLS_CERT)")->group(group);
  command.add_option("--tls-key", flags.tls_key, "Its key (STRATA_TLS_KEY)")->group(group);
  command.add_option("--token-file", flags.token_file, "File that holds the token (STRATA_TOKEN, STRATA_TOKEN_FILE)")
      ->group(group);
}

}  // namespace

void AddSecurityOptions(CLI::App& app, Context& context) { AddSecurity(app, context.security, "TLS"); }

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return 2;
    case absl::StatusCode::kUnavailable:
      return 3;
    case absl::StatusCode::kCancelled:
      return 130;
    default:
      return 1;
  }
}

CLI::App* AddCommand(CLI::App& parent, Context& context, const std::string& name, const std::string& what,
                     const std::vector<std::string>& examples, const std::string& outputs) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->add_option("--address", context.address,
                      "Coordinator, HOST:PORT. Else STRATA_ADDRESS, else the embedded cluster's, else localhost:7070");
  AddSecurity(*command, context.security, "");
  if (!outputs.empty()) {
    command->add_option("--output", context.output, "Form of the answer: " + outputs)
        ->check(CLI::IsMember(std::vector<std::string>(absl::StrSplit(outputs, ','))));
  }
  std::string footer = "\nExamples:\n";
  for (const std::string& example : examples) footer += "  " + example + "\n";
  command->footer(footer +
                  "\nExit status: 0 ok, 1 failed, 2 wrong usage or bad input, 3 no coordinator, 130 interrupted.");
  return command;
}

void OnRun(CLI::App* command, Context& context, std::function<absl::Status()> run) {
  command->callback([&context, run = std::move(run)] { context.run = run; });
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = true;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

void PrintJson(const google::protobuf::Message& message) { std::fputs(ToJson(message).c_str(), stdout); }

absl::Status ConfirmDeletion(const std::string& before, const std::string& unattended) {
  if (isatty(STDIN_FILENO) == 0) return absl::InvalidArgumentError(unattended);
  std::printf("%sDelete all of this for good? Type yes: ", before.c_str());
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes" ? absl::OkStatus() : absl::AbortedError("Nothing was deleted.");
}

}  // namespace strata::client
