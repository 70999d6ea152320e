#include "worker/agent/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

constexpr size_t kMostWaitingBytes = 4 << 20;
constexpr size_t kMostPaces = 1000;       // nobody may ask for them
constexpr size_t kLongestLine = 2 << 20;  // below gRPC's limit of a message

bool IsLastWord(const std::string& type) { return type == "finished" || type == "stopped" || type == "failed"; }

bool LeadsToSomething(const std::string& type) {
  return type == "checkpoint" || type == "artifact" || type == "rendezvous" || IsLastWord(type);
}

}  // namespace

Spool::Spool(std::string path) : path_(std::move(path)) {}

absl::Status Spool::Read() {
  if (!broken_.ok()) return broken_;
  if (file_.get() < 0) {
    file_ = Open(path_, O_RDONLY);
    if (file_.get() < 0) return errno == ENOENT ? absl::OkStatus() : base::FileError(errno, "open", path_);
  }
  char buffer[1 << 16];
  while (waiting_bytes_ < kMostWaitingBytes) {
    const ssize_t n = ::pread(file_.get(), buffer, sizeof buffer, offset_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::FileError(errno, "read", path_);
    if (n == 0) break;
    offset_ += n;
    std::string_view rest(buffer, static_cast<size_t>(n));
    for (size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
      partial_.append(rest.substr(0, end));
      broken_ = TakeLine(std::exchange(partial_, {}));
      if (!broken_.ok()) return broken_;
    }
    partial_.append(rest);
    if (partial_.size() > kLongestLine) {
      broken_ = absl::DataLossError(
          absl::StrCat(path_, ": the event after ", last_seq_, " is longer than ", kLongestLine, " bytes"));
      return broken_;
    }
  }
  return absl::OkStatus();
}

absl::Status Spool::TakeLine(std::string line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto bad = [&](absl::string_view why) {
    return absl::DataLossError(
        absl::StrCat(path_, ": the line after event ", last_seq_, " ", why, ": ", line.substr(0, 200)));
  };
  if (!json.is_object()) return bad("is no JSON object");
  const auto seq = json.find("seq"), type = json.find("type");
  if (seq == json.end() || !seq->is_number_integer() || type == json.end() || !type->is_string()) {
    return bad("lacks seq or type");
  }
  SpoolEvent event{seq->get<int64_t>(), type->get<std::string>(), std::move(line)};
  if (event.seq != last_seq_ + 1) return bad(absl::StrCat("has the number ", event.seq));
  last_seq_ = event.seq;
  const auto update = json.find("update");
  past_start_ |= update != json.end() && update->is_number_integer() && update->get<int64_t>() > 0;
  if (event.type == "progress" && paces_.size() < kMostPaces) {
    const auto pace = json.find("seconds_per_update");
    paces_.push_back(pace != json.end() && pace->is_number() ? pace->get<double>() : 0);
  }
  if (IsLastWord(event.type)) last_word_ = event.line;
  if (event.seq <= acknowledged_) {
    if (event.seq > handed_out_) {
      handed_out_ = event.seq;
      if (LeadsToSomething(event.type)) fresh_.push_back(std::move(event));
    }
    return absl::OkStatus();
  }
  waiting_bytes_ += event.line.size();
  waiting_.push_back(std::move(event));
  return absl::OkStatus();
}

std::vector<std::string> Spool::Batch(size_t events, size_t bytes) const {
  std::vector<std::string> batch;
  size_t total = 0;
  for (const SpoolEvent& event : waiting_) {
    total += event.line.size();
    if (!batch.empty() && (batch.size() >= events || total > bytes)) break;
    batch.push_back(event.line);
  }
  return batch;
}

void Spool::Acknowledge(int64_t seq) {
  if (seq < acknowledged_) {  // read again; what had been handed out is not handed out twice
    acknowledged_ = seq;
    offset_ = last_seq_ = 0;
    waiting_bytes_ = 0;
    waiting_.clear();
    partial_.clear();
    return;
  }
  acknowledged_ = seq;
  while (!waiting_.empty() && waiting_.front().seq <= seq) {
    waiting_bytes_ -= waiting_.front().line.size();
    if (waiting_.front().seq > handed_out_) {
      handed_out_ = waiting_.front().seq;
      if (LeadsToSomething(waiting_.front().type)) fresh_.push_back(std::move(waiting_.front()));
    }
    waiting_.pop_front();
  }
}

std::vector<SpoolEvent> Spool::TakeAcknowledged() { return std::exchange(fresh_, {}); }

}  // namespace strata::agent
