#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/download.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/table.h"

namespace strata::client {
namespace {

struct CheckpointsOptions {
  std::string trial;
  std::string download;
  std::string to;
};

absl::Status ListThem(const Context& context, const std::vector<v1::Artifact>& artifacts) {
  if (context.json()) {
    PrintJsonList("artifacts", artifacts);
    return absl::OkStatus();
  }
  Table table({"ARTIFACT", "KIND", ">UPDATE", ">SIZE", "FILE", "SHA-256", "MADE"});
  for (const v1::Artifact& artifact : artifacts) {
    table.Add({LastPart(artifact.name()), artifact.kind(), std::to_string(artifact.update()),
               FormatBytes(artifact.bytes()), artifact.file_name(), artifact.sha256().substr(0, 12),
               FormatTime(artifact.create_time())});
  }
  std::fputs(table.Text().c_str(), stdout);
  if (artifacts.empty()) std::puts("None yet.");
  return absl::OkStatus();
}

absl::Status Checkpoints(const Context& context, const CheckpointsOptions& options) {
  const auto trial = ParseNameOf(NameKind::kTrial, options.trial);
  if (!trial.ok()) return trial.status();
  const Connection connection = context.Connect();
  const auto artifacts = ListArtifacts(connection, *trial);
  if (!artifacts.ok()) return artifacts.status();
  if (options.download.empty()) return ListThem(context, *artifacts);
  const v1::Artifact* artifact = ChooseArtifact(*artifacts, options.download);
  if (artifact == nullptr) {
    return absl::NotFoundError(absl::StrCat(ShortName(*trial), " has no artifact \"", options.download,
                                            "\". 'strata checkpoints ", options.trial,
                                            "' lists them; final, best and resumable name kinds."));
  }
  const std::string path =
      options.to.empty() ? std::filesystem::path(artifact->file_name()).filename().string() : options.to;
  if (path.empty()) return absl::InvalidArgumentError("This artifact has no file name. Name the file with --to.");
  if (const absl::Status status = DownloadArtifact(connection, *artifact, path); !status.ok()) return status;
  if (context.json()) {
    PrintJson(*artifact);
  } else {
    std::printf("%s: %s, SHA-256 %s.\n", path.c_str(), FormatBytes(artifact->bytes()).c_str(),
                artifact->sha256().c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddCheckpoints(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "checkpoints",
                                 "List a trial's checkpoints and other files, or download one and check its hash.",
                                 {"strata checkpoints quickstart-1/t3",
                                  "strata checkpoints quickstart-1/t3 --download final --to weights.safetensors"});
  static CheckpointsOptions options;
  command->add_option("TRIAL", options.trial, "Trial")->required();
  command->add_option("--download", options.download, "Artifact, or kind: final, best, resumable, hypotheses");
  command->add_option("--to", options.to, "File to write; by default the artifact's own name, here");
  OnRun(command, context, [&context] { return Checkpoints(context, options); });
}

}  // namespace strata::client
