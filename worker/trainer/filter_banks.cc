#include "worker/trainer/filter_banks.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

constexpr int64_t kBanks = 80, kLargest = 1 << 26;
constexpr double kLowestHz = 20.0, kPreemphasis = 0.97, kPovey = 0.85;

struct Request {
  int64_t rate, window, shift, padded, samples;
};

// False where `in` ends before the first byte.
bool Read(int in, void* to, size_t bytes) {
  size_t have = 0;
  while (have < bytes) {
    const ssize_t n = ::read(in, static_cast<char*>(to) + have, bytes - have);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 && have == 0) return false;
    if (n <= 0) throw Failure(Cause::kDataError, "--filter-banks: the input ends within a request.");
    have += static_cast<size_t>(n);
  }
  return true;
}

void Write(int out, const void* from, size_t bytes) {
  size_t gone = 0;
  while (gone < bytes) {
    const ssize_t n = ::write(out, static_cast<const char*>(from) + gone, bytes - gone);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Failure(Cause::kDataError, "--filter-banks: nobody takes the answer.");
    gone += static_cast<size_t>(n);
  }
}

void Check(const Request& r) {
  const bool sound = r.rate > 0 && r.rate <= kLargest && r.window > 1 && r.shift > 0 && r.padded >= r.window &&
                     r.padded <= kLargest && std::has_single_bit(static_cast<uint64_t>(r.padded)) &&
                     r.samples >= r.window && r.samples <= kLargest;
  if (!sound) {
    throw Failure(Cause::kBadSpec, "--filter-banks: no request is rate " + std::to_string(r.rate) + ", window " +
                                       std::to_string(r.window) + ", shift " + std::to_string(r.shift) + ", padded " +
                                       std::to_string(r.padded) + ", samples " + std::to_string(r.samples) + ".");
  }
}

double Mel(double hertz) { return 1127.0 * std::log(1.0 + hertz / 700.0); }

// The triangles, [banks, padded / 2 + 1]: operation by operation as torchaudio makes them.
at::Tensor Triangles(const Request& r) {
  const double low = Mel(kLowestHz), step = (Mel(0.5 * static_cast<double>(r.rate)) - low) / (kBanks + 1);
  const at::Tensor bank = at::arange(kBanks).unsqueeze(1);
  const at::Tensor left = low + bank * step, center = low + (bank + 1.0) * step, right = low + (bank + 2.0) * step;
  const double point = static_cast<double>(r.rate) / static_cast<double>(r.padded);
  const at::Tensor mel = (1127.0 * (1.0 + point * at::arange(r.padded / 2) / 700.0).log()).unsqueeze(0);
  const at::Tensor up = (mel - left) / (center - left), down = (right - mel) / (right - center);
  return at::constant_pad_nd(at::max(at::zeros({1}), at::min(up, down)), {0, 1});
}

// Windows without their mean, with pre-emphasis, under Povey's window, padded with zeros: [frames, padded].
at::Tensor Windows(const at::Tensor& samples, const Request& r) {
  const int64_t frames = 1 + (r.samples - r.window) / r.shift;
  at::Tensor windows = samples.as_strided({frames, r.window}, {r.shift, 1});
  windows = windows - windows.mean(1).unsqueeze(1);
  const at::Tensor before = at::replication_pad1d(windows.unsqueeze(0), {1, 0}).squeeze(0).slice(1, 0, -1);
  windows = windows - kPreemphasis * before;
  windows = windows * at::hann_window(r.window, /*periodic=*/false).pow(kPovey).unsqueeze(0);
  return at::constant_pad_nd(windows, {0, r.padded - r.window});
}

at::Tensor FilterBanks(const at::Tensor& samples, const Request& r) {
  const at::Tensor power = at::fft_rfft(Windows(samples, r)).abs().pow(2.0);
  const at::Tensor energy = at::mm(power, Triangles(r).t());
  return at::max(energy, at::full({}, std::numeric_limits<float>::epsilon())).log();
}

}  // namespace

void ServeFilterBanks(int in, int out) {
  const c10::InferenceMode no_gradients;
  at::set_num_threads(1);
  for (Request request{}; Read(in, &request, sizeof(request));) {
    Check(request);
    const at::Tensor samples = at::empty({request.samples});
    if (!Read(in, samples.mutable_data_ptr(), samples.nbytes()))
      throw Failure(Cause::kDataError, "--filter-banks: the input ends within a request.");
    const at::Tensor features = FilterBanks(samples, request).contiguous();
    Write(out, features.const_data_ptr(), features.nbytes());
  }
}

}  // namespace strata::trainer
