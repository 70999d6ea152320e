// Log-mel filter banks of audio, those that Kaldi makes and torchaudio's compliance.kaldi.fbank: what a speech model is
// fed.
//
// Windows of 25 ms every 10 ms that lie wholly in the audio; mean removed, pre-emphasis 0.97, Povey window, power
// spectrum over the next power of two, 80 triangles from 20 Hz to half the sampling rate, natural logarithm; no dither.
// Nothing is resampled: the triangles lie where the audio's own rate puts them. Samples are taken x 32768, as 16-bit
// audio counts them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::data {

inline constexpr int kFilterBanks = 80;
inline constexpr int kLowestRate = 1'000, kHighestRate = 768'000;  // Hz, of the audio that FilterBank takes

// What one sampling rate needs. Immutable, safe to use from many threads.
class FilterBank {
 public:
  explicit FilterBank(int rate);  // Hz; kLowestRate to kHighestRate

  int rate() const { return rate_; }          // Hz
  int64_t window() const { return window_; }  // samples
  int64_t shift() const { return shift_; }    // samples
  int64_t padded() const { return padded_; }  // samples: the window up to a power of two

  // Frames of so many samples; 0 where they are fewer than a window.
  int64_t Frames(int64_t samples) const { return samples < window_ ? 0 : 1 + (samples - window_) / shift_; }

  // Frames(samples.size()) x kFilterBanks numbers, frame by frame. Samples are in [-1, 1] (louder is taken as it is).
  // Transformed in double precision; TorchaudioFilterBanks (filter_bank_program.h) rounds as torchaudio does.
  std::vector<float> Compute(std::span<const float> samples) const;

 private:
  struct Triangle {
    size_t first;                 // of the spectrum
    std::vector<double> weights;  // may be empty: between two points of the spectrum
  };

  void MakeWindow();
  void MakeTriangles(int rate);
  // One window, of samples x 32768, as the Fourier transform takes it.
  void Shape(const float* samples, double* shaped) const;

  int rate_;
  int64_t window_, shift_, padded_;
  std::vector<float> shape_;           // window_ values
  std::vector<double> cosine_, sine_;  // of 2 pi k / padded_, k < padded_ / 2
  std::vector<Triangle> triangles_;
};

// Subtracts each bin's mean over the frames and divides by its standard deviation over them (of the population; at
// least 1e-5, so that a bin which does not change becomes 0). `features`: frames x kFilterBanks, at least one frame.
void NormaliseUtterance(std::span<float> features);

// Mean and standard deviation of each bin over many clips.
class FeatureStatistics {
 public:
  void Add(std::span<const float> features);
  uint64_t frames() const { return frames_; }
  std::vector<double> Mean() const;
  std::vector<double> Deviation() const;  // of the population, at least 1e-5

 private:
  uint64_t frames_ = 0;
  std::vector<double> sums_ = std::vector<double>(kFilterBanks), squares_ = std::vector<double>(kFilterBanks);
};

// Subtracts `mean` and divides by `deviation`, bin by bin.
void NormaliseBy(std::span<const double> mean, std::span<const double> deviation, std::span<float> features);

}  // namespace strata::data
