// Compiled twice, as libcrypto.so and libssl.so of https_libraries.h.
#include <openssl/ssl.h>

#ifdef STRATA_LIBSSL
#undef SSL_get_peer_certificate
extern "C" X509* SSL_get_peer_certificate(const SSL* ssl) { return SSL_get1_peer_certificate(ssl); }
#endif
