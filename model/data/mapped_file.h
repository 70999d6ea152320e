// A whole file in memory, read-only, without reading it. Plain C++.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace strata::model {

// Maps `path` and sets *size to its bytes; the mapping goes with the last copy of the pointer. The file must not change
// while it is mapped. Throws DataError where it cannot be opened, is no regular file or is empty, naming it as `what`
// ("shard") and ending in `remedy`.
std::shared_ptr<const void> MapFile(const std::filesystem::path& path, const std::string& what,
                                    const std::string& remedy, uint64_t* size);

}  // namespace strata::model
