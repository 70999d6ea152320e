// Values as people read them: durations, bytes, times, states.
#pragma once

#include <cstdint>
#include <string>

#include "google/protobuf/timestamp.pb.h"
#include "strata/v1/resources.pb.h"

namespace strata::client {

std::string FormatDuration(double seconds);                       // "48 s", "4 min 05 s", "3 h 20 min", "2 d 4 h"
std::string FormatBytes(int64_t bytes);                           // "812 B", "1.4 MiB"
std::string FormatCount(int64_t count);                           // "12,600"
std::string FormatTime(const google::protobuf::Timestamp& time);  // "2026-11-22 18:31:24Z"; "" if never
std::string FormatNll(bool present, double nll);                  // "5.773"; "-" if absent, "NaN" as such

// Without their prefix: "RUNNING", "TRAIN", "READY".
std::string StateName(v1::JobState state);
std::string KindName(v1::JobKind kind);
std::string WorkerStateName(v1::WorkerState state);

// SUCCEEDED, FAILED, CANCELLED, DIVERGED.
bool IsFinal(v1::JobState state);

// True where every trial counted is SUCCEEDED or DIVERGED: both are results.
bool AllResults(const v1::Experiment& experiment);

// "4 SUCCEEDED, 2 DIVERGED".
std::string StateCounts(const v1::Experiment& experiment);

}  // namespace strata::client
