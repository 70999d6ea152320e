// Key and certificate in one file, as civetweb wants them, made of two and made again whenever either changes.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/base/tls/certificate.h"

namespace strata::base {

// Owns a thread that looks once a second. While the two files do not belong together, the last good pair stays.
class PemPair {
 public:
  // Writes `path`, of mode 0600.
  static absl::StatusOr<std::unique_ptr<PemPair>> Keep(const TlsFiles& files, const std::string& path);
  ~PemPair();
  const std::string& path() const { return path_; }

 private:
  PemPair(const TlsFiles& files, const std::string& path) : files_(files), path_(path) {}
  absl::Status Write();
  void Watch();

  const TlsFiles files_;
  const std::string path_;
  std::string written_;  // the thread's, once it runs
  Mutex mutex_;
  CondVar ending_;
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace strata::base
