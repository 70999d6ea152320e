#include "client/commands/download.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/names.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"

namespace strata::client {
namespace {

using nlohmann::json;

// Writes what `receive` streams to `path`.part, checks the hash, renames.
absl::Status Keep(const std::string& path, const std::string& sha256,
                  const std::function<absl::Status(std::ofstream&)>& receive) {
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  if (!file) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be written. Name another file with --to."));
  const absl::Status status = receive(file);
  file.close();
  if (!status.ok() || !file) {
    std::filesystem::remove(part);
    return status.ok()
               ? absl::ResourceExhaustedError(absl::StrCat(path, " could not be written whole: the disk is full?"))
               : status;
  }
  const auto hash = base::Sha256OfFile(part);
  if (!hash.ok()) return hash.status();
  if (*hash != sha256) {
    std::filesystem::remove(part);
    return absl::DataLossError(
        absl::StrCat(path, ": what arrived has SHA-256 ", *hash, ", not ", sha256, ". Nothing was kept; try again."));
  }
  return base::RenameDurably(part, path);
}

template <typename Response>
absl::Status Receive(const Connection& connection, grpc::ClientReader<Response>& stream, std::ofstream& file) {
  Response chunk;
  while (stream.Read(&chunk)) file.write(chunk.data().data(), static_cast<std::streamsize>(chunk.data().size()));
  return connection.Explain(stream.Finish());
}

// Of the manifest's splits: shards, features and raw text.
std::set<std::string> FilesOfSplits(const json& manifest) {
  std::set<std::string> files;
  for (const auto& [name, split] : manifest.at("splits").items()) {
    for (const char* list : {"shards", "features"}) {
      for (const json& file : split.value(list, json::array())) files.insert(file.get<std::string>());
    }
    for (const char* text : {"source_text", "target_text"}) files.insert(split.value(text, ""));
  }
  return files;
}

absl::Status FetchFiles(const Connection& connection, const v1::Dataset& dataset, const std::string& folder) {
  const json manifest = json::parse(dataset.manifest());
  const std::set<std::string> data = FilesOfSplits(manifest);
  for (const json& file : manifest.at("files")) {
    const std::string path = file.at("path");
    const std::filesystem::path relative(path);
    bool inside = relative.is_relative();
    for (const auto& part : relative) inside &= part != "..";
    if (!inside) return absl::DataLossError(absl::StrCat("The manifest names a file outside its folder: ", path, "."));
    if (data.contains(path)) continue;
    const std::string to = absl::StrCat(folder, "/", path);
    if (const absl::Status made = base::MakeFolders(std::filesystem::path(to).parent_path()); !made.ok()) return made;
    const absl::Status kept = Keep(to, file.at("sha256"), [&](std::ofstream& out) {
      grpc::ClientContext context;
      v1::ReadDatasetFileRequest request;
      request.set_name(dataset.name());
      request.set_path(path);
      return Receive(connection, *connection.datasets().ReadDatasetFile(&context, request), out);
    });
    if (!kept.ok()) return kept;
  }
  return base::WriteFileAtomically(folder + "/manifest.json", dataset.manifest());
}

}  // namespace

const v1::Artifact* ChooseArtifact(const std::vector<v1::Artifact>& artifacts, const std::string& wanted) {
  for (const v1::Artifact& artifact : artifacts) {
    if (LastPart(artifact.name()) == wanted || artifact.name() == wanted || artifact.kind() == wanted ||
        artifact.kind() == "checkpoint_" + wanted) {
      return &artifact;
    }
  }
  return nullptr;
}

absl::Status DownloadArtifact(const Connection& connection, const v1::Artifact& artifact, const std::string& path) {
  return Keep(path, artifact.sha256(), [&](std::ofstream& out) {
    grpc::ClientContext context;
    v1::ReadArtifactRequest request;
    request.set_name(artifact.name());
    return Receive(connection, *connection.artifacts().ReadArtifact(&context, request), out);
  });
}

absl::StatusOr<std::string> FetchArtifact(const Connection& connection, const v1::Artifact& artifact,
                                          const std::string& folder) {
  if (const absl::Status made = base::MakeFolders(folder); !made.ok()) return made;
  const std::string path = absl::StrCat(folder, "/", artifact.sha256(), ".safetensors");
  const auto hash = base::Sha256OfFile(path);
  if (hash.ok() && *hash == artifact.sha256()) return path;
  if (const absl::Status status = DownloadArtifact(connection, artifact, path); !status.ok()) return status;
  return path;
}

absl::StatusOr<std::string> FetchVocabulary(const Connection& connection, const std::string& name,
                                            const std::string& digest, const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", digest);
  if (std::filesystem::exists(path + "/manifest.json")) return path;
  v1::GetDatasetRequest request;
  request.set_name(absl::StrCat("datasets/", name));
  const auto dataset = connection.Call(&v1::DatasetService::Stub::GetDataset, connection.datasets(), request);
  if (!dataset.ok()) return dataset.status();
  if (dataset->digest() != digest) {
    return absl::FailedPreconditionError(
        absl::StrCat("The dataset ", name, " has another content (digest ", dataset->digest().substr(0, 12),
                     ") than the one that the trial was trained on (", digest.substr(0, 12),
                     "): its vocabulary may be another. Register the trial's dataset again with 'strata data add'."));
  }
  try {
    if (const absl::Status status = FetchFiles(connection, *dataset, path); !status.ok()) return status;
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrCat("The manifest of dataset ", name, " cannot be read: ", error.what()));
  }
  return path;
}

}  // namespace strata::client
