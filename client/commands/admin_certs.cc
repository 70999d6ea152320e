// strata admin certs init | coordinator | worker | user | show
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/commands/admin.h"
#include "client/commands/command.h"
#include "client/table.h"
#include "server/base/tls/authority.h"
#include "server/base/tls/certificate.h"

namespace strata::client {
namespace {

// So that a machine whose clock is a little behind takes it.
constexpr absl::Duration kBackdated = absl::Minutes(5);

struct CertOptions {
  std::string folder = "strata-certs", valid, from, name, role = "viewer";
  std::vector<std::string> hosts;
  bool renew = false, replace = false;

  base::Overwrite overwrite() const {
    return renew ? base::Overwrite::kRenew : replace ? base::Overwrite::kReplace : base::Overwrite::kNo;
  }
};

std::string Day(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", time, absl::UTCTimeZone()); }

absl::Status SetTimes(const CertOptions& options, const std::string& valid, absl::Time& not_before, absl::Time& not_after) {
  const auto span = ParseSpan("--valid", options.valid.empty() ? valid : options.valid);
  if (!span.ok()) return span.status();
  absl::Time from = absl::Now();
  not_before = from - kBackdated;
  if (!options.from.empty()) {
    const auto moment = ParseMoment("--from", options.from);
    if (!moment.ok()) return moment.status();
    not_before = from = *moment;
  }
  not_after = from + *span;
  return absl::OkStatus();
}

absl::Status Report(const absl::StatusOr<base::IssuedFiles>& files) {
  if (!files.ok()) return files.status();
  const auto certificate = base::ReadCertificate(files->cert);
  if (!certificate.ok()) return certificate.status();
  std::printf("%s\n%s\n", files->cert.c_str(), files->key.c_str());
  std::fprintf(stderr, "Valid until %s%s. Keep the key to its owner.\n", Day(certificate->not_after).c_str(),
               certificate->hosts.empty() ? "" : absl::StrCat(", for ", absl::StrJoin(certificate->hosts, ", ")).c_str());
  return absl::OkStatus();
}

absl::Status Issue(const CertOptions& options, const std::string& role, const std::string& name) {
  base::CertificateRequest request{.role = role, .name = name, .hosts = options.hosts};
  const absl::Status times = SetTimes(options, "365d", request.not_before, request.not_after);
  if (!times.ok()) return times;
  if (role == "coordinator" && request.hosts.empty() && !options.renew) {
    return absl::InvalidArgumentError(
        "--host is missing: give each name and address under which workers and people reach the coordinator.");
  }
  return Report(base::IssueCertificate(options.folder, request, options.overwrite()));
}

absl::Status Init(const CertOptions& options) {
  absl::Time not_before, not_after;
  if (absl::Status status = SetTimes(options, "3650d", not_before, not_after); !status.ok()) return status;
  return Report(base::MakeAuthority(options.folder, not_before, not_after, options.overwrite()));
}

absl::Status Show(const CertOptions& options) {
  Table table({"CERTIFICATE", "WHO", "HOSTS", "VALID FROM", "UNTIL"});
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(options.folder, error)) {
    if (entry.path().extension() == ".crt") paths.push_back(entry.path());
  }
  if (error) return absl::NotFoundError(absl::StrCat("There is no folder ", options.folder, ". Name another by --dir."));
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const auto read = base::ReadCertificate(path);
    if (!read.ok()) return read.status();
    table.Add({path, read->subject, absl::StrJoin(read->hosts, " "), Day(read->not_before), Day(read->not_after)});
  }
  std::fputs(table.Text().c_str(), stdout);
  return absl::OkStatus();
}

CLI::App* AddOne(CLI::App& certs, CertOptions& options, const std::string& name, const std::string& what,
                 const std::string& valid) {
  CLI::App* command = certs.add_subcommand(name, what);
  command->add_option("--dir", options.folder, "Folder of the authority and of what it makes")->capture_default_str();
  command->add_option("--valid", options.valid, "How long it is valid, e.g. 90d (default: " + valid + ")");
  command->add_option("--from", options.from, "Since when (default: five minutes ago)");
  auto* renew = command->add_flag("--renew", options.renew, "Make the certificate anew for the key that is there");
  command->add_flag("--replace", options.replace, "Make key and certificate anew")->excludes(renew);
  return command;
}

}  // namespace

void AddAdminCerts(CLI::App& admin, Context& context) {
  static CertOptions options;
  CLI::App* certs = admin.add_subcommand("certs", "A private authority, and certificates of it. No coordinator is needed.");
  certs->require_subcommand(1);
  certs->footer(
      "\nExamples:\n  strata admin certs init\n  strata admin certs coordinator --host strata.lan --host 10.0.0.5\n"
      "  strata admin certs worker gpu-1 --host gpu-1.lan\n  strata admin certs user prometheus --role viewer --valid 90d\n"
      "  strata admin certs coordinator --renew\n");
  CLI::App* init = AddOne(*certs, options, "init", "Make the authority: ca.crt and ca.key.", "3650d");
  OnRun(init, context, [] { return Init(options); });
  CLI::App* coordinator = AddOne(*certs, options, "coordinator", "Make the coordinator's certificate.", "365d");
  CLI::App* worker = AddOne(*certs, options, "worker", "Make a worker's certificate.", "365d");
  CLI::App* user = AddOne(*certs, options, "user", "Make a person's certificate, or a program's that reads.", "365d");
  for (CLI::App* each : {coordinator, worker}) {
    each->add_option("--host", options.hosts, "Name or address under which it is reached (repeatable)")
        ->allow_extra_args(false);
  }
  worker->add_option("NAME", options.name, "The worker, or the beginning of several with a * behind it")->required();
  user->add_option("NAME", options.name, "Who")->required();
  user->add_option("--role", options.role, "viewer, submitter or admin")->capture_default_str();
  OnRun(coordinator, context, [] { return Issue(options, "coordinator", "coordinator"); });
  OnRun(worker, context, [] { return Issue(options, "worker", options.name); });
  OnRun(user, context, [] { return Issue(options, options.role, options.name); });
  CLI::App* show = certs->add_subcommand("show", "What certificates there are, and until when they are valid.");
  show->add_option("--dir", options.folder, "Folder of the authority")->capture_default_str();
  OnRun(show, context, [] { return Show(options); });
}

}  // namespace strata::client
