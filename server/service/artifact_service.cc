#include "server/service/artifact_service.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/service/convert.h"
#include "server/service/names.h"
#include "server/service/read_file.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

constexpr int64_t kLargestArtifact = int64_t{1} << 40;
constexpr size_t kLongestKind = 128;
constexpr size_t kMostArrivals = 1024;
constexpr absl::Duration kHashAtEnd = absl::Seconds(20);  // no longer than the caller of FinishUpload waits

absl::Status CheckRequest(const v1::StartUploadRequest& request) {
  const std::string& kind = request.kind();
  const bool plain = std::all_of(kind.begin(), kind.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  });
  if (kind.empty() || kind.size() > kLongestKind || !plain) {
    return absl::InvalidArgumentError(absl::StrCat("kind: \"", kind.substr(0, kLongestKind),
                                                   "\" is none. Use letters, digits, dots, hyphens and _, at most ",
                                                   kLongestKind, "."));
  }
  const std::string& hash = request.sha256();
  if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("sha256: \"", hash, "\" is no SHA-256 in lower-case hex."));
  }
  if (request.bytes() < 0 || request.bytes() > kLargestArtifact) {
    return absl::InvalidArgumentError(
        absl::StrCat("bytes is ", request.bytes(), ". An artifact has from 0 to ", kLargestArtifact, " bytes."));
  }
  const std::string& name = request.file_name();
  if (name.empty() || name.size() > 255 || name == "." || name == ".." || name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("file_name: \"", name, "\" is no plain file name."));
  }
  return absl::OkStatus();
}

absl::Status NoUpload(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("There is no upload ", id, ". Begin it again with StartUpload."));
}

}  // namespace

std::string ArtifactName(const store::Upload& upload) {
  std::string kind = upload.kind;
  std::replace(kind.begin(), kind.end(), '_', '-');
  return absl::StrCat(ParentOf(upload.job), "/artifacts/", LeafOf(upload.job), "-", upload.attempt, "-", kind, "-",
                      upload.update, "-", upload.sha256.substr(0, 8));
}

absl::Status ArtifactService::CheckLives(const std::string& job, int32_t attempt) {
  return coordinator_.Look([&](const core::Controller& controller) { return controller.CheckAttempt(job, attempt); });
}

absl::StatusOr<store::Artifact> ArtifactService::Find(const std::string& name) {
  const auto artifact = coordinator_.store().FindArtifact(name);
  if (!artifact.ok()) return artifact.status();
  if (!artifact->has_value()) return absl::NotFoundError(absl::StrCat("There is no artifact ", name, "."));
  return **artifact;
}

absl::StatusOr<std::optional<store::Artifact>> ArtifactService::FindSame(const store::Upload& upload) {
  const auto artifacts = coordinator_.store().ListArtifacts(ParentOf(upload.job));
  if (!artifacts.ok()) return artifacts.status();
  for (const store::Artifact& artifact : *artifacts) {
    if (artifact.job == upload.job && artifact.kind == upload.kind && artifact.sha256 == upload.sha256 &&
        base::FileSize(folder_.artifact(artifact.name)) == artifact.bytes)
      return artifact;
  }
  return std::nullopt;
}

absl::Status ArtifactService::Start(const v1::StartUploadRequest& request, v1::StartUploadResponse& response) {
  if (absl::Status status = CheckRequest(request); !status.ok()) return status;
  store::Upload upload{.id = base::RandomHex(16),
                       .job = request.job(),
                       .attempt = request.attempt(),
                       .kind = request.kind(),
                       .sha256 = request.sha256(),
                       .bytes = request.bytes(),
                       .update = request.update(),
                       .file_name = request.file_name()};
  if (absl::Status status = CheckLives(upload.job, upload.attempt); !status.ok()) return status;
  const auto complete = coordinator_.store().FindArtifact(ArtifactName(upload));
  if (!complete.ok()) return complete.status();
  if (complete->has_value()) {
    *response.mutable_artifact() = ToProto(**complete);
    response.set_offset((*complete)->bytes);
    return absl::OkStatus();
  }
  if (upload.kind == "checkpoint_epoch") {
    // An attempt that goes on from before the end of an epoch makes the same weights again.
    const auto earlier = FindSame(upload);
    if (!earlier.ok()) return earlier.status();
    if (earlier->has_value()) {
      *response.mutable_artifact() = ToProto(**earlier);
      response.set_offset((*earlier)->bytes);
      return absl::OkStatus();
    }
  }
  const auto begun = coordinator_.store().FindUpload(upload);
  if (!begun.ok()) return begun.status();
  if (begun->has_value()) {
    response.set_upload_id((*begun)->id);
    response.set_offset(base::FileSize(folder_.upload((*begun)->id)));
    return absl::OkStatus();
  }
  const std::string path = folder_.upload(upload.id);
  if (auto file = base::OpenFile(path, O_WRONLY | O_CREAT | O_EXCL); !file.ok()) return file.status();
  if (absl::Status status = base::SyncFolder(folder_.path() + "/uploads"); !status.ok()) return status;
  response.set_upload_id(upload.id);
  return coordinator_.Update([&](Coordinator::Change& change) {
    change.Write(store::PutUpload{upload});
    return absl::OkStatus();
  });
}

