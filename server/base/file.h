// Files that are there whole or not at all, and errors of the operating system as sentences.
// Errors: ResourceExhausted when the disk is full, NotFound, PermissionDenied, else Internal; each names the path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace strata::base {

// The status for `error` (an errno) met while doing `what` ("write") to `path`.
absl::Status FileError(int error, std::string_view what, const std::string& path);

// Owns a file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::StatusOr<FileDescriptor> OpenFile(const std::string& path, int flags, int mode = 0644);

// All of `data` at `offset`.
absl::Status WriteAt(const FileDescriptor& file, std::string_view data, int64_t offset, const std::string& path);
// Up to `bytes` from `offset`; fewer only at the end of the file.
absl::StatusOr<std::string> ReadAt(const FileDescriptor& file, int64_t offset, int64_t bytes, const std::string& path);
absl::Status SyncFile(const FileDescriptor& file, const std::string& path);
// Makes names created, renamed or removed in `folder` last.
absl::Status SyncFolder(const std::string& folder);

// Length of a file; 0 if there is none.
int64_t FileSize(const std::string& path);
absl::StatusOr<std::string> ReadFile(const std::string& path);
absl::StatusOr<std::string> Sha256OfFile(const std::string& path);
// Under a temporary name, synced, renamed. A secret's mode is 0600.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content, int mode = 0644);
// rename(2), and both folders synced.
absl::Status RenameDurably(const std::string& from, const std::string& to);
absl::Status MakeFolders(const std::string& path);

}  // namespace strata::base
