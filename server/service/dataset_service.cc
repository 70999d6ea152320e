#include "server/service/dataset_service.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/service/audit_note.h"
#include "server/service/convert.h"
#include "server/service/manifest.h"
#include "server/service/names.h"
#include "server/service/read_file.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

constexpr int64_t kLargestPiece = 1 << 20;

}  // namespace

absl::Status DatasetService::Store(const std::function<void(Coordinator::Change&)>& write) {
  return coordinator_.Update([&](Coordinator::Change& change) {
    write(change);
    return absl::OkStatus();
  });
}

absl::Status DatasetService::Create(const v1::CreateDatasetRequest& request, v1::CreateDatasetResponse& response) {
  auto manifest = ParseManifest(request.manifest());
  if (!manifest.ok()) return manifest.status();
  store::Dataset& dataset = manifest->dataset;
  NoteTarget("datasets/" + dataset.name);
  base::MutexLock lock(mutex_);
  const auto known = coordinator_.store().FindDataset(dataset.name);
  if (!known.ok()) return known.status();
  const bool same = known->has_value() && (*known)->digest == dataset.digest;
  if (known->has_value() && (*known)->complete && !same) {
    return absl::AlreadyExistsError(absl::StrCat("The dataset ", dataset.name, " is registered with the digest ",
                                                 (*known)->digest, ", not ", dataset.digest,
                                                 ". Datasets never change: give this one another name."));
  }
  if (same) {
    dataset = **known;
  } else {
    // What never became whole may be replaced.
    std::error_code ignored;
    std::filesystem::remove_all(folder_.incoming_dataset(dataset.name), ignored);
    dataset.create_time = coordinator_.now();
    absl::Status status = Store([&](auto& change) { change.Write(store::PutDataset{dataset, manifest->files}); });
    if (!status.ok()) return status;
  }
  if (!dataset.complete) {
    const auto complete = CompleteIfWhole(dataset);
    if (!complete.ok()) return complete.status();
    dataset.complete = *complete;
  }
  *response.mutable_dataset() = ToProto(dataset);
  if (same && dataset.complete) {
    response.set_repair(true);
    if (absl::Status status = ReopenDamaged(dataset); !status.ok()) return status;
  }
  const auto files = coordinator_.store().FilesOfDataset(dataset.name);
  if (!files.ok()) return files.status();
  for (const store::DatasetFile& file : *files) {
    if (file.complete) continue;
    v1::PendingFile* pending = response.add_pending();
    pending->set_path(file.path);
    pending->set_offset(base::FileSize(folder_.incoming_dataset(dataset.name) + "/" + file.path));
  }
  return absl::OkStatus();
}

grpc::Status DatasetService::CreateDataset(grpc::ServerContext*, const v1::CreateDatasetRequest* request,
                                           v1::CreateDatasetResponse* response) {
  return ToGrpc(Create(*request, *response));
}

absl::Status DatasetService::ReopenDamaged(const store::Dataset& dataset) {
  const auto files = coordinator_.store().FilesOfDataset(dataset.name);
  if (!files.ok()) return files.status();
  const std::string folder = folder_.dataset(dataset.name);
  for (const store::DatasetFile& file : *files) {
    if (!file.complete) continue;
    const std::string path = folder + "/" + file.path;
    const auto hash = base::Sha256OfFile(path);
    if (!hash.ok() && !absl::IsNotFound(hash.status())) return hash.status();
    if (hash.ok() && *hash == file.sha256) continue;
    spdlog::warn("The file {} of the dataset {} is {}; it is taken again.", file.path, dataset.name,
                 hash.ok() ? "damaged" : "missing");
    absl::Status status = Store([&](auto& change) { change.Write(store::ReopenDatasetFile{dataset.name, file.path}); });
    if (!status.ok()) return status;
  }
  const auto manifest = base::ReadFile(folder + "/manifest.json");
  if (manifest.ok() && *manifest == dataset.manifest) return absl::OkStatus();
  if (absl::Status status = base::MakeFolders(folder); !status.ok()) return status;
  return base::WriteFileAtomically(folder + "/manifest.json", dataset.manifest);
}

