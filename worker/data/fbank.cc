#include "worker/data/fbank.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

namespace strata::data {
namespace {

constexpr double kWindowMs = 25.0, kShiftMs = 10.0, kLowestHz = 20.0;
constexpr float kPreemphasis = 0.97f, kScale = 32768.0f;
constexpr double kFloor = std::numeric_limits<float>::epsilon();  // of an energy, before the logarithm
constexpr double kLeastVariance = 1e-10;

double Mel(double hertz) { return 1127.0 * std::log(1.0 + hertz / 700.0); }

// The same in single precision: a triangle's edge lies where the reference puts it, and so does the little that a point
// of the spectrum just inside of it counts.
float MelSingle(float hertz) { return 1127.0f * std::log(1.0f + hertz / 700.0f); }

// The sum in single precision, added up in the order in which the reference adds: 32 sums side by side, carried over
// every 16 and every 256 rounds. Of a loud constant nothing remains but what this order rounds away.
float SumInOrder(std::span<const float> numbers) {
  constexpr size_t kLanes = 8, kAbreast = 4 * kLanes;
  std::array<float, kAbreast> sums{}, sixteens{}, many{};
  const auto carry = [](std::array<float, kAbreast>& from, std::array<float, kAbreast>& to) {
    for (size_t i = 0; i < kAbreast; ++i) to[i] += from[i];
    from.fill(0);
  };
  const size_t rounds = numbers.size() / kAbreast;
  for (size_t round = 1; round <= rounds; ++round) {
    const float* row = numbers.data() + (round - 1) * kAbreast;
    for (size_t i = 0; i < kAbreast; ++i) sums[i] += row[i];
    if (round % 16 == 0) carry(sums, sixteens);
    if (round % 256 == 0) carry(sixteens, many);
  }
  carry(sixteens, sums);
  carry(many, sums);
  size_t next = rounds * kAbreast;
  for (; next + kLanes <= numbers.size(); next += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) sums[i] += numbers[next + i];
  }
  for (size_t i = kLanes; i < kAbreast; ++i) sums[i % kLanes] += sums[i];
  float sum = 0;
  for (; next < numbers.size(); ++next) sum += numbers[next];
  for (size_t i = 0; i < kLanes; ++i) sum += sums[i];
  return sum;
}

// Real and imaginary parts, and room for as many.
struct Complexes {
  explicit Complexes(size_t size) : re(size), im(size), other_re(size), other_im(size) {}
  std::vector<double> re, im, other_re, other_im;
};

// Fourier transform in place, by Stockham's scheme (no reordering; the inner loop runs over neighbours). `cosine` and
// `sine` are of a circle of `circle` points, a multiple of the size, which is a power of two.
void Transform(Complexes& z, const std::vector<double>& cosine, const std::vector<double>& sine, size_t circle) {
  const size_t size = z.re.size();
  size_t stride = 1;
  for (size_t half = size / 2; half >= 1; half /= 2, stride *= 2) {
    const size_t turn = circle / (2 * half);
    for (size_t p = 0; p < half; ++p) {
      const double c = cosine[p * turn], s = -sine[p * turn];
      const double *a_re = &z.re[stride * p], *a_im = &z.im[stride * p];
      const double *b_re = &z.re[stride * (p + half)], *b_im = &z.im[stride * (p + half)];
      double *sum_re = &z.other_re[stride * 2 * p], *sum_im = &z.other_im[stride * 2 * p];
      double *rest_re = sum_re + stride, *rest_im = sum_im + stride;
#pragma GCC ivdep
      for (size_t q = 0; q < stride; ++q) {
        const double re = a_re[q] - b_re[q], im = a_im[q] - b_im[q];
        sum_re[q] = a_re[q] + b_re[q];
        sum_im[q] = a_im[q] + b_im[q];
        rest_re[q] = re * c - im * s;
        rest_im[q] = re * s + im * c;
      }
    }
    z.re.swap(z.other_re);
    z.im.swap(z.other_im);
  }
}

// power[k] = |X_k|^2, k < size, of the 2 x size real numbers whose (even, odd) pairs z held before it was transformed.
void Power(const Complexes& z, const std::vector<double>& cosine, const std::vector<double>& sine, double* power) {
  const size_t size = z.re.size();
  power[0] = (z.re[0] + z.im[0]) * (z.re[0] + z.im[0]);
  for (size_t k = 1; k < size; ++k) {
    const double even_re = z.re[k] + z.re[size - k], even_im = z.im[k] - z.im[size - k];
    const double odd_re = z.im[k] + z.im[size - k], odd_im = z.re[size - k] - z.re[k];
    const double re = 0.5 * (even_re + odd_re * cosine[k] + odd_im * sine[k]);
    const double im = 0.5 * (even_im + odd_im * cosine[k] - odd_re * sine[k]);
    power[k] = re * re + im * im;
  }
}

}  // namespace

FilterBank::FilterBank(int rate)
    : rate_(rate),
      window_(static_cast<int64_t>(rate * kWindowMs * 0.001)),
      shift_(static_cast<int64_t>(rate * kShiftMs * 0.001)),
      padded_(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(window_)))) {
  for (int64_t k = 0; k < padded_ / 2; ++k) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(padded_);
    cosine_.push_back(std::cos(angle));
    sine_.push_back(std::sin(angle));
  }
  MakeWindow();
  MakeTriangles(rate);
}

