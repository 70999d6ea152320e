// Stored rows as the messages of the public contract.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/core/types.h"
#include "server/store/rows.h"
#include "strata/v1/resources.pb.h"

namespace strata::service {

google::protobuf::Timestamp ToProto(absl::Time time);
v1::JobState ToProto(core::JobState state);
v1::JobKind ToProto(core::JobKind kind);
v1::Attempt ToProto(const store::AttemptRecord& record);
// Without attempts, place in the queue and phase.
v1::Job ToProto(const core::Job& job);
v1::Dataset ToProto(const store::Dataset& dataset);
v1::Artifact ToProto(const store::Artifact& artifact);
// Slots without their holders.
v1::Worker ToProto(const core::Worker& worker);
// Without spec and jobs.
v1::Trial ToProto(const store::Trial& trial);

}  // namespace strata::service
