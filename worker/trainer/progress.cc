#include "worker/trainer/progress.h"

namespace strata::trainer {

void Progress::Enter(const char* phase, int64_t update) {
  phase_ = phase;
  ReportWhenDue(update);
  step_began_ = Clock::now();
}

void Progress::Step(int64_t update, int64_t tokens) {
  const auto now = Clock::now();
  if (phase_ != "validate") {
    seconds_ += std::chrono::duration<double>(now - step_began_).count();
    ++steps_;
    tokens_ += tokens;
  }
  step_began_ = now;
  ReportWhenDue(update);
}

void Progress::ReportWhenDue(int64_t update) {
  if (Clock::now() - reported_ >= std::chrono::seconds(1)) Report(update);
}

void Progress::Report(int64_t update) {
  reported_ = Clock::now();
  if (steps_ > 0 && seconds_ > 0) {
    seconds_per_update_ = seconds_ / static_cast<double>(steps_);
    tokens_per_second_ = static_cast<double>(tokens_) / seconds_;
    seconds_ = 0;
    steps_ = tokens_ = 0;
  }
  events_->Emit("progress", {{"update", update},
                             {"updates", updates_},
                             {"seconds_per_update", seconds_per_update_},
                             {"tokens_per_second", tokens_per_second_},
                             {"phase", phase_}});
}

}  // namespace strata::trainer