// Single precision, as the reference: near the ends the cancellation shows.
void FilterBank::MakeWindow() {
  const auto step = static_cast<float>(2 * std::numbers::pi / static_cast<double>(window_ - 1));
  for (int64_t i = 0; i < window_; ++i) {
    const float hann = std::cos(static_cast<float>(i) * step) * -0.5f + 0.5f;
    shape_.push_back(std::pow(hann, 0.85f));
  }
}

void FilterBank::MakeTriangles(int rate) {
  const double low = Mel(kLowestHz), step = (Mel(0.5 * rate) - low) / (kFilterBanks + 1);
  const auto low_mel = static_cast<float>(low), step_mel = static_cast<float>(step);
  const auto point_hertz = static_cast<float>(static_cast<double>(rate) / static_cast<double>(padded_));
  for (int bin = 0; bin < kFilterBanks; ++bin) {
    const float left = low_mel + static_cast<float>(bin) * step_mel;
    const float center = low_mel + static_cast<float>(bin + 1) * step_mel;
    const float right = low_mel + static_cast<float>(bin + 2) * step_mel;
    Triangle triangle{.first = 0, .weights = {}};
    for (int64_t k = 0; k < padded_ / 2; ++k) {
      const float mel = MelSingle(point_hertz * static_cast<float>(k));
      const float weight = std::min((mel - left) / (center - left), (right - mel) / (right - center));
      if (weight <= 0) continue;
      if (triangle.weights.empty()) triangle.first = static_cast<size_t>(k);
      triangle.weights.push_back(weight);
    }
    triangles_.push_back(std::move(triangle));
  }
}

// Rounded to single precision at each step, as the reference rounds: in a pure tone's shadow that is what there is.
void FilterBank::Shape(const float* samples, double* shaped) const {
  const float mean = SumInOrder({samples, static_cast<size_t>(window_)}) / static_cast<float>(window_);
  float before = samples[0] - mean;
  for (int64_t i = 0; i < window_; ++i) {
    const float here = samples[i] - mean;
    const float emphasised = here - kPreemphasis * before;
    shaped[i] = emphasised * shape_[static_cast<size_t>(i)];
    before = here;
  }
}

std::vector<float> FilterBank::Compute(std::span<const float> samples) const {
  const int64_t frames = Frames(static_cast<int64_t>(samples.size()));
  const auto points = static_cast<size_t>(padded_ / 2);
  std::vector<float> features;
  features.reserve(static_cast<size_t>(frames * kFilterBanks));
  std::vector<float> scaled(samples.begin(), samples.end());
  for (float& sample : scaled) sample *= kScale;
  std::vector<double> shaped(static_cast<size_t>(padded_)), power(points);
  Complexes z(points);
  for (int64_t frame = 0; frame < frames; ++frame) {
    Shape(scaled.data() + frame * shift_, shaped.data());
    for (size_t k = 0; k < points; ++k) {
      z.re[k] = shaped[2 * k];
      z.im[k] = shaped[2 * k + 1];
    }
    Transform(z, cosine_, sine_, static_cast<size_t>(padded_));
    Power(z, cosine_, sine_, power.data());
    for (const Triangle& triangle : triangles_) {
      double energy = 0;
      for (size_t k = 0; k < triangle.weights.size(); ++k) energy += triangle.weights[k] * power[triangle.first + k];
      features.push_back(static_cast<float>(std::log(std::max(energy, kFloor))));
    }
  }
  return features;
}

void NormaliseUtterance(std::span<float> features) {
  FeatureStatistics statistics;
  statistics.Add(features);
  NormaliseBy(statistics.Mean(), statistics.Deviation(), features);
}

void FeatureStatistics::Add(std::span<const float> features) {
  for (size_t i = 0; i < features.size(); i += kFilterBanks) {
    for (size_t bin = 0; bin < kFilterBanks; ++bin) {
      const double value = features[i + bin];
      sums_[bin] += value;
      squares_[bin] += value * value;
    }
  }
  frames_ += features.size() / kFilterBanks;
}

std::vector<double> FeatureStatistics::Mean() const {
  std::vector<double> mean = sums_;
  for (double& value : mean) value /= static_cast<double>(frames_);
  return mean;
}

std::vector<double> FeatureStatistics::Deviation() const {
  const std::vector<double> mean = Mean();
  std::vector<double> deviation;
  for (size_t bin = 0; bin < kFilterBanks; ++bin) {
    const double variance = squares_[bin] / static_cast<double>(frames_) - mean[bin] * mean[bin];
    deviation.push_back(std::sqrt(std::max(variance, kLeastVariance)));
  }
  return deviation;
}

void NormaliseBy(std::span<const double> mean, std::span<const double> deviation, std::span<float> features) {
  for (size_t i = 0; i < features.size(); ++i) {
    const size_t bin = i % kFilterBanks;
    features[i] = static_cast<float>((features[i] - mean[bin]) / deviation[bin]);
  }
}

}  // namespace strata::data
