#include "worker/data/sources.h"

namespace strata::data {

const std::vector<Part>& EnglishGermanParts() {
  static const std::vector<Part> parts = {
      {"descriptions", "short and long descriptions of Debian's packages", ReadDescriptions},
  };
  return parts;
}

}  // namespace strata::data
