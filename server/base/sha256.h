// SHA-256, whole or piece by piece, as lower-case hex. A Sha256 belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace strata::base {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(std::string_view data);
  // The hash of all data so far; nothing may follow.
  std::string HexDigest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Hex(std::string_view data);

}  // namespace strata::base
