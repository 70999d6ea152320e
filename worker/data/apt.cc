#include "worker/data/apt.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "model/metrics/text.h"
#include "worker/data/process.h"
#include "worker/data/stanzas.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;

// The first lines in which apt says what went wrong.
std::string Complaints(const ProcessResult& result) {
  std::string text;
  int left = 8;
  for (const std::string* stream : {&result.output, &result.errors}) {
    for (const std::string_view line : model::Lines(*stream)) {
      if (!line.starts_with("E:") && !line.starts_with("Err:") && !line.starts_with("W: Failed")) continue;
      if (left-- > 0) text += "\n  " + std::string(line);
    }
  }
  return text.empty() ? " (apt said nothing; exit status " + std::to_string(result.status) + ")" : text;
}

std::string Configuration(const fs::path& folder, const std::vector<std::string>& languages) {
  std::string text =
      "#clear Acquire::Languages;\n#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
      "#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Pre-Install-Pkgs;\n"
      "Acquire::GzipIndexes \"false\";\nAcquire::Retries \"3\";\nAcquire::http::Timeout \"30\";\n"
      "Acquire::https::Timeout \"30\";\nAcquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n"
      "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled \"false\";\n";
  text += "Dir::State::lists \"" + (folder / "lists").string() + "/\";\n";
  text += "Dir::Cache \"" + (folder / "cache").string() +
          "/\";\nDir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n";
  text += "Acquire::Languages {";
  for (const std::string& language : languages) text += " \"" + language + "\";";
  return text + " };\n";
}

// apt waits for ever on a disk that is full, so see to it first: lists and packages take 130 MB, and 70 more at times.
void CheckSpace(const fs::path& folder) {
  constexpr uint64_t kNeeded = 200'000'000;
  const uint64_t free = fs::space(folder).available;
  if (free >= kNeeded) return;
  throw DataError("The disk of " + folder.string() + " has " + model::Grouped(free) +
                  " bytes free; apt's lists and packages need " + model::Grouped(kNeeded) +
                  " for a while. Free some space, or name another disk with --cache.");
}

std::string MachineCodename() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VERSION_CODENAME=")) return line.substr(17);
  }
  return "";
}

std::string FieldOr(const std::map<std::string, std::string>& fields, const std::string& key) {
  const auto found = fields.find(key);
  return found == fields.end() ? "" : found->second;
}

// The SHA-256 that the (In)Release file beside an index states for `name`; empty if there is no such file.
std::string StatedHash(const fs::path& index, const std::string& name) {
  std::string tail = name;
  std::replace(tail.begin(), tail.end(), '/', '_');
  const std::string base = index.string().substr(0, index.string().size() - tail.size());
  for (const char* release : {"InRelease", "Release"}) {
    if (!fs::exists(base + release)) continue;
    const std::string text = model::ReadFile(base + release);
    bool in_section = false;
    for (const std::string_view line : model::Lines(text)) {
      if (!line.starts_with(' ')) {
        in_section = line.starts_with("SHA256:");
      } else if (in_section && line.ends_with(" " + name)) {
        return std::string(line.substr(1, 64));
      }
    }
  }
  return "";
}

}  // namespace

Apt::Apt(fs::path folder, std::vector<std::string> languages) : folder_(fs::absolute(std::move(folder))) {
  fs::create_directories(folder_ / "lists" / "partial");
  fs::create_directories(folder_ / "cache" / "archives" / "partial");
  CheckSpace(folder_);
  model::WriteFileAtomically(folder_ / "apt.conf", Configuration(folder_, languages));
}

