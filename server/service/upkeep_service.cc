#include "server/service/upkeep_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/service/audit_note.h"
#include "server/service/read_file.h"
#include "server/service/rpc.h"
#include "server/service/storage_check.h"
#include "server/service/usage.h"

namespace strata::service {
namespace {

constexpr absl::Duration kFirst = absl::Hours(1);  // at the latest
// How often a check says how far it has come.
constexpr absl::Duration kTell = absl::Seconds(1);

}  // namespace

void UpkeepService::Start() {
  collecting_ = std::thread([this] { CollectByItself(); });
}

void UpkeepService::Stop() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (collecting_.joinable()) collecting_.join();
}

bool UpkeepService::AwaitStop(absl::Duration time) {
  base::MutexLock lock(mutex_);
  while (!stopping_ && time > absl::ZeroDuration()) {
    const auto start = std::chrono::steady_clock::now();
    changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(std::min(time, absl::Hours(1))));
    time -= absl::FromChrono(std::chrono::steady_clock::now() - start);
  }
  return stopping_;
}

void UpkeepService::CollectByItself() {
  if (const absl::Status status = deletion_.Finish(); !status.ok())
    spdlog::warn("Files of what was deleted are left: {}", std::string(status.message()));
  for (absl::Duration pause = std::min(kFirst, between_); !AwaitStop(pause); pause = between_) {
    v1::CollectGarbageResponse collected;
    // As a call's changes do, what goes stands in the audit log.
    CurrentAuditNote() = std::make_shared<AuditNote>(AuditNote{
        {.caller = "coordinator", .method = "UpkeepService/CollectGarbage", .request_id = base::RandomHex(8)}});
    const absl::Status status = garbage_.Collect(retention_, /*dry_run=*/false, collected);
    CurrentAuditNote() = nullptr;
    if (!status.ok()) {
      spdlog::warn("Garbage was not collected: {}", std::string(status.message()));
      continue;
    }
    for (const v1::Garbage& garbage : collected.garbage())
      spdlog::info("deleted {} ({}, {} bytes): {}", garbage.name(), garbage.kind(), garbage.bytes(), garbage.why());
    for (const std::string& left : collected.left()) spdlog::warn("Garbage that is left: {}", left);
    spdlog::info("garbage: {} things, {} bytes; retention {}", collected.count(), collected.bytes(),
                 collected.retention());
  }
}

grpc::Status UpkeepService::PlanDeletion(grpc::ServerContext*, const v1::PlanDeletionRequest* request,
                                         v1::PlanDeletionResponse* response) {
  return ToGrpc(deletion_.Plan({request->names().begin(), request->names().end()}, *response));
}

grpc::Status UpkeepService::Delete(grpc::ServerContext*, const v1::DeleteRequest* request,
                                   v1::DeleteResponse* response) {
  return ToGrpc(deletion_.Delete(*request, *response));
}

grpc::Status UpkeepService::GetUsage(grpc::ServerContext*, const v1::GetUsageRequest* request,
                                     v1::GetUsageResponse* response) {
  return ToGrpc(MeasureUsage(coordinator_.store(), folder_, request->name(), *response));
}

grpc::Status UpkeepService::CollectGarbage(grpc::ServerContext*, const v1::CollectGarbageRequest* request,
                                           v1::CollectGarbageResponse* response) {
  Retention retention = retention_;
  if (!request->retention().empty()) {
    const auto own = ParseRetention(request->retention());
    if (!own.ok()) return ToGrpc(own.status());
    retention = *own;
  }
  // Looking is no change.
  if (const auto& note = CurrentAuditNote(); note != nullptr && request->dry_run()) note->owed = false;
  return ToGrpc(garbage_.Collect(retention, request->dry_run(), *response));
}

grpc::Status UpkeepService::BeginBackup(grpc::ServerContext*, const v1::BeginBackupRequest*,
                                        v1::BeginBackupResponse* response) {
  response->set_server_version(version_);
  return ToGrpc(backups_.Begin(*response));
}

grpc::Status UpkeepService::ListBackupFiles(grpc::ServerContext*, const v1::ListBackupFilesRequest* request,
                                            v1::ListBackupFilesResponse* response) {
  const auto size = PageSize(request->page_size(), 1000, 10000);
  if (!size.ok()) return ToGrpc(size.status());
  const std::string list = "backup " + request->backup_id();
  const auto from = ReadPageNumber(list, request->page_token(), 0);
  if (!from.ok()) return ToGrpc(from.status());
  auto files = backups_.List(request->backup_id(), static_cast<size_t>(*from), static_cast<size_t>(*size) + 1);
  if (!files.ok()) return ToGrpc(files.status());
  if (files->size() > static_cast<size_t>(*size)) {
    files->pop_back();
    response->set_next_page_token(PageToken(list, absl::StrCat(*from + *size)));
  }
  for (v1::BackupFile& file : *files) *response->add_files() = std::move(file);
  return grpc::Status::OK;
}

grpc::Status UpkeepService::ReadBackupFile(grpc::ServerContext* context, const v1::ReadBackupFileRequest* request,
                                           grpc::ServerWriter<v1::ReadBackupFileResponse>* writer) {
  const auto file = backups_.Find(request->backup_id(), request->path());
  if (!file.ok()) return ToGrpc(file.status());
  return ToGrpc(
      StreamFile<v1::ReadBackupFileResponse>(*context, file->first, file->second, request->offset(), *writer));
}

grpc::Status UpkeepService::EndBackup(grpc::ServerContext*, const v1::EndBackupRequest* request,
                                      v1::EndBackupResponse*) {
  backups_.End(request->backup_id());
  return grpc::Status::OK;
}

grpc::Status UpkeepService::CheckStorage(grpc::ServerContext* context, const v1::CheckStorageRequest* request,
                                         grpc::ServerWriter<v1::CheckStorageResponse>* writer) {
  absl::Time told = absl::InfinitePast();
  v1::CheckStorageResponse last;
  const auto tell = [&](const CheckProgress& progress) {
    last.set_files(progress.files);
    last.set_bytes(progress.bytes);
    if (context->IsCancelled() || coordinator_.stopping()) return false;
    if (progress.finding.empty() && absl::Now() - told < kTell) return true;
    told = absl::Now();
    v1::CheckStorageResponse response = last;
    response.set_finding(progress.finding);
    response.set_harmless(progress.harmless);
    return writer->Write(response);
  };
  const absl::Status status = service::CheckStorage(coordinator_.store(), folder_, request->quick(), tell);
  if (!status.ok()) return ToGrpc(status);
  last.set_complete(true);
  writer->Write(last);
  return grpc::Status::OK;
}

}  // namespace strata::service
