// strata admin check: is all that is stored whole? Of a coordinator that runs, or of a backup.
#include "absl/strings/str_cat.h"
#include "client/backup_folder.h"
#include "client/commands/command.h"
#include "client/format.h"

namespace strata::client {
namespace {

absl::Status Verdict(int64_t damages, int64_t files, int64_t bytes) {
  std::fprintf(stderr, "%s files looked at, %s read.\n", FormatCount(files).c_str(), FormatBytes(bytes).c_str());
  if (damages == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(damages, " of what was looked at is not whole."));
}

absl::Status CheckCoordinator(const Context& context, bool quick) {
  const Connection connection = context.Connect();
  v1::CheckStorageRequest request;
  request.set_quick(quick);
  grpc::ClientContext call;
  const auto reader = connection.upkeep().CheckStorage(&call, request);
  v1::CheckStorageResponse told;
  int64_t damages = 0;
  while (reader->Read(&told)) {
    if (told.finding().empty()) continue;
    if (!told.harmless()) ++damages;
    std::printf("%s\n", told.finding().c_str());
    std::fflush(stdout);
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return connection.Explain(status);
  if (!told.complete()) return absl::AbortedError("The check ended before its end. Try again.");
  return Verdict(damages, told.files(), told.bytes());
}

absl::Status CheckBackup(const std::string& folder) {
  const auto manifest = ReadManifest(folder);
  if (!manifest.ok()) return manifest.status();
  int64_t damages = 0, bytes = 0;
  CheckObjects(folder, *manifest, [&](const std::string& finding) {
    ++damages;
    std::printf("%s\n", finding.c_str());
  });
  for (const BackedUpFile& file : manifest->files) bytes += file.bytes;
  for (const std::string& name : manifest->missing)
    std::printf("%s was missing or damaged when it was backed up.\n", name.c_str());
  damages += static_cast<int64_t>(manifest->missing.size());
  return Verdict(damages, static_cast<int64_t>(manifest->files.size()), bytes);
}

}  // namespace

void AddAdminCheck(CLI::App& admin, Context& context) {
  static std::string folder;
  static bool quick = false;
  CLI::App* command =
      AddCommand(admin, context, "check",
                 "Look whether all that the coordinator stores, or a backup holds, is whole: one line a finding. "
                 "Status 1 where something is lost.",
                 {"strata admin check", "strata admin check --quick", "strata admin check /backup/strata"}, "");
  command->add_option("DIR", folder, "Folder of a backup; else the coordinator that runs is looked at");
  command->add_flag("--quick", quick, "Names and lengths only: reads no file");
  OnRun(command, context,
        [&context] { return folder.empty() ? CheckCoordinator(context, quick) : CheckBackup(folder); });
}

}  // namespace strata::client
