// strata admin backup: fetches a consistent copy of the database and every file that it names.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/backup_folder.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "server/base/file.h"
#include "server/base/sha256.h"

namespace strata::client {
namespace {

struct Fetched {
  int64_t files = 0, bytes = 0;            // came over
  int64_t kept_files = 0, kept_bytes = 0;  // were there
};

class Fetcher {
 public:
  Fetcher(const Connection& connection, std::string folder) : connection_(connection), folder_(std::move(folder)) {}

  ~Fetcher() {
    if (id_.empty()) return;
    v1::EndBackupRequest end;
    end.set_backup_id(id_);
    (void)connection_.Call(&v1::UpkeepService::Stub::EndBackup, connection_.upkeep(), end);
  }

  // The state that is backed up: that of now. Writes nothing here.
  absl::Status Begin(BackupManifest& manifest) {
    const auto begun = connection_.Call(&v1::UpkeepService::Stub::BeginBackup, connection_.upkeep(),
                                        v1::BeginBackupRequest(), Connection::kLong);
    if (!begun.ok()) return begun.status();
    id_ = begun->backup_id();
    manifest.time = FormatTime(begun->time());
    manifest.version = begun->server_version();
    manifest.missing.assign(begun->missing().begin(), begun->missing().end());
    return absl::OkStatus();
  }

