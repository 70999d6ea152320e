#include "model/data/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <system_error>
#include <vector>

#include "model/data/shard.h"

namespace strata::model {
namespace {

[[noreturn]] void Fail(const std::string& what, const std::filesystem::path& path, int error) {
  std::string message = what + " " + path.string() + ": " + std::strerror(error) + ".";
  if (error == ENOSPC || error == EDQUOT) message += " Free some space, or write to another disk.";
  throw DataError(message);
}

void WriteAndSync(const std::filesystem::path& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) Fail("Cannot create", path, errno);
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      ::close(fd);
      Fail("Cannot write", path, error);
    }
    content.remove_prefix(static_cast<size_t>(n));
  }
  const int synced = ::fsync(fd) == 0 ? 0 : errno;
  const int closed = ::close(fd) == 0 ? 0 : errno;
  if (synced != 0 && synced != EINVAL) Fail("Cannot write", path, synced);  // EINVAL: no such thing as syncing a pipe
  if (closed != 0) Fail("Cannot write", path, closed);
}

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
      throw DataError("OpenSSL has no SHA-256.");
    }
  }
  void Add(const char* data, size_t size) { EVP_DigestUpdate(context_.get(), data, size); }
  std::string Hex() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), bytes, &size);
    std::string hex;
    for (unsigned int i = 0; i < size; ++i) {
      hex += "0123456789abcdef"[bytes[i] >> 4];
      hex += "0123456789abcdef"[bytes[i] & 15];
    }
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

// Calls consume(data, size) over the whole file.
template <typename Consume>
void ReadPieces(const std::filesystem::path& path, Consume consume) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail("Cannot open", path, errno);
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      ::close(fd);
      Fail("Cannot read", path, error);
    }
    if (n == 0) break;
    consume(buffer.data(), static_cast<size_t>(n));
  }
  ::close(fd);
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path) {
  std::string content;
  ReadPieces(path, [&](const char* data, size_t size) { content.append(data, size); });
  return content;
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::path partial = path;
  partial += ".partial";
  try {
    WriteAndSync(partial, content);
    if (::rename(partial.c_str(), path.c_str()) != 0) Fail("Cannot rename to", path, errno);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
  SyncFolder(path.has_parent_path() ? path.parent_path() : ".");
}

void SyncFolder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) Fail("Cannot open folder", folder, errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0 && error != EINVAL) Fail("Cannot sync folder", folder, error);
}

std::string Sha256(std::string_view bytes) {
  Digest digest;
  digest.Add(bytes.data(), bytes.size());
  return digest.Hex();
}

std::string FileSha256(const std::filesystem::path& path) {
  Digest digest;
  ReadPieces(path, [&](const char* data, size_t size) { digest.Add(data, size); });
  return digest.Hex();
}

std::string Grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

}  // namespace strata::model
