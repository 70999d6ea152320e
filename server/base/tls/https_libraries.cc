#include "server/base/tls/https_libraries.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

extern "C" const char strata_libcrypto[], strata_libssl[];
extern "C" const unsigned long strata_libcrypto_size, strata_libssl_size;

namespace strata::base {
namespace {

absl::Status Failed(const char* name, const char* why) {
  return absl::FailedPreconditionError(absl::StrCat("Pages cannot be served over TLS here: ", name,
                                                    " of ours cannot be loaded (", why,
                                                    "). Serve none (--metrics-listen none)."));
}

// Loads a library out of memory. It is found by its SONAME from then on; its descriptor stays open, for its path is its
// name.
absl::Status Load(const char* name, const char* bytes, unsigned long size) {
  const int file = ::memfd_create(name, MFD_CLOEXEC);
  if (file < 0 || ::write(file, bytes, size) != static_cast<ssize_t>(size)) return Failed(name, std::strerror(errno));
  if (::dlopen(absl::StrCat("/proc/self/fd/", file).c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr)
    return Failed(name, ::dlerror());
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadHttpsLibraries() {
  static const auto* const loaded = new absl::Status([] {
    absl::Status status = Load("libcrypto.so", strata_libcrypto, strata_libcrypto_size);
    return status.ok() ? Load("libssl.so", strata_libssl, strata_libssl_size) : status;
  }());
  return *loaded;
}

}  // namespace strata::base
