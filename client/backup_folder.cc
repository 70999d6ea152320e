#include "client/backup_folder.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"

namespace strata::client {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPiece = 4 << 20;
constexpr char kDatabase[] = "strata.db";

bool StaysInside(const std::string& path) {
  const fs::path plain(path);
  return !path.empty() && plain.is_relative() &&
         std::none_of(plain.begin(), plain.end(), [](const fs::path& part) { return part == ".."; });
}

bool IsHex(absl::string_view text) { return text.find_first_not_of("0123456789abcdef") == absl::string_view::npos; }

// Whether `path`, from objects/ on, is one that a backup makes: log.partial, ab, ab/ab12... or that with .partial.
bool IsObject(absl::string_view path) {
  if (path == "log.partial") return true;
  const absl::string_view parent = path.substr(0, path.find('/'));
  if (parent.size() != 2 || !IsHex(parent)) return false;
  if (parent == path) return true;
  path.remove_prefix(3);
  if (constexpr absl::string_view kPartial = ".partial"; absl::EndsWith(path, kPartial))
    path.remove_suffix(kPartial.size());
  return path.size() == 64 && IsHex(path) && absl::StartsWith(path, parent);
}

absl::Status CopyFile(const std::string& from, const std::string& to) {
  if (absl::Status status = base::MakeFolders(fs::path(to).parent_path().string()); !status.ok()) return status;
  auto in = base::OpenFile(from, O_RDONLY);
  if (!in.ok()) return in.status();
  const std::string partial = to + ".partial";
  auto out = base::OpenFile(partial, O_WRONLY | O_CREAT | O_TRUNC);
  if (!out.ok()) return out.status();
  for (int64_t offset = 0;;) {
    const auto data = base::ReadAt(*in, offset, kPiece, from);
    if (!data.ok()) return data.status();
    if (data->empty()) break;
    if (absl::Status status = base::WriteAt(*out, *data, offset, partial); !status.ok()) return status;
    offset += static_cast<int64_t>(data->size());
  }
  if (absl::Status status = base::SyncFile(*out, partial); !status.ok()) return status;
  return base::RenameDurably(partial, to);
}

}  // namespace

std::string ObjectPath(const std::string& folder, const std::string& sha256) {
  return absl::StrCat(folder, "/objects/", sha256.substr(0, 2), "/", sha256);
}

absl::Status CheckIsBackup(const std::string& folder) {
  const auto foreign = [&](const std::string& what) {
    return absl::FailedPreconditionError(absl::StrCat(folder, " is no folder of a backup: ", what,
                                                      ". Name a new folder, or that of an earlier backup."));
  };
  std::error_code error;
  if (!fs::exists(folder, error)) return absl::OkStatus();
  if (!fs::is_directory(folder, error)) return foreign("it is a file");
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const bool manifest = absl::StartsWith(name, "manifest.json.") && absl::EndsWith(name, ".tmp");  // half written
    if (name != "objects" && name != "manifest.json" && !manifest)
      return foreign(absl::StrCat("there is ", name, " in it"));
  }
  const std::string head = folder + "/objects/";
  for (fs::recursive_directory_iterator at(head, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string().substr(head.size());
    if (!IsObject(path)) return foreign(absl::StrCat("there is objects/", path, " in it"));
  }
  if (!fs::exists(folder + "/manifest.json", error)) return absl::OkStatus();
  return ReadManifest(folder).status();
}

absl::StatusOr<BackupManifest> ReadManifest(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  const auto text = base::ReadFile(path);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(absl::StrCat(path, ": there is none, so this is no whole backup. 'strata admin backup ",
                                            folder, "' makes one."));
  }
  if (!text.ok()) return text.status();
  const auto damaged = [&](const std::string& why) {
    return absl::DataLossError(absl::StrCat(path, " is no manifest of a backup: ", why, "."));
  };
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", 0) != 1) return damaged("it has no format 1");
  if (!json.contains("files") || !json["files"].is_array()) return damaged("it names no files");
  BackupManifest manifest{.time = json.value("time", ""), .version = json.value("version", "")};
  for (const auto& file : json["files"]) {
    const bool whole = file.is_object() && file.contains("path") && file["path"].is_string() &&
                       file.contains("bytes") && file["bytes"].is_number_integer() && file.contains("sha256") &&
                       file["sha256"].is_string();
    if (!whole) return damaged("a file lacks its path, bytes or sha256");
    BackedUpFile row{file["path"].get<std::string>(), file["bytes"].get<int64_t>(), file["sha256"].get<std::string>()};
    if (!StaysInside(row.path)) return damaged(absl::StrCat("the path ", row.path, " leads elsewhere"));
    if (row.sha256.size() != 64 || !IsHex(row.sha256)) return damaged(absl::StrCat(row.sha256, " is no SHA-256"));
    manifest.files.push_back(std::move(row));
  }
  for (const auto& name : json.value("missing", nlohmann::json::array())) {
    if (name.is_string()) manifest.missing.push_back(name.get<std::string>());
  }
  return manifest;
}

