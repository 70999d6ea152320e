#include "server/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"

namespace strata::base {
namespace {

std::string Parent(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

absl::Status FileError(int error, std::string_view what, const std::string& path) {
  const std::string message =
      absl::StrCat("Cannot ", std::string(what).c_str(), " ", path, ": ", std::strerror(error), ".");
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(absl::StrCat(message, " Free some space and try again."));
    case ENOENT:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    default:
      return absl::InternalError(message);
  }
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<FileDescriptor> OpenFile(const std::string& path, int flags, int mode) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return FileError(errno, "open", path);
  return FileDescriptor(fd);
}

absl::Status WriteAt(const FileDescriptor& file, std::string_view data, int64_t offset, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = pwrite(file.get(), data.data(), data.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(errno, "write", path);
    data.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAt(const FileDescriptor& file, int64_t offset, int64_t bytes, const std::string& path) {
  std::string data(static_cast<size_t>(bytes), '\0');
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = pread(file.get(), data.data() + done, data.size() - done, offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(errno, "read", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  data.resize(done);
  return data;
}

absl::Status SyncFile(const FileDescriptor& file, const std::string& path) {
  if (fdatasync(file.get()) != 0) return FileError(errno, "sync", path);
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  auto file = OpenFile(folder, O_RDONLY | O_DIRECTORY);
  if (!file.ok()) return file.status();
  if (fsync(file->get()) != 0) return FileError(errno, "sync", folder);
  return absl::OkStatus();
}

int64_t FileSize(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  auto file = OpenFile(path, O_RDONLY);
  if (!file.ok()) return file.status();
  return ReadAt(*file, 0, FileSize(path), path);
}

absl::StatusOr<std::string> Sha256OfFile(const std::string& path) {
  auto file = OpenFile(path, O_RDONLY);
  if (!file.ok()) return file.status();
  Sha256 hash;
  for (int64_t offset = 0;;) {
    auto data = ReadAt(*file, offset, 1 << 20, path);
    if (!data.ok()) return data.status();
    if (data->empty()) return hash.HexDigest();
    hash.Update(*data);
    offset += static_cast<int64_t>(data->size());
  }
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content, int mode) {
  const std::string temporary = absl::StrCat(path, ".", RandomHex(4), ".tmp");
  auto file = OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (!file.ok()) return file.status();
  absl::Status status = WriteAt(*file, content, 0, temporary);
  if (status.ok()) status = SyncFile(*file, temporary);
  if (status.ok()) status = RenameDurably(temporary, path);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return FileError(errno, "rename to its place", to);
  if (absl::Status status = SyncFolder(Parent(to)); !status.ok()) return status;
  return Parent(from) == Parent(to) ? absl::OkStatus() : SyncFolder(Parent(from));
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return FileError(error.value(), "make the folder", path);
  return absl::OkStatus();
}

}  // namespace strata::base
