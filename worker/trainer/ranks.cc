#include "worker/trainer/ranks.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <thread>

#include "worker/trainer/failure.h"
#include "worker/trainer/process_group.h"

namespace strata::trainer {
namespace {

// Threads that are started meanwhile never take a signal: signals are the training thread's.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

constexpr std::chrono::milliseconds kPoll(5);

std::string Seconds(std::chrono::milliseconds time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

// The first line of what LibTorch or Gloo says, without where in their sources, and without a full stop.
std::string FirstLine(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  if (line.ends_with('.')) line.pop_back();
  return line;
}

}  // namespace

struct Ranks::Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroup> group;
};

Ranks::Ranks(const RanksOptions& options) : options_(options), log_(options.collectives) {}
Ranks::~Ranks() = default;

c10d::ProcessGroup* Ranks::group() const { return group_ ? group_->group.get() : nullptr; }

bool Ranks::AwaitMeeting(const Control& control, Rendezvous* where) const {
  const auto deadline = std::chrono::steady_clock::now() + options_.arrival_timeout;
  while (true) {
    if (const auto known = control.rendezvous()) {
      *where = *known;
      return true;
    }
    if (control.StopRequested()) return false;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw Failure(Cause::kRendezvousFailed, "Rank " + std::to_string(rank()) + " was not told within " +
                                                  Seconds(options_.arrival_timeout) +
                                                  " where rank 0 listens. Look at rank 0's log, or send "
                                                  "'rendezvous HOST PORT' to this rank's control socket.");
    }
    std::this_thread::sleep_for(kPoll);
  }
}

bool Ranks::AwaitAll(c10d::Store& store, const Control& control) const {
  const auto key = [](int64_t rank) { return "arrived/" + std::to_string(rank); };
  store.set(key(rank()), "yes");
  const auto deadline = std::chrono::steady_clock::now() + options_.arrival_timeout;
  std::vector<std::string> missing;
  for (int64_t other = 0; other < size(); ++other) missing.push_back(std::to_string(other));
  while (true) {
    std::erase_if(missing, [&](const std::string& other) { return store.check({key(std::stoll(other))}); });
    if (missing.empty()) return true;
    if (control.StopRequested()) return false;
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPoll);
  }
  std::string names;
  for (const std::string& other : missing) names += (names.empty() ? "" : ", ") + other;
  throw std::runtime_error("within " + Seconds(options_.arrival_timeout) + " these ranks did not come: " + names);
}

bool Ranks::Meet(const c10::Device& device, EventLog* events, const Control& control) {
  if (alone()) return true;
  auto met = std::make_unique<Group>();
  log_.Enter("rendezvous");
  std::string place;
  try {
    if (first()) {
      const SignalsBlocked blocked;
      OpenedStore opened = OpenStore(options_.address, size(), options_.meeting_timeout);
      met->store = std::move(opened.store);
      place = options_.address + ":" + std::to_string(opened.port);
      events->Emit("rendezvous", {{"host", options_.address}, {"port", opened.port}});
    } else {
      Rendezvous where;
      if (!AwaitMeeting(control, &where)) return false;
      place = where.host + ":" + std::to_string(where.port);
      const SignalsBlocked blocked;
      met->store = JoinStore(where.host, where.port, size(), options_.meeting_timeout);
    }
    if (!AwaitAll(*met->store, control)) return false;
    const SignalsBlocked blocked;
    met->group = MakeProcessGroup(met->store, rank(), size(), device, options_.address, options_.meeting_timeout);
    met->group->setTimeout(options_.collective_timeout);
  } catch (const Failure&) {
    throw;
  } catch (const std::exception& error) {
    throw Failure(Cause::kRendezvousFailed,
                  "Rank " + std::to_string(rank()) + " of " + std::to_string(size()) + " (--advertise-address " +
                      options_.address + ") did not meet the others" + (place.empty() ? "" : " at " + place) + ": " +
                      FirstLine(error.what()) + ". " +
                      (first() ? "Give an address of this machine that the other ranks' machines reach."
                               : "Rank 0's --advertise-address must be one that this machine reaches."));
  }
  group_ = std::move(met);
  return true;
}

void Ranks::Lost(const std::string& why) const {
  throw Failure(Cause::kRankLost, "Rank " + std::to_string(rank()) + " of " + std::to_string(size()) +
                                      " lost another rank in collective " + std::to_string(log_.sequence()) + " (" +
                                      log_.name() + "): " + FirstLine(why) + ".");
}

void Ranks::Collective(const std::string& name, const std::function<void(c10d::ProcessGroup&)>& run) {
  if (alone()) return;
  log_.Enter(name);
  at::NoGradGuard no_grad;
  try {
    run(*group_->group);
  } catch (const std::exception& error) {
    Lost(error.what());
  }
}

void Ranks::Sum(const std::string& name, at::Tensor tensor) {
  Collective(name, [&](c10d::ProcessGroup& group) {
    std::vector<at::Tensor> tensors = {tensor};
    group.allreduce(tensors)->wait();
  });
}

void Ranks::FromFirst(const std::string& name, at::Tensor tensor) {
  Collective(name, [&](c10d::ProcessGroup& group) {
    std::vector<at::Tensor> tensors = {tensor};
    group.broadcast(tensors)->wait();
  });
}

std::string Ranks::FromFirst(const std::string& name, const std::string& bytes) {
  if (alone()) return bytes;
  at::Tensor length = at::full({1}, static_cast<int64_t>(bytes.size()), at::kLong);
  FromFirst(name + ", length", length);
  std::string received = bytes;
  received.resize(static_cast<size_t>(length.item<int64_t>()));
  if (!received.empty())
    FromFirst(name, at::from_blob(received.data(), {static_cast<int64_t>(received.size())}, at::kByte));
  return received;
}

void Ranks::FromFirst(const std::string& name, const std::vector<model::NamedParameter>& parameters) {
  if (alone()) return;
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> flat;
  for (const model::NamedParameter& parameter : parameters) flat.push_back(parameter.tensor.detach().reshape(-1));
  const at::Tensor all = at::cat(flat);
  FromFirst(name, all);
  int64_t begin = 0;
  for (const at::Tensor& part : flat) {
    at::Tensor(part).copy_(all.narrow(0, begin, part.numel()));
    begin += part.numel();
  }
}

std::vector<std::string> Ranks::Gather(const std::string& name, const std::string& bytes) {
  if (alone()) return {bytes};
  at::Tensor lengths = at::zeros({size()}, at::kLong);
  lengths[rank()].fill_(static_cast<int64_t>(bytes.size()));
  Sum(name + ", lengths", lengths);
  const int64_t longest = lengths.max().item<int64_t>();
  std::vector<std::string> all(static_cast<size_t>(size()));
  if (longest == 0) return all;
  std::string padded = bytes;
  padded.resize(static_cast<size_t>(longest));
  std::vector<at::Tensor> mine = {at::from_blob(padded.data(), {longest}, at::kByte)};
  std::vector<std::vector<at::Tensor>> gathered(1);
  for (int64_t i = 0; i < size(); ++i) gathered[0].push_back(at::empty({longest}, at::kByte));
  Collective(name, [&](c10d::ProcessGroup& group) { group.allgather(gathered, mine)->wait(); });
  for (int64_t i = 0; i < size(); ++i) {
    all[static_cast<size_t>(i)].assign(static_cast<const char*>(gathered[0][static_cast<size_t>(i)].const_data_ptr()),
                                       static_cast<size_t>(lengths[i].item<int64_t>()));
  }
  return all;
}

}  // namespace strata::trainer
