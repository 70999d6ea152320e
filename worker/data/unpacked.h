// Debian packages, unpacked for reading.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "worker/data/sources.h"

namespace strata::data {

// The packages' files, unpacked beside the apt that fetched them; gone with this object. Not thread-safe.
class Unpacked {
 public:
  // Throws model::DataError where a package is not to be had or cannot be unpacked.
  Unpacked(Apt& apt, const std::string& part, const std::vector<std::string>& names, const std::string& licence);
  ~Unpacked();
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;

  // Decompresses every *.gz below a folder in its place.
  void Decompress(const std::filesystem::path& below) const;

  // Calls visit(path within the packages) for every file below a folder, sorted.
  void ForEachFile(const std::filesystem::path& below, const std::function<void(const std::string&)>& visit) const;

  // A file's text; none if it is not there or no UTF-8.
  std::optional<std::string> Text(const std::string& path) const;

  // A file's bytes as they are. Throws model::DataError.
  std::string Bytes(const std::string& path) const;

  // A file compressed by gzip (dictzip), decompressed; any bytes. Throws model::DataError.
  std::string Raw(const std::string& path) const;

  std::vector<Provenance> provenance;  // one a package

 private:
  std::filesystem::path folder_;
};

}  // namespace strata::data
