// A trainer's events (docs/TRAINER.md), read from lines of JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/store/rows.h"

namespace strata::service {

enum class EventType {
  kStarted,
  kProgress,
  kMeasurements,
  kCheckpoint,
  kVerdict,
  kArtifact,
  kRendezvous,
  kWarning,
  kFinished,
  kStopped,
  kFailed
};

// One event. What does not belong to its type stays empty.
struct TrainerEvent {
  int64_t seq = 0;
  int32_t attempt = 0;
  int32_t rank = 0;
  EventType type = EventType::kProgress;
  std::string text;  // the line: started (environment), verdict (evidence)

  std::optional<int32_t> resumed_from;  // started
  std::optional<double> unigram_nll;    // started
  int32_t update = 0;                   // progress, measurements, checkpoint, verdict, stopped; finished: updates
  double seconds_per_update = 0, tokens_per_second = 0;  // progress
  std::string phase;                                     // progress
  std::vector<store::ScalarPoint> scalars;               // measurements
  std::vector<store::VectorPoint> vectors;               // measurements
  std::string sha256, kind;                              // checkpoint
  std::string address;                                   // rendezvous, host:port
  std::string message;                                   // warning
  std::string weights_sha256;                            // finished
  std::optional<double> best_nll, final_nll;             // finished
};

// Reads an event. InvalidArgument names the event by its number, the field, and what is wrong with it.
absl::StatusOr<TrainerEvent> ParseEvent(std::string_view line);

// Whole lines of one rank of one attempt, seq rising by one. InvalidArgument if any is malformed.
absl::StatusOr<std::vector<TrainerEvent>> ParseEvents(const std::vector<std::string>& lines, int32_t attempt,
                                                      int32_t rank);

}  // namespace strata::service
