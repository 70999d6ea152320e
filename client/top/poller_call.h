// How the poller calls: contexts that its end can cancel. Part of poller.h for its own sources.
#pragma once

#include <chrono>

#include "client/top/poller.h"

namespace strata::client::top {

// A context among those that are cancelled when the poller ends; already cancelled if it has ended.
class Poller::Call {
 public:
  explicit Call(Poller& poller) : poller_(poller) {
    base::MutexLock lock(poller_.mutex_);
    poller_.calls_.insert(&context_);
    if (poller_.ended_) context_.TryCancel();
  }
  ~Call() {
    base::MutexLock lock(poller_.mutex_);
    poller_.calls_.erase(&context_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  grpc::ClientContext* context() { return &context_; }

 private:
  Poller& poller_;
  grpc::ClientContext context_;
};

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Poller::Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                     Stub& stub, const Request& request) {
  constexpr std::chrono::seconds kDeadline{5};
  Call call(*this);
  call.context()->set_deadline(std::chrono::system_clock::now() + kDeadline);
  Response response;
  const grpc::Status status = (stub.*method)(call.context(), request, &response);
  const absl::Status told = status.ok() ? absl::OkStatus() : connection_.Explain(status);
  NoteAnswer(status, told);
  if (!told.ok()) return told;
  return response;
}

}  // namespace strata::client::top