grpc::Status ArtifactService::StartUpload(grpc::ServerContext* context, const v1::StartUploadRequest* request,
                                          v1::StartUploadResponse* response) {
  if (absl::Status status = access_.TakesPart(*context, request->job(), request->attempt()); !status.ok())
    return ToGrpc(status);
  return ToGrpc(Start(*request, *response));
}

absl::Status ArtifactService::Take(const v1::UploadChunkRequest& request, const grpc::ServerContext& context) {
  const auto size = static_cast<int64_t>(request.data().size());
  if (size > kLargestChunk) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: ", size, " bytes. Send at most ", kLargestChunk, " at once."));
  }
  const auto arrival = ArrivalOf(request.upload_id());
  if (!arrival.ok()) return arrival.status();
  if (XXH3_64bits(request.data().data(), request.data().size()) != request.xxh3()) {
    return absl::DataLossError(
        absl::StrCat("The chunk at ", request.offset(), " was damaged on its way. Send it again."));
  }
  absl::Status status = (*arrival)->Take(request.offset(), request.data(), [&] { return context.IsCancelled(); });
  return absl::IsNotFound(status) ? NoUpload(request.upload_id()) : status;  // its file was deleted meanwhile
}

absl::StatusOr<std::shared_ptr<Arrival>> ArtifactService::ArrivalOf(const std::string& upload_id) {
  {
    base::MutexLock lock(mutex_);
    const auto known = arrivals_.find(upload_id);
    if (known != arrivals_.end() && !known->second->over()) return known->second;
  }
  const auto upload = coordinator_.store().FindUpload(upload_id);
  if (!upload.ok()) return upload.status();
  if (!upload->has_value()) return NoUpload(upload_id);
  return ArrivalOf(**upload);
}

std::shared_ptr<Arrival> ArtifactService::ArrivalOf(const store::Upload& upload) {
  const std::string from = folder_.upload(upload.id);
  base::MutexLock lock(mutex_);
  std::shared_ptr<Arrival>& arrival = arrivals_[upload.id];
  if (arrival != nullptr && !arrival->over()) return arrival;
  // After a crash between renaming and storing the file is in its place already.
  const std::string path = std::filesystem::exists(from) ? from : folder_.artifact(ArtifactName(upload));
  const std::shared_ptr<Arrival> made = arrival = std::make_shared<Arrival>(path, upload.bytes);
  // Most are of attempts that are long gone: what is known of them is in their files too.
  if (arrivals_.size() > kMostArrivals) std::erase_if(arrivals_, [](const auto& a) { return a.second.use_count() == 1; });
  return made;
}

void ArtifactService::Forget(const std::string& upload_id) {
  base::MutexLock lock(mutex_);
  arrivals_.erase(upload_id);
}

grpc::Status ArtifactService::UploadChunk(grpc::ServerContext* context, const v1::UploadChunkRequest* request,
                                          v1::UploadChunkResponse* response) {
  const absl::Status status = Take(*request, *context);
  if (status.ok()) response->set_offset(request->offset() + static_cast<int64_t>(request->data().size()));
  return ToGrpc(status);
}

absl::Status ArtifactService::Drop(const store::Upload& upload, const std::string& path, const std::string& hash) {
  unlink(path.c_str());
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    change.Write(store::EraseUpload{upload.id});
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return absl::DataLossError(absl::StrCat("What arrived of ", upload.file_name, " has the hash ", hash, ", not ",
                                          upload.sha256, "; it was dropped. Send it again from the beginning."));
}

