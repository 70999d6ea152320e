// SHA-256 (FIPS 180-4) under the names of OpenSSL's digests, for builds without OpenSSL (cmake/bundled/README.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

struct EVP_MD {};
struct EVP_MD_CTX {
  uint32_t state[8];
  uint64_t bytes;
  unsigned char block[64];
};
#define EVP_MAX_MD_SIZE 64

inline const EVP_MD* EVP_sha256() {
  static const EVP_MD sha256;
  return &sha256;
}
inline EVP_MD_CTX* EVP_MD_CTX_new() { return new EVP_MD_CTX(); }
inline void EVP_MD_CTX_free(EVP_MD_CTX* context) { delete context; }

namespace strata_bundled {

inline uint32_t Turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

inline void Compress(uint32_t state[8], const unsigned char* block) {
  static constexpr uint32_t kRound[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
      0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
      0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
      0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
      0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
      0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) {
    w[i] = static_cast<uint32_t>(block[4 * i]) << 24 | static_cast<uint32_t>(block[4 * i + 1]) << 16 |
           static_cast<uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (Turn(a, 7) ^ Turn(a, 18) ^ a >> 3) + w[i - 7] + (Turn(b, 17) ^ Turn(b, 19) ^ b >> 10);
  }
  uint32_t v[8];
  std::memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; ++i) {
    const uint32_t one = v[7] + (Turn(v[4], 6) ^ Turn(v[4], 11) ^ Turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + kRound[i] + w[i];
    const uint32_t two = (Turn(v[0], 2) ^ Turn(v[0], 13) ^ Turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    std::memmove(v + 1, v, 7 * sizeof v[0]);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; ++i) state[i] += v[i];
}

}  // namespace strata_bundled

inline int EVP_DigestInit_ex(EVP_MD_CTX* context, const EVP_MD*, void*) {
  static constexpr uint32_t kStart[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::memcpy(context->state, kStart, sizeof kStart);
  context->bytes = 0;
  return 1;
}

inline int EVP_DigestUpdate(EVP_MD_CTX* context, const void* data, size_t size) {
  const auto* from = static_cast<const unsigned char*>(data);
  while (size > 0) {
    const size_t used = context->bytes % 64, taken = size < 64 - used ? size : 64 - used;
    if (used == 0 && taken == 64) {
      strata_bundled::Compress(context->state, from);
    } else {
      std::memcpy(context->block + used, from, taken);
      if (used + taken == 64) strata_bundled::Compress(context->state, context->block);
    }
    context->bytes += taken;
    from += taken;
    size -= taken;
  }
  return 1;
}

inline int EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* digest, unsigned* size) {
  const uint64_t bits = context->bytes * 8;
  const unsigned char one = 0x80, zero = 0;
  EVP_DigestUpdate(context, &one, 1);
  while (context->bytes % 64 != 56) EVP_DigestUpdate(context, &zero, 1);
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
  EVP_DigestUpdate(context, length, 8);
  for (int i = 0; i < 32; ++i) digest[i] = static_cast<unsigned char>(context->state[i / 4] >> (24 - 8 * (i % 4)));
  if (size != nullptr) *size = 32;
  return 1;
}
