// Between Abseil's statuses and gRPC's, and the pages of lists.
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace strata::service {

grpc::Status ToGrpc(const absl::Status& status);

// Rows of a page: 0 means `usual`; never more than `most`. InvalidArgument if negative.
absl::StatusOr<int> PageSize(int32_t asked, int usual = 50, int most = 1000);

// A page token holds where the next page begins, and what list it is of. InvalidArgument for one of another list or
// none of ours.
std::string PageToken(const std::string& list, const std::string& position);
absl::StatusOr<std::string> ReadPageToken(const std::string& list, const std::string& token);
// The same for positions that are numbers; `first` for an empty token.
absl::StatusOr<int64_t> ReadPageNumber(const std::string& list, const std::string& token, int64_t first);

}  // namespace strata::service