  absl::Status FetchAll(BackupManifest& manifest) {
    v1::ListBackupFilesRequest request;
    request.set_backup_id(id_);
    do {
      const auto page = connection_.Call(&v1::UpkeepService::Stub::ListBackupFiles, connection_.upkeep(), request);
      if (!page.ok()) return page.status();
      for (const v1::BackupFile& file : page->files()) {
        if (absl::Status status = Fetch(file, manifest); !status.ok()) return status;
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return absl::OkStatus();
  }

  const Fetched& fetched() const { return fetched_; }

 private:
  absl::Status Fetch(const v1::BackupFile& file, BackupManifest& manifest) {
    // What stands under its hash has been checked when it came.
    if (!file.sha256().empty() && std::filesystem::exists(ObjectPath(folder_, file.sha256())) &&
        base::FileSize(ObjectPath(folder_, file.sha256())) == file.bytes()) {
      ++fetched_.kept_files;
      fetched_.kept_bytes += file.bytes();
      manifest.files.push_back({file.path(), file.bytes(), file.sha256()});
      return absl::OkStatus();
    }
    const std::string partial =
        file.sha256().empty() ? folder_ + "/objects/log.partial" : ObjectPath(folder_, file.sha256()) + ".partial";
    if (absl::Status status = base::MakeFolders(std::filesystem::path(partial).parent_path().string()); !status.ok())
      return status;
    if (file.sha256().empty() || base::FileSize(partial) > file.bytes()) unlink(partial.c_str());
    const bool went_on = base::FileSize(partial) > 0;
    auto hash = Receive(file, partial);
    if (!hash.ok()) return hash.status();
    if (went_on && *hash != file.sha256()) {  // what was there of it was not of it
      unlink(partial.c_str());
      hash = Receive(file, partial);
      if (!hash.ok()) return hash.status();
    }
    if (!file.sha256().empty() && *hash != file.sha256()) {
      unlink(partial.c_str());
      manifest.missing.push_back(file.path());
      return absl::OkStatus();
    }
    const std::string object = ObjectPath(folder_, *hash);
    if (absl::Status status = base::MakeFolders(std::filesystem::path(object).parent_path().string()); !status.ok())
      return status;
    if (absl::Status status = base::RenameDurably(partial, object); !status.ok()) return status;
    ++fetched_.files;
    manifest.files.push_back({file.path(), file.bytes(), *hash});
    return absl::OkStatus();
  }

  // Appends what is missing of the file and returns the hash of all of it.
  absl::StatusOr<std::string> Receive(const v1::BackupFile& file, const std::string& partial) {
    auto out = base::OpenFile(partial, O_RDWR | O_CREAT, 0600);
    if (!out.ok()) return out.status();
    base::Sha256 hash;
    int64_t stands = 0;
    for (const int64_t there = base::FileSize(partial); stands < there;) {
      const auto data = base::ReadAt(*out, stands, 1 << 20, partial);
      if (!data.ok()) return data.status();
      hash.Update(*data);
      stands += static_cast<int64_t>(data->size());
    }
    v1::ReadBackupFileRequest request;
    request.set_backup_id(id_);
    request.set_path(file.path());
    request.set_offset(stands);
    grpc::ClientContext context;
    const auto reader = connection_.upkeep().ReadBackupFile(&context, request);
    v1::ReadBackupFileResponse piece;
    absl::Status written;
    while (written.ok() && reader->Read(&piece)) {
      written = base::WriteAt(*out, piece.data(), stands, partial);
      hash.Update(piece.data());
      stands += static_cast<int64_t>(piece.data().size());
      fetched_.bytes += static_cast<int64_t>(piece.data().size());
    }
    if (!written.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    if (!written.ok()) return written;
    if (!status.ok()) return connection_.Explain(status);
    if (absl::Status synced = base::SyncFile(*out, partial); !synced.ok()) return synced;
    return hash.HexDigest();
  }

  const Connection& connection_;
  const std::string folder_;
  std::string id_;
  Fetched fetched_;
};

// Makes the folder and takes it for this process alone, until what is returned goes.
absl::StatusOr<base::FileDescriptor> Take(const std::string& folder) {
  const std::string objects = folder + "/objects";
  if (absl::Status status = base::MakeFolders(objects); !status.ok()) return status;
  std::error_code ignored;
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);  // it holds hashes of tokens
  auto held = base::OpenFile(objects, O_RDONLY | O_DIRECTORY);
  if (held.ok() && flock(held->get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("Another backup into ", folder, " is under way. Wait for its end, or name another folder."));
  }
  return held;
}

absl::Status Backup(const Context& context, const std::string& folder) {
  if (absl::Status status = CheckIsBackup(folder); !status.ok()) return status;
  const Connection connection = context.Connect();
  BackupManifest manifest;
  Fetcher fetcher(connection, folder);
  if (absl::Status status = fetcher.Begin(manifest); !status.ok()) return status;
  const auto taken = Take(folder);
  if (!taken.ok()) return taken.status();
  absl::Status status = fetcher.FetchAll(manifest);
  if (status.ok()) status = WriteManifest(folder, manifest);
  if (!status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat(status.message(), " The backup is not whole; what has come stays in ", folder,
                                     ": run the command again to go on."));
  }
  PruneObjects(folder, manifest);
  const Fetched& fetched = fetcher.fetched();
  std::printf("Backed up the state of %s: %s files (%s) fetched, %s (%s) were there.\n", manifest.time.c_str(),
              FormatCount(fetched.files).c_str(), FormatBytes(fetched.bytes).c_str(),
              FormatCount(fetched.kept_files).c_str(), FormatBytes(fetched.kept_bytes).c_str());
  if (manifest.missing.empty()) return absl::OkStatus();
  for (const std::string& name : manifest.missing)
    std::fprintf(stderr, "%s is missing or damaged at the coordinator.\n", name.c_str());
  return absl::DataLossError(absl::StrCat(
      manifest.missing.size(), " files could not be backed up; all others were. 'strata admin check' says more."));
}

}  // namespace

void AddAdminBackup(CLI::App& admin, Context& context) {
  static std::string folder;
  CLI::App* command =
      AddCommand(admin, context, "backup",
                 "Copy the database and every artifact, dataset and log to a folder, while all goes on. A folder that "
                 "holds a backup already is brought up to date: only new files are fetched.",
                 {"strata admin backup /backup/strata"}, "");
  command->add_option("DIR", folder, "Folder of the backup; made if missing")->required();
  OnRun(command, context, [&context] { return Backup(context, folder); });
}

}  // namespace strata::client