absl::Status WriteManifest(const std::string& folder, const BackupManifest& manifest) {
  nlohmann::json files = nlohmann::json::array();
  for (const BackedUpFile& file : manifest.files)
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  const nlohmann::json json = {{"format", 1},
                               {"time", manifest.time},
                               {"version", manifest.version},
                               {"files", std::move(files)},
                               {"missing", manifest.missing}};
  return base::WriteFileAtomically(folder + "/manifest.json", json.dump(1) + "\n", 0600);
}

void PruneObjects(const std::string& folder, const BackupManifest& manifest) {
  std::set<std::string> named;
  for (const BackedUpFile& file : manifest.files) named.insert(ObjectPath(folder, file.sha256));
  std::vector<fs::path> unnamed;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder + "/objects", ignored)) {
    if (entry.is_regular_file(ignored) && !named.contains(entry.path().string())) unnamed.push_back(entry.path());
  }
  for (const fs::path& path : unnamed) fs::remove(path, ignored);
}

void CheckObjects(const std::string& folder, const BackupManifest& manifest,
                  const std::function<void(const std::string&)>& tell) {
  bool database = false;
  for (const BackedUpFile& file : manifest.files) {
    database = database || file.path == kDatabase;
    const std::string object = ObjectPath(folder, file.sha256);
    const auto hash = base::Sha256OfFile(object);
    if (absl::IsNotFound(hash.status())) {
      tell(absl::StrCat(file.path, " is missing: there is no ", object, "."));
    } else if (!hash.ok()) {
      tell(absl::StrCat(file.path, " cannot be read: ", hash.status().message()));
    } else if (*hash != file.sha256 || base::FileSize(object) != file.bytes) {
      tell(absl::StrCat(file.path, " is damaged: ", object, " has ", base::FileSize(object), " bytes and the hash ",
                        *hash, ". Delete that file and back up again."));
    }
  }
  if (!database) tell("strata.db is missing: the manifest does not name it.");
}

absl::Status RestoreTo(const std::string& target, const std::string& folder, const BackupManifest& manifest) {
  std::error_code error;
  if (fs::exists(absl::StrCat(target, "/", kDatabase), error)) {
    return absl::FailedPreconditionError(absl::StrCat(
        target,
        " is a coordinator's folder: it holds a strata.db. Name a new folder with --data-dir, and start the "
        "coordinator with it in place of this one."));
  }
  if (fs::exists(target, error) && (!fs::is_directory(target, error) || !fs::is_empty(target, error))) {
    return absl::FailedPreconditionError(absl::StrCat(
        target,
        " is not empty. Name a new folder with --data-dir, or remove what is there if nothing of it is needed."));
  }
  if (absl::Status status = base::MakeFolders(target); !status.ok()) return status;
  fs::permissions(target, fs::perms::owner_all, error);  // the database holds hashes of tokens
  const BackedUpFile* database = nullptr;
  for (const BackedUpFile& file : manifest.files) {
    if (file.path == kDatabase) {
      database = &file;
      continue;
    }
    const absl::Status status = CopyFile(ObjectPath(folder, file.sha256), absl::StrCat(target, "/", file.path));
    if (!status.ok()) return status;
  }
  // With the database the folder becomes a coordinator's.
  if (database == nullptr) return absl::DataLossError("The backup names no strata.db.");
  return CopyFile(ObjectPath(folder, database->sha256), absl::StrCat(target, "/", kDatabase));
}

}  // namespace strata::client
