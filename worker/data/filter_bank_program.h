// Filter banks with torchaudio's own rounding: by LibTorch's operations. Where a filter bank hears next to nothing (a
// pure tone's shadow, a band that was cut off) this rounding is all that it holds.
//
// LibTorch shares no process with SentencePiece, so strata-trainer computes: one process, started at the first request.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "worker/data/fbank.h"

namespace strata::data {

// Safe to use from many threads: requests wait for one another.
class FilterBankProgram {
 public:
  explicit FilterBankProgram(std::filesystem::path trainer) : trainer_(std::move(trainer)) {}
  ~FilterBankProgram();  // ends the process
  FilterBankProgram(const FilterBankProgram&) = delete;
  FilterBankProgram& operator=(const FilterBankProgram&) = delete;

  // As bank.Compute(samples). Throws model::DataError naming the program where it cannot be started or ends.
  std::vector<float> Compute(const FilterBank& bank, std::span<const float> samples);

 private:
  void Start();
  [[noreturn]] void Ended() const;
  void Send(const void* from, size_t bytes);
  void Receive(void* to, size_t bytes);

  const std::filesystem::path trainer_;
  std::mutex mutex_;
  int socket_ = -1;
  pid_t process_ = -1;
};

// Filter banks of audio of `rate` Hz by the strata-trainer beside this program. Where there is none, by FilterBank, and
// a note on standard error says so, once. Safe to call from many threads. Throws model::DataError.
std::vector<float> TorchaudioFilterBanks(int rate, std::span<const float> samples);

}  // namespace strata::data
