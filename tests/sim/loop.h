// The simulation's time: what happens next, in order. `awake` counts while the machines run; the wall clock also goes
// on while they sleep, and can be set back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace strata::sim {

class Loop {
 public:
  absl::Duration awake() const { return absl::Microseconds(now_); }
  absl::Time wall() const { return absl::FromUnixSeconds(1'800'000'000) + awake() + offset_; }
  // All machines sleep for this long, or somebody sets the clock (back, if negative).
  void Jump(absl::Duration by) { offset_ += by; }

  void After(absl::Duration delay, std::function<void()> what) {
    heap_.push_back({now_ + absl::ToInt64Microseconds(delay), next_++, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  // Runs what comes next. False: nothing does.
  bool RunOne() {
    if (heap_.empty()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Item item = std::move(heap_.back());
    heap_.pop_back();
    now_ = std::max(now_, item.at);
    item.what();
    return true;
  }

 private:
  struct Item {
    int64_t at;
    uint64_t order;
    std::function<void()> what;
  };
  static bool Later(const Item& a, const Item& b) { return std::pair(a.at, a.order) > std::pair(b.at, b.order); }

  int64_t now_ = 0;
  uint64_t next_ = 0;
  absl::Duration offset_;
  std::vector<Item> heap_;
};

}  // namespace strata::sim
