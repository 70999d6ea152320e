// What is stored of experiments, read whole: every function follows the page tokens to the end.
#pragma once

#include <string>
#include <vector>

#include "client/connection.h"

namespace strata::client {

absl::StatusOr<std::vector<v1::Experiment>> ListExperiments(const Connection& connection);
// In the order of the grid, jobs included.
absl::StatusOr<std::vector<v1::Trial>> ListTrials(const Connection& connection, const std::string& experiment);
absl::StatusOr<std::vector<v1::Worker>> ListWorkers(const Connection& connection);
absl::StatusOr<std::vector<v1::Dataset>> ListDatasets(const Connection& connection);
absl::StatusOr<std::vector<v1::Artifact>> ListArtifacts(const Connection& connection, const std::string& trial);

absl::StatusOr<std::vector<v1::Series>> ListSeries(const Connection& connection, const std::string& job);
absl::StatusOr<std::vector<v1::ScalarPoint>> QueryScalars(const Connection& connection, const std::string& job,
                                                          const std::string& series);
absl::StatusOr<std::vector<v1::VectorPoint>> QueryVectors(const Connection& connection, const std::string& job,
                                                          const std::string& series, const std::string& stack);

}  // namespace strata::client
