#include "worker/trainer/collective_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace strata::trainer {

static_assert(std::endian::native == std::endian::little, "the file's sequence number is little-endian");

CollectiveLog::CollectiveLog(const std::string& file) {
  if (file.empty()) return;
  const auto fail = [&file](const char* what) {
    throw std::system_error(errno, std::generic_category(), "Collectives file " + file + " " + what);
  };
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail("cannot be opened");
  // Allocated, so that a full disk is an error here and no SIGBUS later.
  const int full = ::posix_fallocate(fd, 0, kBytes);
  void* mapped = full == 0 ? ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  if (full != 0) errno = full;
  const int code = errno;
  ::close(fd);
  errno = code;
  if (mapped == MAP_FAILED) fail("cannot be mapped");
  mapped_ = static_cast<char*>(mapped);
}

CollectiveLog::~CollectiveLog() {
  if (mapped_ != nullptr) ::munmap(mapped_, kBytes);
}

void CollectiveLog::Enter(const std::string& name) {
  ++sequence_;
  name_ = name;
  if (mapped_ == nullptr) return;
  char padded[kNameBytes] = {};
  std::memcpy(padded, name.data(), std::min(name.size(), kNameBytes));
  std::memcpy(mapped_ + sizeof sequence_, padded, kNameBytes);
  std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(mapped_)).store(sequence_, std::memory_order_release);
}

}  // namespace strata::trainer
