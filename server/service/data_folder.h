// Where the coordinator's files lie. All paths are made here; ids that reach them were checked or made by us.
//
//   strata.db                                     the database
//   datasets/NAME/...                             complete datasets; datasets/.incoming/NAME while they arrive
//   artifacts/EXPERIMENT/TRIAL/ARTIFACT           complete files
//   uploads/ID                                    artifacts that arrive
//   logs/EXPERIMENT/TRIAL/JOB/ATTEMPT.log
//   backups/ID                                    links to what a backup that is being fetched holds
#pragma once

#include <string>

#include "absl/status/status.h"

namespace strata::service {

class DataFolder {
 public:
  explicit DataFolder(std::string path) : path_(std::move(path)) {}

  // Makes what is missing. PermissionDenied and the like name the path.
  absl::Status Prepare() const;
  std::string database() const { return path_ + "/strata.db"; }
  std::string dataset(const std::string& name) const { return path_ + "/datasets/" + name; }
  std::string incoming_dataset(const std::string& name) const { return path_ + "/datasets/.incoming/" + name; }
  std::string upload(const std::string& id) const { return path_ + "/uploads/" + id; }
  // Of a resource name: experiments/E/trials/T/artifacts/A.
  std::string artifact(const std::string& name) const;
  std::string log(const std::string& job, int32_t attempt) const;
  // All of an experiment's, by its name experiments/E.
  std::string artifacts(const std::string& experiment) const;
  std::string logs(const std::string& experiment) const;
  std::string backup(const std::string& id) const { return path_ + "/backups/" + id; }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace strata::service
