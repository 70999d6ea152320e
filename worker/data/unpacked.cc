#include "worker/data/unpacked.h"

#include <set>
#include <utility>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/process.h"
#include "worker/data/text_file.h"

namespace strata::data {

namespace fs = std::filesystem;

Unpacked::Unpacked(Apt& apt, const std::string& part, const std::vector<std::string>& names, const std::string& licence)
    : folder_(apt.folder() / ("unpacked-" + part)) {
  fs::remove_all(folder_);
  for (const AptPackage& package : apt.Download(names)) {
    const ProcessResult result = RunProcess({"dpkg-deb", "-x", package.file.string(), folder_.string()});
    if (result.status != 0) {
      throw model::DataError("Cannot unpack " + package.file.string() + ": " + result.errors);
    }
    provenance.push_back({part, "Debian package " + package.name, package.version, package.sha256, licence});
  }
}

Unpacked::~Unpacked() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Unpacked::Decompress(const fs::path& below) const {
  // By find: gzip's own recursion stops at links whose end it has renamed.
  RunProcess(
      {"find", (folder_ / below).string(), "-type", "f", "-name", "*.gz", "-exec", "gzip", "-d", "-f", "{}", "+"});
}

void Unpacked::ForEachFile(const fs::path& below, const std::function<void(const std::string&)>& visit) const {
  if (!fs::exists(folder_ / below)) return;
  std::set<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / below)) {
    if (entry.is_regular_file() && !entry.is_symlink()) {
      paths.insert(entry.path().lexically_relative(folder_).string());
    }
  }
  for (const std::string& path : paths) visit(path);
}

std::optional<std::string> Unpacked::Text(const std::string& path) const {
  if (!fs::is_regular_file(folder_ / path)) return std::nullopt;
  std::string text = model::ReadFile(folder_ / path);
  if (InvalidUtf8At(text) != std::string::npos) return std::nullopt;
  return text;
}

std::string Unpacked::Bytes(const std::string& path) const { return model::ReadFile(folder_ / path); }

std::string Unpacked::Raw(const std::string& path) const {
  const std::string suffix = fs::path(path).extension().string();
  ProcessResult result = RunProcess({"gzip", "-d", "-c", "-S", suffix, (folder_ / path).string()});
  if (result.status != 0) throw model::DataError("Cannot decompress " + path + " of a package: " + result.errors);
  return std::move(result.output);
}

}  // namespace strata::data
