// Files from the coordinator, each there whole and with the right hash, or not at all.
#pragma once

#include <string>
#include <vector>

#include "client/connection.h"

namespace strata::client {

// The artifact called that, or the first of that kind ("final" stands for checkpoint_final); null if there is none.
// Artifacts come newest first.
const v1::Artifact* ChooseArtifact(const std::vector<v1::Artifact>& artifacts, const std::string& wanted);

// DATA_LOSS: what arrived has another hash, and nothing was kept. INVALID_ARGUMENT: `path` cannot be written.
absl::Status DownloadArtifact(const Connection& connection, const v1::Artifact& artifact, const std::string& path);

// What is needed to apply a dataset's vocabulary to other text: its manifest and all files that are no data of its
// splits. Returns `folder`/DIGEST, made if need be. FAILED_PRECONDITION: the dataset of that name has another content
// by now.
absl::StatusOr<std::string> FetchVocabulary(const Connection& connection, const std::string& dataset,
                                            const std::string& digest, const std::string& folder);

// The artifact's file in `folder`, under its hash; downloaded unless it is there.
absl::StatusOr<std::string> FetchArtifact(const Connection& connection, const v1::Artifact& artifact,
                                          const std::string& folder);

}  // namespace strata::client