absl::Status DatasetService::PutRight(const std::string& dataset, const std::string& path) {
  const std::string to = folder_.dataset(dataset) + "/" + path;
  if (absl::Status status = base::MakeFolders(std::filesystem::path(to).parent_path().string()); !status.ok())
    return status;
  return base::RenameDurably(folder_.incoming_dataset(dataset) + "/" + path, to);
}

absl::StatusOr<bool> DatasetService::CompleteIfWhole(const store::Dataset& dataset) {
  const auto files = coordinator_.store().FilesOfDataset(dataset.name);
  if (!files.ok()) return files.status();
  if (std::any_of(files->begin(), files->end(), [](const auto& file) { return !file.complete; })) return false;
  const std::string from = folder_.incoming_dataset(dataset.name);
  if (dataset.complete) {  // only some files were put right
    std::error_code ignored;
    std::filesystem::remove_all(from, ignored);
    return true;
  }
  // After a crash between renaming and storing the folder is in its place already.
  if (std::filesystem::exists(from)) {
    if (absl::Status status = base::WriteFileAtomically(from + "/manifest.json", dataset.manifest); !status.ok())
      return status;
    std::error_code ignored;
    std::filesystem::remove_all(folder_.dataset(dataset.name), ignored);
    if (absl::Status status = base::RenameDurably(from, folder_.dataset(dataset.name)); !status.ok()) return status;
  }
  absl::Status status = Store([&](auto& change) { change.Write(store::CompleteDataset{dataset.name}); });
  if (!status.ok()) return status;
  return true;
}

absl::Status DatasetService::Take(const v1::UploadDatasetFileRequest& request,
                                  v1::UploadDatasetFileResponse& response) {
  const auto ids = ParseName(request.name(), "datasets/*");
  if (!ids.ok()) return ids.status();
  const auto dataset = coordinator_.store().FindDataset((*ids)[0]);
  if (!dataset.ok()) return dataset.status();
  if (!dataset->has_value() || (*dataset)->digest != request.digest()) {
    return absl::InvalidArgumentError(absl::StrCat(request.name(), " with the digest ", request.digest(),
                                                   " was not begun. Call CreateDataset first."));
  }
  const auto files = coordinator_.store().FilesOfDataset((*ids)[0]);
  if (!files.ok()) return files.status();
  const auto file = std::find_if(files->begin(), files->end(), [&](const auto& f) { return f.path == request.path(); });
  if (file == files->end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("path: ", request.path(), " is not in the manifest of ", request.name(), "."));
  }
  if (file->complete) {  // said again, since the answer may have been lost
    response.set_offset(file->bytes);
    response.set_file_complete(true);
    response.set_dataset_complete((*dataset)->complete);
    return absl::OkStatus();
  }
  const auto size = static_cast<int64_t>(request.data().size());
  const std::string path = folder_.incoming_dataset((*ids)[0]) + "/" + file->path;
  const int64_t stands = base::FileSize(path);
  if (request.offset() != stands) {
    return absl::FailedPreconditionError(absl::StrCat("offset is ", request.offset(), ", but ", file->path,
                                                      " stands at ", stands, ". Go on from there."));
  }
  if (size > kLargestPiece || stands + size > file->bytes) {
    return absl::InvalidArgumentError(absl::StrCat("data: ", size, " bytes at ", stands, " of ", file->path,
                                                   ", which has ", file->bytes, " bytes; at most ", kLargestPiece,
                                                   " go in one call."));
  }
  if (absl::Status status = base::MakeFolders(std::filesystem::path(path).parent_path().string()); !status.ok())
    return status;
  auto out = base::OpenFile(path, O_WRONLY | O_CREAT | O_NOFOLLOW);
  if (!out.ok()) return out.status();
  absl::Status status = base::WriteAt(*out, request.data(), stands, path);
  if (status.ok()) status = base::SyncFile(*out, path);
  if (!status.ok()) {
    if (ftruncate(out->get(), stands) != 0) return base::FileError(errno, "cut back", path);
    return status;
  }
  response.set_offset(stands + size);
  if (stands + size < file->bytes) return absl::OkStatus();
  const auto hash = base::Sha256OfFile(path);
  if (!hash.ok()) return hash.status();
  if (*hash != file->sha256) {
    unlink(path.c_str());
    return absl::DataLossError(absl::StrCat("What arrived of ", file->path, " has the hash ", *hash, ", not ",
                                            file->sha256, "; it was dropped. Send it again from the beginning."));
  }
  if (status = base::SyncFolder(std::filesystem::path(path).parent_path().string()); !status.ok()) return status;
  if ((*dataset)->complete) {
    if (status = PutRight((*ids)[0], file->path); !status.ok()) return status;
  }
  status = Store([&](auto& change) { change.Write(store::CompleteDatasetFile{(*ids)[0], file->path}); });
  if (!status.ok()) return status;
  response.set_file_complete(true);
  const auto complete = CompleteIfWhole(**dataset);
  if (!complete.ok()) return complete.status();
  response.set_dataset_complete(*complete);
  return absl::OkStatus();
}

