// strata admin audit
#include <algorithm>

#include "client/commands/admin.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/table.h"

namespace strata::client {
namespace {

constexpr const char* kCollections[] = {"experiments/", "workers/", "datasets/", "tokens/"};

struct AuditOptions {
  std::string caller, method, target, since, until;
  int limit = 50;
};

absl::StatusOr<v1::ListAuditEntriesRequest> Request(const AuditOptions& options) {
  v1::ListAuditEntriesRequest request;
  request.set_caller(options.caller);
  request.set_method(options.method);
  if (!options.target.empty()) {
    const bool whole = std::any_of(std::begin(kCollections), std::end(kCollections), [&](const char* collection) {
      return options.target.rfind(collection, 0) == 0;
    });
    const auto name = whole ? absl::StatusOr<Name>(Name{.full = options.target}) : ParseName(options.target);
    if (!name.ok()) return name.status();
    request.set_target(name->full);
  }
  for (const auto& [flag, text] : {std::pair("--since", options.since), std::pair("--until", options.until)}) {
    if (text.empty()) continue;
    const auto time = ParseMoment(flag, text);
    if (!time.ok()) return time.status();
    auto* proto = std::string(flag) == "--since" ? request.mutable_start_time() : request.mutable_end_time();
    proto->set_seconds(absl::ToUnixSeconds(*time));
  }
  return request;
}

absl::Status Audit(const Context& context, const AuditOptions& options) {
  auto request = Request(options);
  if (!request.ok()) return request.status();
  const Connection connection = context.Connect();
  std::vector<v1::AuditEntry> entries;
  do {
    request->set_page_size(std::min<int>(1000, options.limit - static_cast<int>(entries.size())));
    const auto page = connection.Call(&v1::AccessService::Stub::ListAuditEntries, connection.access(), *request);
    if (!page.ok()) return page.status();
    entries.insert(entries.end(), page->entries().begin(), page->entries().end());
    request->set_page_token(page->next_page_token());
  } while (!request->page_token().empty() && static_cast<int>(entries.size()) < options.limit);
  if (context.json()) {
    PrintJsonList("entries", entries);
    return absl::OkStatus();
  }
  Table table({"WHEN", "WHO", "ROLE", "WHAT", "ABOUT", "REQUEST", "FROM"});
  for (const v1::AuditEntry& entry : entries) {
    table.Add({FormatTime(entry.time()), entry.caller(), entry.role() == v1::ROLE_UNSPECIFIED ? "" : RoleName(entry.role()),
               entry.method().substr(entry.method().find('/') + 1), ShortName(entry.target()), entry.request_id(),
               entry.peer()});
  }
  std::fputs(table.Text().c_str(), stdout);
  if (!request->page_token().empty()) std::fputs("There are older ones: --limit N, or --until TIME.\n", stdout);
  return absl::OkStatus();
}

}  // namespace

void AddAdminAudit(CLI::App& admin, Context& context) {
  static AuditOptions options;
  CLI::App* command = AddCommand(admin, context, "audit", "Who changed what, and when; newest first.",
                                 {"strata admin audit", "strata admin audit --caller alice --since 2026-11-23",
                                  "strata admin audit --target quickstart-1 --method CancelJob"});
  command->add_option("--caller", options.caller, "Only changes of this token or certificate");
  command->add_option("--method", options.method, "Only this call, e.g. CancelJob");
  command->add_option("--target", options.target, "Only what is about this experiment, trial or job or lies below it, or workers/NAME, datasets/NAME, tokens/NAME");
  command->add_option("--since", options.since, "Only from this time on, e.g. 2026-11-23 or 2026-11-23T18:00:00Z");
  command->add_option("--until", options.until, "Only before this time");
  command->add_option("--limit", options.limit, "At most this many")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  OnRun(command, context, [&context] { return Audit(context, options); });
}

}  // namespace strata::client
