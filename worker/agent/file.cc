#include "worker/agent/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace strata::agent {

base::FileDescriptor Open(const std::string& path, int flags) {
  return base::FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC, 0644));
}

absl::Status WriteAll(const base::FileDescriptor& file, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = ::write(file.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::FileError(errno, "write", path);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

std::string ReadProc(const std::string& path) {
  const base::FileDescriptor file = Open(path, O_RDONLY);
  std::string content;
  char buffer[4096];
  for (ssize_t n; file.get() >= 0 && (n = ::read(file.get(), buffer, sizeof buffer)) > 0;) {
    content.append(buffer, static_cast<size_t>(n));
  }
  return content;
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void RemoveTree(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string LastLines(const std::string& path, int lines, int64_t bytes) {
  const base::FileDescriptor file = Open(path, O_RDONLY);
  const int64_t size = base::FileSize(path);
  if (file.get() < 0 || size <= 0) return "";
  const auto read = base::ReadAt(file, std::max<int64_t>(0, size - bytes), std::min(size, bytes), path);
  if (!read.ok()) return "";
  std::string tail = *read;
  while (!tail.empty() && tail.back() == '\n') tail.pop_back();
  size_t begin = tail.size();
  for (int i = 0; i < lines && begin != std::string::npos && begin > 0; ++i) begin = tail.rfind('\n', begin - 1);
  if (begin < tail.size() && tail[begin] == '\n') tail.erase(0, begin + 1);
  return tail;
}

}  // namespace strata::agent
