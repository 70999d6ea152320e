#include "server/base/spec/registry.h"

extern "C" const char strata_registry_json[];
extern "C" const unsigned long strata_registry_json_size;

namespace strata::base {

const std::string& BuiltInRegistry() {
  static const auto* registry = new std::string(strata_registry_json, strata_registry_json_size);
  return *registry;
}

}  // namespace strata::base
