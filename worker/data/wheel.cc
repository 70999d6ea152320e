#include "worker/data/wheel.h"

#include <cstdlib>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "model/metrics/text.h"
#include "worker/data/process.h"

namespace strata::data {

namespace fs = std::filesystem;
using model::DataError;

namespace {

// Python's standard library reads both formats, and pip needs Python anyway.
constexpr char kReadMember[] =
    "import bz2, sys, zipfile; sys.stdout.buffer.write(bz2.decompress(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2])))";

// The line that says what is wrong: pip's first error, else the last one there is.
std::string Gist(const std::string& errors) {
  std::string last = "it said nothing";
  for (const std::string_view line : model::Lines(errors)) {
    if (line.starts_with("ERROR:")) return std::string(line);
    if (!model::SplitAtSpaces(line).empty()) last = line;
  }
  return last;
}

fs::path FileOf(const Wheel& wheel, const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(wheel.name + "-" + wheel.version + "-") && name.ends_with(".whl")) return entry.path();
  }
  return {};
}

}  // namespace

Wheel LockedWheel(std::string_view lock) {
  constexpr std::string_view kHash = "--hash=sha256:";
  for (const std::string_view line : model::Lines(lock)) {
    const auto words = model::SplitAtSpaces(line);
    const size_t equals = words.empty() ? std::string_view::npos : words[0].find("==");
    if (equals == std::string_view::npos || words.size() != 2 || !words[1].starts_with(kHash)) continue;
    return {std::string(words[0].substr(0, equals)),
            std::string(words[0].substr(equals + 2)),
            std::string(words[1].substr(kHash.size())),
            {}};
  }
  throw DataError("The lock names no wheel by NAME==VERSION --hash=sha256:HASH.");
}

Wheel DownloadWheel(std::string_view lock, const fs::path& folder) {
  Wheel wheel = LockedWheel(lock);
  fs::create_directories(folder);
  wheel.file = FileOf(wheel, folder);
  if (!wheel.file.empty() && model::FileSha256(wheel.file) == wheel.sha256) return wheel;
  if (!wheel.file.empty()) fs::remove(wheel.file);
  model::WriteFileAtomically(folder / "requirements.txt", std::string(lock));
  std::vector<std::string> command = {"python3",
                                      "-m",
                                      "pip",
                                      "download",
                                      "--disable-pip-version-check",
                                      "--no-input",
                                      "--no-cache-dir",
                                      "--no-deps",
                                      "--require-hashes",
                                      "--only-binary=:all:"};
  // The one wheel that is locked, whatever this machine is: only data are read.
  command.insert(command.end(), {"--implementation=cp", "--python-version=3.11", "--abi=cp311",
                                 "--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_24_x86_64", "--dest",
                                 folder.string(), "--requirement", (folder / "requirements.txt").string()});
  const char* local = std::getenv("STRATA_WHEELS");
  const bool from_folder = local != nullptr && *local != '\0';
  if (from_folder) command.insert(command.end(), {"--no-index", "--find-links", fs::absolute(local).string()});
  const ProcessResult result = RunProcess(command);
  wheel.file = result.status == 0 ? FileOf(wheel, folder) : fs::path();
  if (wheel.file.empty()) {
    throw DataError("pip could not download " + wheel.name + " " + wheel.version + ": " + Gist(result.errors) + ". " +
                    (from_folder ? std::string("STRATA_WHEELS=") + local + " must hold the wheel that is locked."
                                 : "See that python3-pip is installed, and the network and pip's settings ('pip config "
                                   "list'); or name a folder that holds the wheel by STRATA_WHEELS."));
  }
  if (model::FileSha256(wheel.file) != wheel.sha256) {
    fs::remove(wheel.file);
    throw DataError(wheel.file.string() + " was not what the lock says (SHA-256) and has been removed; call again.");
  }
  return wheel;
}

std::string Bzip2Member(const Wheel& wheel, const std::string& path) {
  ProcessResult result = RunProcess({"python3", "-I", "-S", "-c", kReadMember, wheel.file.string(), path});
  if (result.status != 0) {
    throw DataError("Cannot read " + path + " of " + wheel.file.string() + ": " + Gist(result.errors));
  }
  return std::move(result.output);
}

}  // namespace strata::data
