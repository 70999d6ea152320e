// That civetweb finds what it asks for.
#include "server/base/tls/https_libraries.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace strata::base {
namespace {

TEST(HttpsLibrariesTest, HoldWhatCivetwebAsksFor) {
  ASSERT_TRUE(LoadHttpsLibraries().ok()) << LoadHttpsLibraries();
  void* const ssl = dlopen("libssl.so", RTLD_LAZY);
  ASSERT_NE(ssl, nullptr);
  for (const char* function : {"SSL_get_peer_certificate", "SSL_new", "SSL_accept"})
    EXPECT_NE(dlsym(ssl, function), nullptr) << function;
  void* const crypto = dlopen("libcrypto.so", RTLD_LAZY);
  ASSERT_NE(crypto, nullptr);
  EXPECT_NE(dlsym(crypto, "X509_free"), nullptr);
}

}  // namespace
}  // namespace strata::base
