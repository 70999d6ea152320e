// The machine's own apt, used beside its state: sources, keys and proxies are the machine's, but lists and downloads go
// to a private folder, and no hook runs. apt checks signatures and hashes; what it refused is not used. Not
// thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace strata::data {

struct AptIndex {
  std::filesystem::path file;  // plain text
  std::string release;         // "Debian 12.15 bookworm main"
  std::string sha256;
};

struct AptPackage {
  std::string name, version, sha256;
  std::filesystem::path file;  // the .deb
};

class Apt {
 public:
  // `folder` is made if need be. What a former call left there is used again if it is intact.
  Apt(std::filesystem::path folder, std::vector<std::string> languages);

  // Fetches the package lists. Throws model::DataError with apt's own words.
  void Update();

  // An index of Debian's main by its name in the archive, such as "main/i18n/Translation-de": of this machine's
  // release, not its updates. Throws model::DataError if there is none or if it does not have the hash that Release
  // states.
  AptIndex Index(const std::string& name) const;

  // Downloads packages. Throws model::DataError naming the package that is not to be had.
  std::vector<AptPackage> Download(const std::vector<std::string>& names) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  struct Target {
    std::map<std::string, std::string> fields;
  };
  std::vector<Target> Targets() const;
  std::vector<std::string> Command(const std::string& program, const std::vector<std::string>& words) const;

  std::filesystem::path folder_;
};

}  // namespace strata::data
