// Where a rank stands among the collectives of its attempt, for whoever compares the ranks of one that hangs or died
// (docs/DATA_PARALLEL.md). No LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace strata::trainer {

// One thread.
class CollectiveLog {
 public:
  // Bytes of the file: the sequence number, little-endian, then the name, zero-padded (and cut off where it is longer).
  static constexpr size_t kNameBytes = 120, kBytes = sizeof(uint64_t) + kNameBytes;

  // Maps `file`, made if need be, and begins it at sequence 0 without a name; empty: counts only. What is written
  // outlives a kill of this process. Throws std::system_error naming the file.
  explicit CollectiveLog(const std::string& file = "");
  ~CollectiveLog();
  CollectiveLog(const CollectiveLog&) = delete;
  CollectiveLog& operator=(const CollectiveLog&) = delete;

  // The next collective, named before it begins.
  void Enter(const std::string& name);

  uint64_t sequence() const { return sequence_; }  // of the last one entered, from 1
  const std::string& name() const { return name_; }

 private:
  char* mapped_ = nullptr;
  uint64_t sequence_ = 0;
  std::string name_;
};

}  // namespace strata::trainer
