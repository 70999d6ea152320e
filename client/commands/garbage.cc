// strata gc: deletes what nothing refers to, and what has reached its age by the policy.

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/table.h"

namespace strata::client {
namespace {

struct GarbageOptions {
  bool dry_run = false, yes = false;
  std::string retention;
};

void Show(const v1::CollectGarbageResponse& collected, bool dry_run) {
  Table table({"KIND", ">BYTES", "WHAT", "WHY", "LOST"});
  for (const v1::Garbage& garbage : collected.garbage()) {
    const std::string name =
        absl::StartsWith(garbage.name(), "experiments/") ? garbage.name().substr(12) : garbage.name();
    table.Add({garbage.kind(), FormatBytes(garbage.bytes()), name, garbage.why(), garbage.lost()});
  }
  if (collected.garbage_size() > 0) std::fputs((table.Text() + "\n").c_str(), stdout);
  if (collected.count() == 0) {
    std::printf("There is nothing to delete. Retention: %s.\n", collected.retention().c_str());
    return;
  }
  std::printf("%s %s: %s. Retention: %s.\n", FormatCount(collected.count()).c_str(), dry_run ? "would go" : "went",
              FormatBytes(collected.bytes()).c_str(), collected.retention().c_str());
}

// Whether something that somebody may miss goes by its age.
bool SomethingIsLost(const v1::CollectGarbageResponse& planned) {
  for (const v1::Garbage& garbage : planned.garbage()) {
    if (!garbage.lost().empty()) return true;
  }
  return false;
}

absl::Status Confirm() {
  return ConfirmDeletion("",
                         "Some of this is missed once it is gone, and nobody is here to confirm it. Look at it with "
                         "--dry-run, then delete with --yes.");
}

absl::Status Collect(const Context& context, const GarbageOptions& options) {
  v1::CollectGarbageRequest request;
  request.set_dry_run(true);
  request.set_retention(options.retention);
  const Connection connection = context.Connect();
  auto collected =
      connection.Call(&v1::UpkeepService::Stub::CollectGarbage, connection.upkeep(), request, Connection::kLong);
  if (!collected.ok()) return collected.status();
  if (!options.dry_run) {
    if (!options.yes && SomethingIsLost(*collected)) {
      if (!context.json()) Show(*collected, /*dry_run=*/true);
      if (absl::Status status = Confirm(); !status.ok()) return status;
    }
    request.set_dry_run(false);
    collected =
        connection.Call(&v1::UpkeepService::Stub::CollectGarbage, connection.upkeep(), request, Connection::kLong);
    if (!collected.ok()) return collected.status();
  }
  if (context.json()) {
    PrintJson(*collected);
    return absl::OkStatus();
  }
  Show(*collected, options.dry_run);
  if (collected->left_size() == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(collected->left_size(), " could not be deleted. ", collected->left(0)));
}

}  // namespace

void AddGarbage(CLI::App& app, Context& context) {
  static GarbageOptions options;
  CLI::App* command =
      AddCommand(app, context, "gc",
                 "Delete files that nothing names, uploads that stopped arriving, and what has reached its age by the "
                 "coordinator's --retention. The coordinator does so once a day by itself.",
                 {"strata gc --dry-run", "strata gc --dry-run --retention resumable=30d,logs=90d", "strata gc"});
  command->add_flag("--dry-run", options.dry_run, "Only list what would go, why, and what would be lost");
  command->add_option("--retention", options.retention, "Another policy than the coordinator's, for this time");
  command->add_flag("--yes", options.yes, "Do not ask, though something may be missed");
  OnRun(command, context, [&context] { return Collect(context, options); });
}

}  // namespace strata::client
