// A folder that comes into being all at once: it is filled under a temporary name beside its place, synced and renamed.
#pragma once

#include <filesystem>

namespace strata::data {

class OutputFolder {
 public:
  // Makes the temporary folder. Throws model::DataError if `final` exists (and is not to be replaced) or if the
  // temporary folder cannot be made.
  OutputFolder(std::filesystem::path final, bool replace);
  ~OutputFolder();  // removes the temporary folder unless Commit() was called
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return partial_; }

  // Syncs and renames; replaces what was there. Throws model::DataError.
  void Commit();

 private:
  std::filesystem::path final_, partial_;
  bool replace_, committed_ = false;
};

// Removes the temporary folders that are there at this moment: for a program that was told to stop. Thread-safe.
void RemoveUnfinishedOutput();

}  // namespace strata::data
