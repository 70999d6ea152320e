// strata du: who takes how much room on the coordinator's disk.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/table.h"

namespace strata::client {
namespace {

std::string BytesOf(const google::protobuf::RepeatedPtrField<v1::Amount>& amounts,
                    std::initializer_list<const char*> kinds) {
  int64_t bytes = 0;
  for (const v1::Amount& amount : amounts) {
    for (const char* kind : kinds) bytes += amount.kind() == kind ? amount.bytes() : 0;
  }
  return bytes == 0 ? "-" : FormatBytes(bytes);
}

absl::Status ShowUsage(const Context& context, const std::string& experiment) {
  v1::GetUsageRequest request;
  if (!experiment.empty()) {
    const auto name = ParseNameOf(NameKind::kExperiment, experiment);
    if (!name.ok()) return name.status();
    request.set_name(*name);
  }
  const Connection connection = context.Connect();
  const auto usage =
      connection.Call(&v1::UpkeepService::Stub::GetUsage, connection.upkeep(), request, Connection::kLong);
  if (!usage.ok()) return usage.status();
  if (context.json()) {
    PrintJson(*usage);
    return absl::OkStatus();
  }
  Table table({"WHAT", ">ON DISK", ">CHECKPOINTS", ">WEIGHTS", ">OTHER FILES", ">LOGS", ">ROWS"});
  for (const v1::ItemUsage& item : usage->items()) {
    const std::string name = absl::StartsWith(item.name(), "datasets/") ? item.name() : ShortName(item.name());
    table.Add({name, FormatBytes(item.bytes()), BytesOf(item.amounts(), {"checkpoints"}),
               BytesOf(item.amounts(), {"weights"}), BytesOf(item.amounts(), {"files", "dataset"}),
               BytesOf(item.amounts(), {"logs"}), BytesOf(item.amounts(), {"scalars", "vectors"})});
  }
  if (experiment.empty()) {
    for (const v1::Amount& amount : usage->rest())
      table.Add({absl::StrCat("(", amount.kind(), ")"), FormatBytes(amount.bytes())});
    table.Add({"total", FormatBytes(usage->total_bytes())});
  }
  std::fputs(table.Text().c_str(), stdout);
  std::printf("\nROWS is about what measurements take within the database. %s of %s are free.\n",
              FormatBytes(usage->free_bytes()).c_str(), FormatBytes(usage->disk_bytes()).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddUsage(CLI::App& app, Context& context) {
  static std::string experiment;
  CLI::App* command =
      AddCommand(app, context, "du", "Who takes how much room on the coordinator's disk, largest first.",
                 {"strata du", "strata du quickstart-1 --output json"});
  command->add_option("EXPERIMENT", experiment, "Only this one");
  OnRun(command, context, [&context] { return ShowUsage(context, experiment); });
}

}  // namespace strata::client
