// strata delete: shows what would go and what refers to it, asks, and deletes it.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/table.h"
#include "server/base/ids.h"

namespace strata::client {
namespace {

struct DeleteOptions {
  std::vector<std::string> names;
  bool yes = false, dry_run = false;
};

void ShowPlan(const v1::PlanDeletionResponse& plan) {
  Table table({"WHAT", "KIND", ">COUNT", ">BYTES"});
  for (const v1::DeletedItem& item : plan.items()) {
    std::string name = absl::StartsWith(item.name(), "datasets/") ? item.name() : ShortName(item.name());
    for (const v1::Amount& amount : item.amounts()) {
      table.Add({name, amount.kind(), FormatCount(amount.count()), FormatBytes(amount.bytes())});
      name.clear();
    }
    if (!name.empty()) table.Add({name, "rows only"});
  }
  std::fputs(table.Text().c_str(), stdout);
  constexpr int kShown = 20;
  if (plan.references_size() > 0) std::puts("\nWhat refers to it:");
  for (int i = 0; i < std::min(plan.references_size(), kShown); ++i) {
    const v1::Reference& reference = plan.references(i);
    const std::string how = reference.how() == "dataset" ? "uses"
                            : reference.how() == "shows" ? "shows"
                                                         : reference.how();
    std::printf("  %s %s %s\n", ShortName(reference.from()).c_str(), how.c_str(), ShortName(reference.to()).c_str());
  }
  if (plan.references_size() > kShown) std::printf("  and %d more\n", plan.references_size() - kShown);
}

absl::Status Confirm(const v1::PlanDeletionResponse& plan) {
  return ConfirmDeletion(plan.references_size() > 0 ? "\nThe experiments that use the dataset keep their results, but can train "
                                                      "and score no more.\n\n"
                                                    : "\n",
                         "Nobody is here to confirm it. Look at it with --dry-run, then delete with --yes.");
}

absl::Status Delete(const Context& context, const DeleteOptions& options) {
  v1::PlanDeletionRequest ask;
  for (const std::string& text : options.names) {
    if (absl::StartsWith(text, "datasets/")) {
      ask.add_names(text);
      continue;
    }
    const auto name = ParseNameOf(NameKind::kExperiment, text);
    if (!name.ok()) return name.status();
    ask.add_names(*name);
  }
  const Connection connection = context.Connect();
  const auto plan =
      connection.Call(&v1::UpkeepService::Stub::PlanDeletion, connection.upkeep(), ask, Connection::kLong);
  if (!plan.ok()) return plan.status();
  if (!context.json()) ShowPlan(*plan);
  if (options.dry_run) {
    if (context.json()) PrintJson(*plan);
    if (!context.json() && !plan->obstacle().empty())
      std::printf("\nIt cannot be done now. %s\n", plan->obstacle().c_str());
    return absl::OkStatus();
  }
  if (!plan->obstacle().empty()) return absl::FailedPreconditionError(plan->obstacle());
  if (!options.yes) {
    if (absl::Status status = Confirm(*plan); !status.ok()) return status;
  }
  v1::DeleteRequest request;
  request.set_request_id(base::RandomHex());
  *request.mutable_names() = ask.names();
  request.set_plan(plan->plan());
  request.set_with_references(plan->references_size() > 0);
  const auto deleted = connection.CallPatiently(&v1::UpkeepService::Stub::Delete, connection.upkeep(), request,
                                                std::chrono::seconds(30), Connection::kLong);
  if (!deleted.ok()) return deleted.status();
  if (context.json()) {
    PrintJson(*deleted);
  } else {
    std::printf("\nDeleted.\n");
  }
  if (deleted->left_size() == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("Not all files could be deleted; 'strata gc' finds them later. ", deleted->left(0)));
}

}  // namespace

void AddDelete(CLI::App& app, Context& context) {
  static DeleteOptions options;
  CLI::App* command =
      AddCommand(app, context, "delete",
                 "Delete experiments and datasets for good, with all that they left: shows what would go and what "
                 "refers to it, and asks.",
                 {"strata delete quickstart-1 --dry-run", "strata delete try-3 try-4 --yes",
                  "strata delete datasets/debian-en-de"});
  command->add_option("NAME", options.names, "Experiments, or datasets as datasets/NAME")->required();
  command->add_flag("--yes", options.yes, "Do not ask; also where experiments refer to a dataset");
  command->add_flag("--dry-run", options.dry_run, "Only show what would go");
  OnRun(command, context, [&context] { return Delete(context, options); });
}

}  // namespace strata::client
