// How long what can be spared is kept: the policy of --retention, "resumable=30d,epochs=30d,logs=90d,datasets=never".
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace strata::service {

// Ages since the end of the job, of datasets since their registration. Infinite: never.
struct Retention {
  absl::Duration resumable = absl::InfiniteDuration();  // resumable checkpoints
  absl::Duration epochs = absl::InfiniteDuration();     // epochs' weights
  absl::Duration logs = absl::InfiniteDuration();
  absl::Duration vectors = absl::InfiniteDuration();  // measurements by layer
  absl::Duration datasets = absl::InfiniteDuration();
};

// "30d", "12h", "600s" or "never", which is infinite. InvalidArgument shows the form.
absl::StatusOr<absl::Duration> ParseAge(absl::string_view text);
// As ParseAge reads it.
std::string AgeText(absl::Duration age);

// What is not named stays never; "" is all never. InvalidArgument names the part that is wrong and shows the form.
absl::StatusOr<Retention> ParseRetention(const std::string& text);
// All five, as ParseRetention reads them.
std::string RetentionText(const Retention& retention);

}  // namespace strata::service
