#include "model/data/utf8.h"

namespace strata::model {

size_t CharacterLength(std::string_view bytes) {
  const auto byte = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u; };
  const auto trail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0);
  if (bytes.empty()) return 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;  // a continuation byte, or an overlong form
  if (lead < 0xe0) return trail(1) ? 2 : 0;
  if (lead < 0xf0) {
    const unsigned code = (lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    return trail(1) && trail(2) && code >= 0x800 && (code < 0xd800 || code >= 0xe000) ? 3 : 0;
  }
  if (lead < 0xf5) {
    const unsigned code = (lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    return trail(1) && trail(2) && trail(3) && code >= 0x10000 && code <= 0x10ffff ? 4 : 0;
  }
  return 0;
}

}  // namespace strata::model
