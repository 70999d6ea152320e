#include "worker/agent/dataset_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/sha256.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

using nlohmann::json;

constexpr auto kPause = std::chrono::milliseconds(200);
constexpr int kMostSpoiled = 5;

struct ManifestFile {
  std::string path;
  int64_t bytes = 0;
  std::string sha256;
};

// The files of a manifest whose digest is right.
absl::StatusOr<std::vector<ManifestFile>> ReadManifest(const std::string& text, const std::string& digest) {
  std::vector<ManifestFile> files;
  std::string lines;
  try {
    const json manifest = json::parse(text);
    for (const json& file : manifest.at("files")) {
      ManifestFile f{file.at("path"), file.at("bytes"), file.at("sha256")};
      const std::filesystem::path path(f.path);
      bool inside = !f.path.empty() && path.is_relative();
      for (const auto& part : path) inside &= part != "..";
      if (!inside) return absl::DataLossError(absl::StrCat("the manifest names a file outside its folder: ", f.path));
      absl::StrAppend(&lines, f.path, " ", f.sha256, "\n");
      files.push_back(std::move(f));
    }
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrCat("the manifest cannot be read: ", error.what()));
  }
  if (base::Sha256Hex(lines) != digest) {
    return absl::DataLossError(absl::StrCat("the manifest's files do not make the digest ", digest));
  }
  return files;
}

absl::Status Stream(const Download& download, int64_t offset, const std::function<bool()>& give_up) {
  const std::string part = download.path + ".part";
  const base::FileDescriptor file = Open(part, O_WRONLY | O_CREAT);
  if (file.get() < 0) return base::FileError(errno, "create", part);
  if (::lseek(file.get(), offset, SEEK_SET) < 0) return base::FileError(errno, "write", part);
  absl::Status written;  // an error of ours, not the stream's
  absl::Status status = download.read(offset, [&](std::string_view data) {
    if (give_up()) return absl::CancelledError("not wanted any more");
    return written = WriteAll(file, data, part);
  });
  if (!written.ok()) return written;
  return status.ok() ? base::SyncFile(file, part) : status;
}

}  // namespace

absl::Status Fetch(const Download& download, const std::function<bool()>& give_up) {
  const std::string part = download.path + ".part";
  absl::Status made = base::MakeFolders(std::filesystem::path(download.path).parent_path().string());
  if (!made.ok()) return made;
  std::string before;  // hash of what came last
  for (int spoiled = 0;;) {
    if (give_up()) return absl::CancelledError("not wanted any more");
    int64_t have = base::FileSize(part);
    if (download.bytes >= 0 && have > download.bytes) {
      ::unlink(part.c_str());
      have = 0;
    }
    absl::Status status = have == download.bytes && have > 0 ? absl::OkStatus() : Stream(download, have, give_up);
    if (status.ok()) {
      auto hash = base::Sha256OfFile(part);
      if (!hash.ok()) return hash.status();
      if (*hash == download.sha256) {
        return base::RenameDurably(part, download.path);
      }
      // Once more from its beginning: the part of an earlier try may be to blame, or the way. What is damaged there
      // arrives as the same again.
      ::unlink(part.c_str());
      if (++spoiled == kMostSpoiled || *hash == before) {
        return absl::DataLossError(
            absl::StrCat("it arrives with SHA-256 ", *hash, " instead of ", download.sha256, "."));
      }
      before = *hash;
      continue;
    }
    const bool our_disk = status.code() == absl::StatusCode::kResourceExhausted;
    if (our_disk || give_up() || Classify(status) == Trouble::kRefused) return status;
    std::this_thread::sleep_for(kPause);
  }
}

absl::StatusOr<std::string> DatasetCache::Ensure(const std::string& dataset, const std::string& digest,
                                                 const std::function<bool()>& give_up) {
  if (digest.empty() || digest.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", digest, "\" is no digest of a dataset"));
  }
  const std::string folder = absl::StrCat(folder_, "/", digest);
  const auto here = [&] { return !Exists(folder + ".suspect") && Exists(folder + "/manifest.json"); };
  if (here()) return folder;
  {
    base::MutexLock lock(mutex_);
    while (fetching_) {
      if (give_up()) return absl::CancelledError("not wanted any more");
      idle_.WaitFor(mutex_, kPause);
    }
    fetching_ = true;
  }
  absl::Status fetched = here() ? absl::OkStatus() : FetchAlone(dataset, digest, folder, give_up);
  {
    base::MutexLock lock(mutex_);
    fetching_ = false;
    idle_.NotifyAll();
  }
  if (!fetched.ok()) return fetched;
  return folder;
}

absl::Status DatasetCache::FetchAlone(const std::string& dataset, const std::string& digest, const std::string& folder,
                                      const std::function<bool()>& give_up) {
  const bool suspect = Exists(folder + ".suspect") && Exists(folder + "/manifest.json");
  const std::string partial = suspect ? folder : folder + ".partial";
  absl::Status fetched = FetchFiles(dataset, digest, partial, give_up);
  if (!fetched.ok()) return fetched;
  if (!suspect) return base::RenameDurably(partial, folder);
  ::unlink((folder + ".suspect").c_str());
  return absl::OkStatus();
}

void DatasetCache::Suspect(const std::string& digest) {
  (void)base::WriteFileAtomically(absl::StrCat(folder_, "/", digest, ".suspect"), "");
}

absl::Status DatasetCache::FetchFiles(const std::string& dataset, const std::string& digest, const std::string& folder,
                                      const std::function<bool()>& give_up) {
  absl::StatusOr<DatasetInfo> info;
  for (;;) {
    info = coordinator_.GetDataset(dataset);
    if (info.ok() || Classify(info.status()) == Trouble::kRefused) break;
    if (give_up()) return absl::CancelledError("not wanted any more");
    std::this_thread::sleep_for(kPause);
  }
  const std::string remedy = "Register it with 'strata data add', then retry the job.";
  if (info.status().code() == absl::StatusCode::kNotFound) {
    return absl::NotFoundError(absl::StrCat("this worker lacks ", dataset, ", and so does the coordinator. ", remedy));
  }
  if (!info.ok()) return info.status();
  if (info->digest != digest) {
    return absl::NotFoundError(absl::StrCat("this worker lacks ", dataset, " with digest ", digest,
                                            ", and the coordinator has another content of that name (digest ",
                                            info->digest, "). Submit the experiment anew for that content."));
  }
  const auto files = ReadManifest(info->manifest, digest);
  if (!files.ok()) return files.status();
  for (const ManifestFile& file : *files) {
    const std::string path = absl::StrCat(folder, "/", file.path);
    if (Exists(path) && base::FileSize(path) == file.bytes) {
      const auto hash = base::Sha256OfFile(path);
      if (hash.ok() && *hash == file.sha256) continue;
    }
    const Download download{path, file.bytes, file.sha256, [&](int64_t offset, const ByteSink& sink) {
                              return coordinator_.ReadDatasetFile(dataset, file.path, offset, sink);
                            }};
    absl::Status status = strata::agent::Fetch(download, give_up);
    if (status.code() == absl::StatusCode::kDataLoss) {
      return absl::DataLossError(absl::StrCat("The coordinator's copy of ", file.path, " of ", dataset, " is damaged: ",
                                              status.message(), " Put the file of the prepared dataset back in the ",
                                              "folder ", dataset, " of the coordinator's data, then retry the job."));
    }
    if (!status.ok()) return status;
  }
  return base::WriteFileAtomically(folder + "/manifest.json", info->manifest);
}

}  // namespace strata::agent