absl::StatusOr<store::Artifact> ArtifactService::Keep(const store::Upload& upload) {
  const std::string from = folder_.upload(upload.id);
  const std::string name = ArtifactName(upload);
  const std::string to = folder_.artifact(name);
  // After a crash between renaming and storing the file is in its place already.
  const std::string& path = std::filesystem::exists(from) ? from : to;
  const int64_t size = base::FileSize(path);
  if (size < upload.bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("The upload stands at ", size, " of ", upload.bytes, " bytes. Send the rest."));
  }
  const auto hash = ArrivalOf(upload)->Finish(absl::Now() + kHashAtEnd);
  if (!hash.ok()) return hash.status();
  Forget(upload.id);
  if (*hash != upload.sha256 || size != upload.bytes) return Drop(upload, path, *hash);
  if (absl::Status status = base::MakeFolders(std::filesystem::path(to).parent_path().string()); !status.ok())
    return status;
  if (path != to) {
    if (absl::Status status = base::RenameDurably(from, to); !status.ok()) return status;
  }
  store::Artifact artifact{.name = name,
                           .trial = ParentOf(upload.job),
                           .kind = upload.kind,
                           .sha256 = upload.sha256,
                           .bytes = upload.bytes,
                           .update = upload.update,
                           .job = upload.job,
                           .attempt = upload.attempt,
                           .file_name = upload.file_name,
                           .create_time = coordinator_.now()};
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) -> absl::Status {
    // Once more, under the lock: nothing of a fenced attempt counts.
    if (absl::Status live = change.controller().CheckAttempt(upload.job, upload.attempt); !live.ok()) return live;
    change.Write(store::EraseUpload{upload.id});
    change.Write(store::PutArtifact{artifact});
    return absl::OkStatus();
  });
  if (!status.ok() && !absl::IsAlreadyExists(status)) return status;
  return artifact;
}

absl::StatusOr<store::Artifact> ArtifactService::Finish(const std::string& upload_id) {
  const auto upload = coordinator_.store().FindUpload(upload_id);
  if (!upload.ok()) return upload.status();
  if (!upload->has_value()) {
    return absl::NotFoundError(
        absl::StrCat("There is no upload ", upload_id, ". StartUpload says whether its artifact is complete."));
  }
  if (absl::Status status = CheckLives((*upload)->job, (*upload)->attempt); !status.ok()) return status;
  return Keep(**upload);
}

grpc::Status ArtifactService::FinishUpload(grpc::ServerContext*, const v1::FinishUploadRequest* request,
                                           v1::Artifact* response) {
  const auto artifact = Finish(request->upload_id());
  if (!artifact.ok()) return ToGrpc(artifact.status());
  if (artifact->kind == "checkpoint_resumable") {
    const absl::Status confirmed = checkpoints_.Confirm(artifact->job, artifact->attempt, artifact->sha256);
    if (!confirmed.ok() && !absl::IsFailedPrecondition(confirmed)) return ToGrpc(confirmed);
  }
  const auto job = coordinator_.store().FindJob(artifact->job);
  if (job.ok() && job->has_value()) checkpoints_.Prune(**job);
  *response = ToProto(*artifact);
  return grpc::Status::OK;
}

grpc::Status ArtifactService::GetArtifact(grpc::ServerContext*, const v1::GetArtifactRequest* request,
                                          v1::Artifact* response) {
  const auto artifact = Find(request->name());
  if (artifact.ok()) *response = ToProto(*artifact);
  return ToGrpc(artifact.status());
}

grpc::Status ArtifactService::ListArtifacts(grpc::ServerContext*, const v1::ListArtifactsRequest* request,
                                            v1::ListArtifactsResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const auto from = ReadPageNumber(request->parent(), request->page_token(), 0);
  if (!from.ok()) return ToGrpc(from.status());
  const auto trial = coordinator_.store().FindTrial(request->parent());
  if (!trial.ok()) return ToGrpc(trial.status());
  if (!trial->has_value())
    return ToGrpc(absl::NotFoundError(absl::StrCat("There is no trial ", request->parent(), ".")));
  auto artifacts = coordinator_.store().ListArtifacts(request->parent());
  if (!artifacts.ok()) return ToGrpc(artifacts.status());
  if (!(*trial)->reused_from.empty()) {
    // The weights are those of the trial that was trained for this one.
    const auto trained = coordinator_.store().ListArtifacts((*trial)->reused_from);
    if (!trained.ok()) return ToGrpc(trained.status());
    artifacts->insert(artifacts->end(), trained->begin(), trained->end());
  }
  for (int64_t i = *from; i < static_cast<int64_t>(artifacts->size()); ++i) {
    if (response->artifacts_size() == *size) {
      response->set_next_page_token(PageToken(request->parent(), absl::StrCat(i)));
      break;
    }
    *response->add_artifacts() = ToProto((*artifacts)[static_cast<size_t>(i)]);
  }
  return grpc::Status::OK;
}

grpc::Status ArtifactService::ReadArtifact(grpc::ServerContext* context, const v1::ReadArtifactRequest* request,
                                           grpc::ServerWriter<v1::ReadArtifactResponse>* writer) {
  const auto artifact = Find(request->name());
  if (!artifact.ok()) return ToGrpc(artifact.status());
  return ToGrpc(StreamFile<v1::ReadArtifactResponse>(*context, folder_.artifact(artifact->name), artifact->bytes,
                                                     request->offset(), *writer));
}

}  // namespace strata::service
