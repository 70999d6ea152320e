// strata admin: whoami here, the rest in admin_*.cc
#include "client/commands/admin.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"

namespace strata::client {
namespace {

constexpr int64_t kClocksApart = 5;  // seconds that are worth a word

absl::Status WhoAmI(const Context& context) {
  const Connection connection = context.Connect();
  const auto caller = connection.Call(&v1::AccessService::Stub::GetCaller, connection.access(), v1::GetCallerRequest());
  if (!caller.ok()) return caller.status();
  if (context.json()) {
    PrintJson(*caller);
    return absl::OkStatus();
  }
  std::printf("%s, %s, known by %s", caller->name().c_str(), RoleName(caller->role()).c_str(),
              caller->means() == "none" ? "nothing: this coordinator asks nobody" : caller->means().c_str());
  if (caller->has_expire_time()) std::printf(" until %s", FormatTime(caller->expire_time()).c_str());
  std::printf(".\nThe coordinator is Strata %s.\n", caller->server_version().c_str());
  const int64_t ahead = caller->server_time().seconds() - absl::ToUnixSeconds(absl::Now());
  if (std::abs(ahead) > kClocksApart) {
    std::printf("Its clock says %s, %lld s %s this machine's: certificates and tokens may seem expired. Set the clocks.\n",
                FormatTime(caller->server_time()).c_str(), static_cast<long long>(std::abs(ahead)),
                ahead > 0 ? "ahead of" : "behind");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Duration> ParseSpan(const std::string& flag, const std::string& text) {
  absl::Duration span;
  // absl knows no days.
  double days = 0;
  char unit = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%lf%c%c", &days, &unit, &rest) == 2 && unit == 'd') span = absl::Hours(24) * days;
  const bool good = span > absl::ZeroDuration() || absl::ParseDuration(text, &span);
  if (good && span > absl::ZeroDuration() && span < absl::Hours(24 * 36500)) return span;
  return absl::InvalidArgumentError(absl::StrCat(flag, ": \"", text, "\" is no span of time. Write it as 30d, 12h or 90s."));
}

absl::StatusOr<absl::Time> ParseMoment(const std::string& flag, const std::string& text) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime("%Y-%m-%d", text, &time, &error) || absl::ParseTime(absl::RFC3339_full, text, &time, &error))
    return time;
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": \"", text, "\" is no time. Write 2026-11-23 or 2026-11-23T18:00:00Z."));
}

std::string RoleName(v1::Role role) {
  constexpr size_t kPrefix = sizeof("ROLE_") - 1;
  return role == v1::ROLE_UNSPECIFIED ? "nobody" : absl::AsciiStrToLower(v1::Role_Name(role).substr(kPrefix));
}

absl::StatusOr<v1::Role> ParseRoleName(const std::string& name) {
  v1::Role role = v1::ROLE_UNSPECIFIED;
  if (v1::Role_Parse("ROLE_" + absl::AsciiStrToUpper(name), &role) && role != v1::ROLE_UNSPECIFIED) return role;
  return absl::InvalidArgumentError(
      absl::StrCat("--role: \"", name, "\" is no role. Take viewer, submitter, admin or worker."));
}

void AddAdmin(CLI::App& app, Context& context) {
  CLI::App* admin = app.add_subcommand("admin", "Who may do what: certificates, tokens, the audit log. Backups and checks of what is stored.");
  admin->require_subcommand(1);
  CLI::App* whoami = AddCommand(*admin, context, "whoami", "Who the coordinator takes you for, and its version and clock.",
                                {"strata admin whoami", "strata admin whoami --token-file token"});
  OnRun(whoami, context, [&context] { return WhoAmI(context); });
  AddAdminCerts(*admin, context);
  AddAdminTokens(*admin, context);
  AddAdminAudit(*admin, context);
  AddAdminBackup(*admin, context);
  AddAdminRestore(*admin, context);
  AddAdminCheck(*admin, context);
}

}  // namespace strata::client
