#include "server/base/ids.h"

#include <sys/random.h>

#include <cstdlib>
#include <vector>

namespace strata::base {

std::string RandomHex(int bytes) {
  std::vector<unsigned char> raw(bytes);
  // The kernel gives up to 256 bytes at once without fail once it is seeded.
  for (size_t done = 0; done < raw.size();) {
    const ssize_t n = getrandom(raw.data() + done, raw.size() - done, 0);
    if (n < 0) continue;
    done += static_cast<size_t>(n);
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned char byte : raw) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

}  // namespace strata::base
