#include "model/data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "model/data/shard.h"

namespace strata::model {

std::shared_ptr<const void> MapFile(const std::filesystem::path& path, const std::string& what,
                                    const std::string& remedy, uint64_t* size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw DataError("Cannot open " + what + " " + path.string() + ": " + std::strerror(errno) + ". " + remedy);
  }
  const std::unique_ptr<const int, void (*)(const int*)> closer(&fd, [](const int* f) { ::close(*f); });
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) throw DataError(path.string() + " is not a regular file.");
  *size = static_cast<uint64_t>(info.st_size);
  if (*size == 0) throw DataError(path.string() + " is empty. " + remedy);
  void* data = ::mmap(nullptr, *size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) throw DataError("Cannot map " + path.string() + ": " + std::strerror(errno) + ".");
  return {data, [bytes = *size](const void* p) { ::munmap(const_cast<void*>(p), bytes); }};
}

}  // namespace strata::model
