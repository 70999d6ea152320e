// Which build this is. Plain C++ without dependencies, so that every program of Strata can link it (target strata_build_info).
#pragma once

namespace strata {

// The project's version, as in CMakeLists.txt: "0.1.0". Static storage; safe from any thread.
const char* Version();

// The git commit, 12 hex digits, with "-dirty" after it where tracked files were changed; "unknown" outside a git clone.
// -DSTRATA_COMMIT=... says it where there is no git (images, packages). Static storage; safe from any thread.
const char* Commit();

}  // namespace strata
