// strata admin restore: makes a coordinator's folder of a backup.
#include "absl/strings/str_cat.h"
#include "client/backup_folder.h"
#include "client/commands/command.h"
#include "client/format.h"

namespace strata::client {
namespace {

absl::Status Restore(const std::string& folder, const std::string& target) {
  const auto manifest = ReadManifest(folder);
  if (!manifest.ok()) return manifest.status();
  int64_t findings = 0;
  CheckObjects(folder, *manifest, [&](const std::string& finding) {
    ++findings;
    std::fprintf(stderr, "%s\n", finding.c_str());
  });
  if (findings > 0) return absl::DataLossError(absl::StrCat(folder, " is not whole; nothing was restored."));
  if (absl::Status status = RestoreTo(target, folder, *manifest); !status.ok()) return status;
  int64_t bytes = 0;
  for (const BackedUpFile& file : manifest->files) bytes += file.bytes;
  std::printf("Restored the state of %s: %s files, %s. Start it with 'strata-coordinator --data-dir %s'.\n",
              manifest->time.c_str(), FormatCount(static_cast<int64_t>(manifest->files.size())).c_str(),
              FormatBytes(bytes).c_str(), target.c_str());
  for (const std::string& name : manifest->missing)
    std::fprintf(stderr, "%s is not there: it was missing or damaged when it was backed up.\n", name.c_str());
  return absl::OkStatus();
}

}  // namespace

void AddAdminRestore(CLI::App& admin, Context& context) {
  static std::string folder, target;
  CLI::App* command =
      AddCommand(admin, context, "restore",
                 "Make a coordinator's folder of a backup, after checking every hash. Asks no coordinator.",
                 {"strata admin restore /backup/strata --data-dir /var/lib/strata/coordinator"}, "");
  command->add_option("DIR", folder, "Folder of the backup")->required();
  command->add_option("--data-dir", target, "New folder; must be empty or missing")->required();
  OnRun(command, context, [] { return Restore(folder, target); });
}

}  // namespace strata::client
