#include "worker/data/output_folder.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "model/data/file.h"
#include "model/data/shard.h"

namespace strata::data {
namespace fs = std::filesystem;
using model::DataError;

namespace {

std::mutex unfinished_mutex;
std::set<fs::path> unfinished;  // temporary folders that are there; guarded by unfinished_mutex

void Register(const fs::path& partial) {
  const std::lock_guard lock(unfinished_mutex);
  unfinished.insert(partial);
}

void Forget(const fs::path& partial) {
  const std::lock_guard lock(unfinished_mutex);
  unfinished.erase(partial);
}

}  // namespace

void RemoveUnfinishedOutput() {
  const std::lock_guard lock(unfinished_mutex);
  std::error_code ignored;
  for (const fs::path& partial : unfinished) fs::remove_all(partial, ignored);
}

OutputFolder::OutputFolder(fs::path final, bool replace)
    : final_(fs::absolute(std::move(final)).lexically_normal()), replace_(replace) {
  if (!final_.has_filename()) final_ = final_.parent_path();
  if (fs::exists(fs::symlink_status(final_)) && !replace_) {
    throw DataError(final_.string() +
                    " exists already. Name another folder with --output, or replace it with --force.");
  }
  std::error_code error;
  fs::create_directories(final_.parent_path(), error);
  std::string name = (final_.parent_path() / ("." + final_.filename().string() + "-XXXXXX")).string();
  if (error || ::mkdtemp(name.data()) == nullptr) {
    throw DataError("Cannot make a folder in " + final_.parent_path().string() + ": " +
                    (error ? error.message() : std::strerror(errno)) + ".");
  }
  partial_ = name;
  Register(partial_);
  fs::permissions(partial_, static_cast<fs::perms>(0755), error);
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(partial_, ignored);
  Forget(partial_);
}

void OutputFolder::Commit() {
  model::SyncFolder(partial_);
  const bool exists = fs::exists(fs::symlink_status(final_));
  const fs::path old = partial_.string() + ".old";
  if (exists && ::rename(final_.c_str(), old.c_str()) != 0) {
    throw DataError("Cannot replace " + final_.string() + ": " + std::strerror(errno) + ".");
  }
  if (::rename(partial_.c_str(), final_.c_str()) != 0) {
    const int reason = errno;
    if (exists) ::rename(old.c_str(), final_.c_str());
    throw DataError("Cannot rename to " + final_.string() + ": " + std::strerror(reason) + ".");
  }
  committed_ = true;
  model::SyncFolder(final_.parent_path());
  std::error_code ignored;
  if (exists) fs::remove_all(old, ignored);
}

}  // namespace strata::data
