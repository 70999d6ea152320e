// The events that a trainer reports, as numbered JSON lines in its spool (docs/TRAINER.md).
#pragma once

#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

namespace strata::trainer {

// Object with its keys in the order of writing.
using Json = nlohmann::ordered_json;

// A number as the contract writes it: "NaN", "Infinity" and "-Infinity" as strings.
Json NumberJson(double value);

// "2026-11-22T18:24:05.123Z"
std::string Timestamp(int64_t milliseconds_since_epoch);

// Appends whole lines, each with one write(2). Thread-safe.
class EventLog {
 public:
  // Appends to `spool`, made if need be; empty: standard output. In a spool that holds events of this attempt and rank
  // already, numbers go on after its last whole line; a torn last line is cut off. Throws std::system_error naming the
  // file, Failure (internal) where the last whole line is no event.
  EventLog(const std::string& spool, int64_t attempt, int64_t rank);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Adds seq, attempt, rank, time and type before `fields`. Throws std::system_error where the line cannot be written
  // whole (disk full); nothing of it is left in the spool then.
  void Emit(const std::string& type, const Json& fields);
  void Warn(const std::string& message);  // event `warning`, and on standard error

  // Until now's events survive a crash of the machine.
  void Sync();

  int64_t last_seq() const;

 private:
  void TakeUp(const std::string& spool);
  void WriteLine(const std::string& line);

  std::string name_;
  int fd_ = -1;
  bool regular_file_ = false;
  int64_t attempt_, rank_;
  mutable std::mutex mutex_;
  int64_t seq_ = 0;  // under mutex_
};

}  // namespace strata::trainer
