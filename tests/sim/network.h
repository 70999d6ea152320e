// The wire between agents (or people) and the coordinator: requests and answers are delayed, reordered, lost and
// doubled.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "tests/sim/coordinator.h"

namespace strata::sim {

class Network {
 public:
  Network(Loop& loop, Random& random, Coordinator& coordinator)
      : loop_(loop), random_(random), coordinator_(coordinator) {}

  // Per mille of messages; zero when the faults are over.
  int lost = 0, doubled = 0, slow = 0;
  int64_t faults = 0;
  std::set<std::string> cut_off;  // who is behind a broken link

  // Sends a request. `done` is called once: with the answer, or with Unavailable when it does not come in time.
  template <class T>
  void Call(const std::string& who, std::function<void(Coordinator&, Done<T>)> serve, Done<T> done) {
    auto waiting = std::make_shared<Done<T>>(std::move(done));
    const auto finish = [waiting](absl::StatusOr<T> answer) {
      if (const Done<T> once = std::exchange(*waiting, nullptr)) once(std::move(answer));
    };
    loop_.After(absl::Seconds(2), [finish] { finish(absl::UnavailableError("no answer")); });
    const int copies = Hit(lost) ? 0 : Hit(doubled) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      loop_.After(Delay(), [this, who, serve, finish] {
        if (!coordinator_.up() || cut_off.contains(who)) return;
        serve(coordinator_, [this, who, finish](absl::StatusOr<T> answer) {
          if (Hit(lost)) return;
          loop_.After(Delay(), [this, who, finish, answer = std::move(answer)] {
            if (!cut_off.contains(who)) finish(answer);
          });
        });
      });
    }
  }

 private:
  bool Hit(int per_mille) {
    const bool hit = per_mille > 0 && random_.Chance(per_mille);
    faults += hit;
    return hit;
  }
  absl::Duration Delay() {
    if (Hit(slow)) return random_.Between(absl::Milliseconds(500), absl::Seconds(8));
    return random_.Between(absl::Microseconds(200), absl::Milliseconds(15));
  }

  Loop& loop_;
  Random& random_;
  Coordinator& coordinator_;
};

}  // namespace strata::sim
