// The store of simulations and tests: everything in memory, committed at once, gone with the object. See store.h.
#pragma once

#include <memory>

#include "server/store/store.h"

namespace strata::store {

std::unique_ptr<Store> MakeMemoryStore();

}  // namespace strata::store
