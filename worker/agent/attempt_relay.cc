// The part of Attempt that speaks with the coordinator while trainers run: events, uploads, rendezvous.
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/agent/attempt.h"

namespace strata::agent {
namespace {

using Steady = std::chrono::steady_clock;

constexpr size_t kBatchEvents = 512;
constexpr size_t kBatchBytes = 1 << 20;
constexpr int kBatchesALook = 16;

// Sends one line to a trainer's control socket; true if it answers ok. A trainer that does not listen yet says nothing.
bool Tell(const std::string& path, const std::string& line) {
  const base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.get() < 0 || path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  const std::string text = line + "\n";
  if (::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) return false;
  char answer[64] = {};
  return ::recv(socket.get(), answer, sizeof answer - 1, 0) > 1 && absl::StartsWith(answer, "ok");
}

}  // namespace

void Attempt::NoteTrouble(const absl::Status& status) {
  static thread_local std::minstd_rand random(std::random_device{}());
  const Trouble trouble = Classify(status);
  if (trouble == Trouble::kStaleAttempt) return Ask(Wish::kAbandon);
  if (trouble == Trouble::kStaleSession || trouble == Trouble::kRefused) context_.register_again();
  const int64_t longest = trouble == Trouble::kStaleSession ? 100 : 1000;
  pause_ms_ = std::clamp<int64_t>(pause_ms_ * 2, 50, longest);
  retry_at_ = Steady::now() + std::chrono::milliseconds(pause_ms_ / 2 + static_cast<int64_t>(random() % pause_ms_) / 2);
}

bool Attempt::RelayEvents() {
  std::map<int32_t, int64_t> cursors;
  {
    base::MutexLock lock(mutex_);
    cursors.swap(cursors_);
  }
  bool all = true;
  for (Rank& rank : ranks_) {
    if (const auto cursor = cursors.find(rank.rank); cursor != cursors.end()) rank.spool->Acknowledge(cursor->second);
    const bool sent = SendBatches(rank);
    all &= sent;
    FollowUp(rank);
    const int64_t waiting = rank.spool->waiting();
    context_.stats.spool_lag_events += waiting - rank.told_spooled;
    rank.told_spooled = waiting;
  }
  return all;
}

bool Attempt::SendBatches(Rank& rank) {
  Spool& spool = *rank.spool;
  for (int i = 0; i < kBatchesALook; ++i) {
    const absl::Status read = spool.Read();
    if (!read.ok() && broken_.empty()) {
      broken_ = absl::StrCat("The events of rank ", rank.rank, " cannot be relayed: ", read.message());
      spdlog::error("{}#{}: {}", id_.job, id_.attempt, broken_);
    }
    if (spool.waiting() == 0) return true;
    if (Steady::now() < retry_at_ || wish() == Wish::kAbandon) return false;
    const auto acknowledged = context_.coordinator.ReportEvents(id_, rank.rank, spool.Batch(kBatchEvents, kBatchBytes));
    if (acknowledged.status().code() == absl::StatusCode::kInvalidArgument) {
      broken_ =
          absl::StrCat("The coordinator refuses the events of rank ", rank.rank, ": ", acknowledged.status().message());
      spdlog::error("{}#{}: {}", id_.job, id_.attempt, broken_);
      return false;
    }
    if (!acknowledged.ok()) {
      NoteTrouble(acknowledged.status());
      return false;
    }
    const int64_t step = *acknowledged - spool.acknowledged();
    spool.Acknowledge(*acknowledged);
    if (step <= 0) {  // it knows less than it did: read again from there, but not in a tight loop
      NoteTrouble(absl::UnavailableError("no progress"));
      return false;
    }
    context_.stats.events_acknowledged += step;
    pause_ms_ = 0;
  }
  return false;
}

void Attempt::FollowUp(const Rank& rank) {
  for (const SpoolEvent& event : rank.spool->TakeAcknowledged()) {
    const bool checkpoint = event.type == "checkpoint";
    if (rank.rank != 0 || (!checkpoint && event.type != "artifact")) continue;
    try {
      const auto json = nlohmann::json::parse(event.line);
      const std::string relative = json.at("file");
      LocalFile file{.path = absl::StrCat(prepared_.out_folder, "/", relative)};
      file.file.kind = checkpoint ? absl::StrCat("checkpoint_", json.at("kind").get<std::string>())
                                  : json.at("name").get<std::string>();
      file.file.sha256 = json.at("sha256");
      file.file.bytes = json.at("bytes");
      file.file.update = checkpoint ? json.at("update").get<int32_t>() : 0;
      file.file.file_name = std::filesystem::path(relative).filename().string();
      if (checkpoint && json.at("kind") != "resumable") weights_[file.file.file_name] = file.file;
      if (!uploader_) uploader_ = std::make_unique<Uploader>(context_.coordinator, id_, context_.stats);
      uploader_->Offer(std::move(file));
    } catch (const nlohmann::json::exception& error) {
      broken_ =
          absl::StrCat("Event ", event.seq, " of rank ", rank.rank, " is not as docs/TRAINER.md says: ", error.what());
    }
  }
}

void Attempt::PassRendezvous() {
  std::string address;
  {
    base::MutexLock lock(mutex_);
    address = rendezvous_;
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return;
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  for (size_t i = 0; i < record_.ranks.size(); ++i) {
    Rank& rank = ranks_[i];
    if (rank.rank == 0 || rank.told_rendezvous == address || record_.ranks[i].ended) continue;
    const std::string line = absl::StrCat("rendezvous ", host, " ", address.substr(colon + 1));
    if (Tell(context_.state.ControlPath(id_, rank.rank), line)) rank.told_rendezvous = address;
  }
}

}  // namespace strata::agent
