#include "server/service/data_folder.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

// E/T of experiments/E/trials/T.
std::string FolderOf(const std::string& trial) { return absl::StrCat(LeafOf(ParentOf(trial)), "/", LeafOf(trial)); }

}  // namespace

absl::Status DataFolder::Prepare() const {
  for (const char* folder : {"", "/datasets/.incoming", "/artifacts", "/uploads", "/logs", "/backups"}) {
    if (absl::Status status = base::MakeFolders(path_ + folder); !status.ok()) return status;
  }
  if (access(path_.c_str(), W_OK | X_OK) != 0) return base::FileError(errno, "write into", path_);
  return absl::OkStatus();
}

std::string DataFolder::artifact(const std::string& name) const {
  return absl::StrCat(path_, "/artifacts/", FolderOf(ParentOf(name)), "/", LeafOf(name));
}

std::string DataFolder::artifacts(const std::string& experiment) const {
  return absl::StrCat(path_, "/artifacts/", LeafOf(experiment));
}

std::string DataFolder::logs(const std::string& experiment) const {
  return absl::StrCat(path_, "/logs/", LeafOf(experiment));
}

std::string DataFolder::log(const std::string& job, int32_t attempt) const {
  return absl::StrCat(path_, "/logs/", FolderOf(ParentOf(job)), "/", LeafOf(job), "/", attempt, ".log");
}

}  // namespace strata::service
