#include "server/base/tls/pem_pair.h"

#include <chrono>

#include "server/base/file.h"
#include "server/base/tls/openssl.h"

namespace strata::base {

absl::StatusOr<std::unique_ptr<PemPair>> PemPair::Keep(const TlsFiles& files, const std::string& path) {
  std::unique_ptr<PemPair> pair(new PemPair(files, path));
  if (absl::Status status = pair->Write(); !status.ok()) return status;
  pair->thread_ = std::thread([pair = pair.get()] { pair->Watch(); });
  return pair;
}

PemPair::~PemPair() {
  {
    MutexLock lock(mutex_);
    end_ = true;
    ending_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status PemPair::Write() {
  const auto key_text = ReadFile(files_.key);
  if (!key_text.ok()) return key_text.status();
  const auto cert_text = ReadFile(files_.cert);
  if (!cert_text.ok()) return cert_text.status();
  std::string both = *key_text + "\n" + *cert_text;
  if (both == written_) return absl::OkStatus();
  const auto key = tls::LoadKey(files_.key);
  if (!key.ok()) return key.status();
  const auto certificate = tls::LoadCertificate(files_.cert);
  if (!certificate.ok()) return certificate.status();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    (void)tls::LastError();
    return absl::UnavailableError("key and certificate do not belong together just now");
  }
  if (absl::Status status = WriteFileAtomically(path_, both, 0600); !status.ok()) return status;
  written_ = std::move(both);
  return absl::OkStatus();
}

void PemPair::Watch() {
  MutexLock lock(mutex_);
  while (!end_) {
    ending_.WaitFor(mutex_, std::chrono::seconds(1));
    if (!end_) (void)Write();  // tried again in a second
  }
}

}  // namespace strata::base
