// For the sources of this folder: owners of OpenSSL's objects, and reading PEM files into them.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/tls/certificate.h"

namespace strata::base::tls {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using StorePtr = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Free<SSL_free>>;

// The first of each in the file. InvalidArgument: there is none.
absl::StatusOr<X509Ptr> LoadCertificate(const std::string& path);
absl::StatusOr<KeyPtr> LoadKey(const std::string& path);
// All certificates of the file.
absl::StatusOr<StorePtr> LoadAuthorities(const std::string& path);

Certificate Describe(X509* certificate);
// What OpenSSL said last, and forgets it.
std::string LastError();

}  // namespace strata::base::tls
