#include "worker/data/filter_bank_program.h"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "model/data/shard.h"

namespace strata::data {
namespace fs = std::filesystem;
using model::DataError;

namespace {

constexpr int64_t kFramesAtATime = 1024;
constexpr float kScale = 32768.0f;  // 16-bit audio's

}  // namespace

FilterBankProgram::~FilterBankProgram() {
  if (socket_ >= 0) ::close(socket_);  // the end of its input
  while (process_ > 0 && ::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void FilterBankProgram::Start() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw DataError(std::string("Cannot make a socket: ") + std::strerror(errno) + ".");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string name = trainer_.string(), option = "--filter-banks";
  const std::array<char*, 3> arguments = {name.data(), option.data(), nullptr};
  const int error = ::posix_spawn(&process_, name.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  socket_ = ends[0];
  if (error != 0) {
    process_ = -1;
    throw DataError("Cannot start " + name + ": " + std::strerror(error) + ".");
  }
}

void FilterBankProgram::Ended() const {
  throw DataError(trainer_.string() + " --filter-banks ended. Is it of the same build as strata-data?");
}

void FilterBankProgram::Send(const void* from, size_t bytes) {
  for (size_t gone = 0; gone < bytes;) {
    const ssize_t n = ::send(socket_, static_cast<const char*>(from) + gone, bytes - gone, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Ended();
    gone += static_cast<size_t>(n);
  }
}

void FilterBankProgram::Receive(void* to, size_t bytes) {
  for (size_t have = 0; have < bytes;) {
    const ssize_t n = ::recv(socket_, static_cast<char*>(to) + have, bytes - have, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Ended();
    have += static_cast<size_t>(n);
  }
}

std::vector<float> FilterBankProgram::Compute(const FilterBank& bank, std::span<const float> samples) {
  const int64_t frames = bank.Frames(static_cast<int64_t>(samples.size()));
  std::vector<float> features(static_cast<size_t>(frames * kFilterBanks));
  const std::lock_guard lock(mutex_);
  if (socket_ < 0) Start();
  for (int64_t first = 0; first < frames; first += kFramesAtATime) {
    const int64_t rows = std::min(kFramesAtATime, frames - first);
    const std::span<const float> part = samples.subspan(static_cast<size_t>(first * bank.shift()),
                                                        static_cast<size_t>((rows - 1) * bank.shift() + bank.window()));
    std::vector<float> scaled(part.begin(), part.end());
    for (float& sample : scaled) sample *= kScale;
    const std::array<int64_t, 5> request = {bank.rate(), bank.window(), bank.shift(), bank.padded(),
                                            static_cast<int64_t>(scaled.size())};
    Send(request.data(), sizeof(request));
    Send(scaled.data(), scaled.size() * sizeof(float));
    Receive(&features[static_cast<size_t>(first * kFilterBanks)],
            static_cast<size_t>(rows * kFilterBanks) * sizeof(float));
  }
  return features;
}

std::vector<float> TorchaudioFilterBanks(int rate, std::span<const float> samples) {
  static const std::unique_ptr<FilterBankProgram> program = []() -> std::unique_ptr<FilterBankProgram> {
    std::error_code error;
    const fs::path trainer = fs::read_symlink("/proc/self/exe", error).parent_path() / "strata-trainer";
    if (fs::exists(trainer, error)) return std::make_unique<FilterBankProgram>(trainer);
    std::fprintf(stderr,
                 "Note: there is no %s, so filter banks are computed in double precision: where one hears next to "
                 "nothing it differs from torchaudio's.\n",
                 trainer.c_str());
    return nullptr;
  }();
  const FilterBank bank(rate);
  return program ? program->Compute(bank, samples) : bank.Compute(samples);
}

}  // namespace strata::data
