#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/table.h"

namespace strata::client {
namespace {

std::string Standing(const v1::Worker& worker) {
  return WorkerStateName(worker.state()) + (worker.draining() ? ", draining" : worker.cordoned() ? ", cordoned" : "");
}

// "cpu", or "NVIDIA H100 80GB HBM3, 79.6 GiB, GPU-8f3c2a17": as much of the UUID as CUDA needs to know it.
std::string Device(const v1::Slot& slot) {
  if (slot.uuid().empty()) return slot.device();
  constexpr size_t kShown = 12;
  return absl::StrCat(slot.device(), ", ", FormatBytes(slot.memory_bytes()), ", ", slot.uuid().substr(0, kShown));
}

absl::Status Workers(const Context& context) {
  const auto workers = ListWorkers(context.Connect());
  if (!workers.ok()) return workers.status();
  if (context.json()) {
    PrintJsonList("workers", *workers);
    return absl::OkStatus();
  }
  if (workers->empty()) {
    std::puts("No workers. 'strata up' starts one here; on other machines start strata-agent --coordinator HOST:PORT.");
    return absl::OkStatus();
  }
  Table table({"WORKER", "STATE", ">SLOT", "DEVICE", "CORES", "RUNS", "HOST", "VERSION", "LAST SEEN"});
  for (const v1::Worker& worker : *workers) {
    std::vector<std::string> head = {ShortName(worker.name()), Standing(worker)};
    std::vector<std::string> tail = {worker.host(), worker.version(), FormatTime(worker.last_seen_time())};
    for (const v1::Slot& slot : worker.slots()) {
      std::string holder = slot.holder();
      const size_t hash = holder.find('#');
      if (hash != std::string::npos) holder = ShortName(holder.substr(0, hash)) + " attempt " + holder.substr(hash + 1);
      table.Add({head[0], head[1], std::to_string(slot.index()), Device(slot), slot.cores(),
                 holder.empty() ? "free" : holder, tail[0], tail[1], tail[2]});
      head = {"", ""};
      tail = {"", "", ""};
    }
    if (worker.slots().empty()) table.Add({head[0], head[1], "", "", "", "", tail[0], tail[1], tail[2]});
  }
  std::fputs(table.Text().c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddWorkers(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "workers", "List workers and what their slots run, or steer one.",
                                 {"strata workers", "strata workers --output json", "strata workers drain w1"});
  command->callback([&context, command] {  // comes after that of a subcommand
    if (command->get_subcommands().empty()) context.run = [&context] { return Workers(context); };
  });
  AddWorkerCommands(*command, context);
}

}  // namespace strata::client