std::vector<std::string> Apt::Command(const std::string& program, const std::vector<std::string>& words) const {
  std::vector<std::string> command = {program, "-c", (folder_ / "apt.conf").string()};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

void Apt::Update() {
  // A repository that fails does not matter unless it is the one that Index() asks for, so apt's words are kept for
  // then.
  const ProcessResult result = RunProcess(Command("apt-get", {"update"}));
  const bool debian = !Targets().empty();
  if (!debian)
    throw DataError("apt could not fetch the package lists:" + Complaints(result) +
                    "\nSee that 'apt-get update' works on this machine.");
  if (result.status != 0 || result.errors.find("W: Failed to fetch") != std::string::npos) {
    model::WriteFileAtomically(folder_ / "complaints.txt", Complaints(result));
  } else {
    fs::remove(folder_ / "complaints.txt");
  }
}

std::vector<Apt::Target> Apt::Targets() const {
  std::vector<Target> targets;
  for (auto& stanza : ReadStanzas(RunProcess(Command("apt-get", {"indextargets"})).output)) {
    if (FieldOr(stanza, "Component") != "main" || FieldOr(stanza, "Origin") != "Debian") continue;
    const std::string codename = FieldOr(stanza, "Codename");
    if (codename.find('-') != std::string::npos) continue;  // bookworm-updates, -security, -backports
    targets.push_back({std::move(stanza)});
  }
  // This machine's own release first.
  const std::string own = MachineCodename();
  std::stable_partition(targets.begin(), targets.end(),
                        [&](const Target& t) { return FieldOr(t.fields, "Codename") == own; });
  return targets;
}

AptIndex Apt::Index(const std::string& name) const {
  for (const Target& target : Targets()) {
    const std::string key = FieldOr(target.fields, "MetaKey");
    const bool packages = name == "main/Packages" && FieldOr(target.fields, "Created-By") == "Packages";
    if (key != name && !packages) continue;
    if (FieldOr(target.fields, "Trusted") != "yes") {
      throw DataError("The package archive for " + name +
                      " is not signed by a key that this machine trusts. "
                      "Mend the machine's apt sources, or use another machine's.");
    }
    AptIndex index{.file = FieldOr(target.fields, "Filename")};
    if (!fs::exists(index.file)) continue;
    index.release =
        "Debian " + FieldOr(target.fields, "Version") + " " + FieldOr(target.fields, "Codename") + " " + key;
    index.sha256 = model::FileSha256(index.file);
    const std::string stated = StatedHash(index.file, key);
    if (!stated.empty() && stated != index.sha256) {
      fs::remove(index.file);
      throw DataError(index.file.string() +
                      " is damaged: it is not what the archive's Release states (SHA-256). It was "
                      "removed; call this command again.");
    }
    return index;
  }
  const fs::path complaints = folder_ / "complaints.txt";
  throw DataError("apt has no " + name + " of Debian's main on this machine" +
                  (fs::exists(complaints) ? ":" + model::ReadFile(complaints) : std::string(".")) +
                  "\nSee that 'apt-get update' works and that a Debian release's main is among the apt sources.");
}

std::vector<AptPackage> Apt::Download(const std::vector<std::string>& names) const {
  const fs::path folder = folder_ / "packages";
  fs::create_directories(folder);
  std::vector<AptPackage> packages;
  for (const std::string& name : names) {
    const ProcessResult result = RunProcess(Command("apt-get", {"download", name}), folder);
    if (result.status != 0) {
      throw DataError("apt could not download package " + name + ":" + Complaints(result));
    }
    const auto shown = ReadStanzas(RunProcess(Command("apt-cache", {"show", "--no-all-versions", name})).output);
    if (shown.empty()) throw DataError("apt knows no package " + name + ".");
    AptPackage package{.name = name, .version = FieldOr(shown[0], "Version"), .sha256 = FieldOr(shown[0], "SHA256")};
    std::string escaped;
    for (const char c : package.version) escaped += c == ':' ? "%3a" : std::string(1, c);
    package.file = folder / (name + "_" + escaped + "_" + FieldOr(shown[0], "Architecture") + ".deb");
    if (!fs::exists(package.file)) throw DataError("apt did not leave " + package.file.string() + ".");
    if (model::FileSha256(package.file) != package.sha256) {
      fs::remove(package.file);
      throw DataError(package.file.string() + " was damaged (SHA-256) and has been removed; call this command again.");
    }
    packages.push_back(std::move(package));
  }
  return packages;
}

}  // namespace strata::data
