// What the agent does with files beyond server/base/file.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/base/file.h"

namespace strata::agent {

// Opens for reading or writing; get() < 0 with errno set if that fails.
base::FileDescriptor Open(const std::string& path, int flags);

// All of `data` at the file's position.
absl::Status WriteAll(const base::FileDescriptor& file, std::string_view data, const std::string& path);

// Whole content of a file whose size the system does not say (/proc, /sys); empty if it cannot be read.
std::string ReadProc(const std::string& path);

bool Exists(const std::string& path);
void RemoveTree(const std::string& path);  // what is not there is no error

// The last `lines` lines, at most `bytes` long; empty if the file cannot be read.
std::string LastLines(const std::string& path, int lines, int64_t bytes);

}  // namespace strata::agent
