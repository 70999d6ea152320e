#include "worker/agent/coordinator.h"

#include "absl/strings/match.h"

namespace strata::agent {

Trouble Classify(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Trouble::kNone;
    case absl::StatusCode::kFailedPrecondition:
      if (absl::StrContains(status.message(), "stale_attempt")) return Trouble::kStaleAttempt;
      if (absl::StrContains(status.message(), "stale_session")) return Trouble::kStaleSession;
      return Trouble::kRefused;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kDataLoss:
      return Trouble::kRefused;
    default:
      return Trouble::kPassing;
  }
}

}  // namespace strata::agent
