#include "server/base/utf8.h"

namespace strata::base {

int Utf8Length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const int length = first < 0x80                    ? 1
                     : first >= 0xC2 && first < 0xE0 ? 2
                     : first >= 0xE0 && first < 0xF0 ? 3
                     : first >= 0xF0 && first < 0xF5 ? 4
                                                     : 0;
  for (int k = 1; k < length; ++k) {
    if (at + k >= text.size()) return -1;
    // The second byte's range leaves out overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned char low = k > 1 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = k > 1 ? 0xBF : first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (byte(at + k) < low || byte(at + k) > high) return 0;
  }
  return length;
}

}  // namespace strata::base