grpc::Status DatasetService::UploadDatasetFile(grpc::ServerContext*, const v1::UploadDatasetFileRequest* request,
                                               v1::UploadDatasetFileResponse* response) {
  base::MutexLock lock(mutex_);
  return ToGrpc(Take(*request, *response));
}

absl::StatusOr<store::Dataset> DatasetService::Find(const std::string& name) {
  const auto ids = ParseName(name, "datasets/*");
  if (!ids.ok()) return absl::NotFoundError(ids.status().message());
  const auto dataset = coordinator_.store().FindDataset((*ids)[0]);
  if (!dataset.ok()) return dataset.status();
  if (!dataset->has_value() || !(*dataset)->complete) {
    return absl::NotFoundError(
        absl::StrCat("There is no dataset ", (*ids)[0], ". 'strata data list' shows those there are."));
  }
  return **dataset;
}

grpc::Status DatasetService::GetDataset(grpc::ServerContext*, const v1::GetDatasetRequest* request,
                                        v1::Dataset* response) {
  const auto dataset = Find(request->name());
  if (dataset.ok()) *response = ToProto(*dataset);
  return ToGrpc(dataset.status());
}

grpc::Status DatasetService::ListDatasets(grpc::ServerContext*, const v1::ListDatasetsRequest* request,
                                          v1::ListDatasetsResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const auto after = ReadPageToken("datasets", request->page_token());
  if (!after.ok()) return ToGrpc(after.status());
  const auto datasets = coordinator_.store().ListDatasets(*after, *size + 1);
  if (!datasets.ok()) return ToGrpc(datasets.status());
  for (const store::Dataset& dataset : *datasets) {
    if (response->datasets_size() == *size) {
      response->set_next_page_token(PageToken("datasets", (*datasets)[static_cast<size_t>(*size) - 1].name));
      break;
    }
    *response->add_datasets() = ToProto(dataset);
  }
  return grpc::Status::OK;
}

grpc::Status DatasetService::ReadDatasetFile(grpc::ServerContext* context, const v1::ReadDatasetFileRequest* request,
                                             grpc::ServerWriter<v1::ReadDatasetFileResponse>* writer) {
  const auto dataset = Find(request->name());
  if (!dataset.ok()) return ToGrpc(dataset.status());
  int64_t bytes = -1;
  if (request->path() == "manifest.json") {
    bytes = static_cast<int64_t>(dataset->manifest.size());
  } else {
    const auto files = coordinator_.store().FilesOfDataset(dataset->name);
    if (!files.ok()) return ToGrpc(files.status());
    for (const store::DatasetFile& file : *files) {
      if (file.path == request->path()) bytes = file.bytes;
    }
  }
  if (bytes < 0)
    return ToGrpc(absl::NotFoundError(absl::StrCat(request->name(), " has no file ", request->path(), ".")));
  return ToGrpc(StreamFile<v1::ReadDatasetFileResponse>(
      *context, folder_.dataset(dataset->name) + "/" + request->path(), bytes, request->offset(), *writer));
}

}  // namespace strata::service
