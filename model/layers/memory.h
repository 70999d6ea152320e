// How the process keeps its memory between updates.
#pragma once

#include <malloc.h>

namespace strata::model {

// Every update allocates the same large tensors again. By default glibc hands such memory back to the kernel at once and
// gets it back zeroed, page by page: 5 to 10 % of an update. After this call the process keeps what it has freed.
// Call once, before the first large allocation, in programs that train.
inline void KeepFreedMemory() {
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, -1);
}

}  // namespace strata::model
