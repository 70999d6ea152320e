#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/table.h"
#include "nlohmann/json.hpp"
#include "server/base/ids.h"

namespace strata::client {
namespace {

constexpr size_t kChunk = 1 << 20;

absl::Status ListData(const Context& context) {
  const auto datasets = ListDatasets(context.Connect());
  if (!datasets.ok()) return datasets.status();
  if (context.json()) {
    PrintJsonList("datasets", *datasets);
    return absl::OkStatus();
  }
  if (datasets->empty()) {
    std::puts(
        "No datasets. 'strata-data fetch' and 'strata-data prepare' make one, 'strata data add FOLDER' registers it.");
    return absl::OkStatus();
  }
  Table table({"DATASET", "TASK", ">SIZE", "DIGEST", "REGISTERED"});
  for (const v1::Dataset& dataset : *datasets) {
    table.Add({ShortName(dataset.name()), dataset.task(), FormatBytes(dataset.bytes()), dataset.digest().substr(0, 12),
               FormatTime(dataset.create_time())});
  }
  std::fputs(table.Text().c_str(), stdout);
  return absl::OkStatus();
}

absl::Status ShowData(const Context& context, const std::string& name) {
  const Connection connection = context.Connect();
  v1::GetDatasetRequest request;
  request.set_name(name.rfind("datasets/", 0) == 0 ? name : absl::StrCat("datasets/", name));
  const auto dataset = connection.Call(&v1::DatasetService::Stub::GetDataset, connection.datasets(), request);
  if (!dataset.ok()) return dataset.status();
  if (context.json()) {
    PrintJson(*dataset);
    return absl::OkStatus();
  }
  std::printf("dataset     %s\ntask        %s\ndigest      %s\nsize        %s\nregistered  %s\n\n",
              ShortName(dataset->name()).c_str(), dataset->task().c_str(), dataset->digest().c_str(),
              FormatBytes(dataset->bytes()).c_str(), FormatTime(dataset->create_time()).c_str());
  const auto manifest = nlohmann::json::parse(dataset->manifest(), nullptr, false);
  if (!manifest.is_object() || !manifest.contains("splits")) return absl::OkStatus();
  Table table({"SPLIT", ">SENTENCES", ">SOURCE TOKENS", ">TARGET TOKENS"});
  for (const auto& [split, about] : manifest["splits"].items()) {
    const auto count = [&about = about](const char* key) {
      return about.contains(key) && about[key].is_number() ? FormatCount(about[key].get<int64_t>()) : "";
    };
    table.Add({split, count("sentences"), count("source_tokens"), count("target_tokens")});
  }
  std::fputs(table.Text().c_str(), stdout);
  return absl::OkStatus();
}

// Sends one file from `offset` on.
absl::Status Upload(const Connection& connection, const v1::Dataset& dataset, const std::string& folder,
                    const v1::PendingFile& pending) {
  const std::string path = absl::StrCat(folder, "/", pending.path());
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::NotFoundError(
        absl::StrCat(path, ": the manifest names it, but it is not there. Prepare the dataset again."));
  file.seekg(pending.offset());
  v1::UploadDatasetFileRequest request;
  request.set_name(dataset.name());
  request.set_digest(dataset.digest());
  request.set_path(pending.path());
  request.set_offset(pending.offset());
  for (;;) {
    std::string data(kChunk, '\0');
    file.read(data.data(), static_cast<std::streamsize>(data.size()));
    data.resize(static_cast<size_t>(file.gcount()));
    request.set_data(data);
    const auto response =
        connection.CallPatiently(&v1::DatasetService::Stub::UploadDatasetFile, connection.datasets(), request);
    if (!response.ok()) return response.status();
    if (response->file_complete()) return absl::OkStatus();
    if (data.empty())
      return absl::DataLossError(absl::StrCat(path, " is shorter than its manifest says. Prepare the dataset again."));
    if (response->offset() != request.offset() + static_cast<int64_t>(data.size())) file.seekg(response->offset());
    request.set_offset(response->offset());
  }
}

absl::Status AddFolder(const Context& context, const std::string& folder) {
  std::ifstream file(absl::StrCat(folder, "/manifest.json"), std::ios::binary);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(
        folder, "/manifest.json: there is none, so this is no prepared dataset. 'strata-data prepare' makes one."));
  }
  v1::CreateDatasetRequest request;
  request.set_request_id(base::RandomHex());
  request.set_manifest(std::string(std::istreambuf_iterator<char>(file), {}));
  const Connection connection = context.Connect();
  const auto created =
      connection.CallPatiently(&v1::DatasetService::Stub::CreateDataset, connection.datasets(), request,
                               std::chrono::seconds(30), Connection::kLong);
  if (!created.ok()) return created.status();
  int64_t done = 0;
  for (const v1::PendingFile& pending : created->pending()) {
    if (const absl::Status status = Upload(connection, created->dataset(), folder, pending); !status.ok())
      return status;
    ++done;
  }
  if (context.json()) {
    PrintJson(created->dataset());
    return absl::OkStatus();
  }
  const std::string name = ShortName(created->dataset().name());
  if (created->repair() && done > 0) {
    std::printf("%s was registered already; damaged files put right: %s.\n", name.c_str(), FormatCount(done).c_str());
    return absl::OkStatus();
  }
  std::printf(done == 0 ? "%s is registered already, digest %s.\n" : "%s is registered, digest %s.\n", name.c_str(),
              created->dataset().digest().substr(0, 12).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddData(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("data", "Register and list datasets.");
  group->require_subcommand(1);
  static std::string folder;
  static std::string name;
  CLI::App* add = AddCommand(*group, context, "add",
                             "Register a prepared dataset and upload it. Goes on where an earlier call stopped.",
                             {"strata data add ~/data/debian-en-de"});
  add->add_option("FOLDER", folder, "Folder that strata-data prepare wrote")->required();
  OnRun(add, context, [&context] { return AddFolder(context, folder); });
  CLI::App* list = AddCommand(*group, context, "list", "List datasets.", {"strata data list"});
  OnRun(list, context, [&context] { return ListData(context); });
  CLI::App* show = AddCommand(*group, context, "show", "Show one dataset.", {"strata data show debian-en-de"});
  show->add_option("DATASET", name, "Dataset")->required();
  OnRun(show, context, [&context] { return ShowData(context, name); });
}

}  // namespace strata::client
