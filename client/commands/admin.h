// What the subcommands of 'strata admin' share.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "strata/v1/access_service.pb.h"

namespace strata::client {

// "30d", "12h", "90s", "2h30m". InvalidArgument names `flag`.
absl::StatusOr<absl::Duration> ParseSpan(const std::string& flag, const std::string& text);

// "2026-11-23" or "2026-11-23T18:00:00Z". InvalidArgument names `flag`.
absl::StatusOr<absl::Time> ParseMoment(const std::string& flag, const std::string& text);

std::string RoleName(v1::Role role);  // viewer
// InvalidArgument lists them.
absl::StatusOr<v1::Role> ParseRoleName(const std::string& name);

}  // namespace strata::client
