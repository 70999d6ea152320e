#include "worker/data/fbank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "model/data/file.h"

namespace strata::data {
namespace {

using ::testing::Each;
using ::testing::FloatNear;

constexpr float kSilence = -15.942385f;  // the logarithm of single precision's epsilon

struct Case {
  int rate;
  std::vector<float> samples, features;
};

// What torchaudio made; tests/metrics/fbank_golden.py says how.
std::vector<Case> GoldenCases() {
  const std::string bytes = model::ReadFile(STRATA_SOURCE_DIR "/tests/metrics/fbank_golden.bin");
  std::vector<Case> cases;
  size_t at = 0;
  const auto take = [&](auto* to, size_t count) {
    std::memcpy(to, bytes.data() + at, count * sizeof(*to));
    at += count * sizeof(*to);
  };
  while (at < bytes.size()) {
    int32_t header[3];
    take(header, 3);
    Case c{.rate = header[0], .samples = {}, .features = std::vector<float>(size_t{80} * header[2])};
    std::vector<int16_t> samples(header[1]);
    take(samples.data(), samples.size());
    for (const int16_t sample : samples) c.samples.push_back(static_cast<float>(sample) / 32768);
    take(c.features.data(), c.features.size());
    cases.push_back(std::move(c));
  }
  return cases;
}

TEST(FilterBankTest, IsTorchaudiosAtEveryRate) {
  size_t values = 0, over = 0;
  for (const Case& c : GoldenCases()) {
    SCOPED_TRACE(std::to_string(c.rate) + " Hz, " + std::to_string(c.samples.size()) + " samples");
    const std::vector<float> features = FilterBank(c.rate).Compute(c.samples);
    ASSERT_EQ(features.size(), c.features.size());
    for (size_t i = 0; i < features.size(); ++i) {
      const float difference = std::abs(features[i] - c.features[i]);
      ASSERT_LE(difference, 5e-3f) << "frame " << i / 80 << ", bin " << i % 80;
      over += difference > 1e-3f ? 1 : 0;
    }
    values += features.size();
  }
  EXPECT_GT(values, 10'000u);
  EXPECT_LE(static_cast<double>(over), 0.001 * static_cast<double>(values));
}

TEST(FilterBankTest, TakesWindowsThatLieWhollyInTheAudio) {
  for (const auto& [rate, window, shift] : std::vector<std::array<int, 3>>{
           {8'000, 200, 80}, {11'025, 275, 110}, {16'000, 400, 160}, {22'050, 551, 220}, {44'100, 1'102, 441}}) {
    const FilterBank bank(rate);
    EXPECT_EQ(bank.window(), window);
    EXPECT_EQ(bank.shift(), shift);
    EXPECT_EQ(bank.Frames(window - 1), 0);
    EXPECT_EQ(bank.Frames(window), 1);
    EXPECT_EQ(bank.Frames(window + shift - 1), 1);
    EXPECT_EQ(bank.Frames(window + shift), 2);
    EXPECT_EQ(bank.Compute(std::vector<float>(static_cast<size_t>(window + shift))).size(), 160u);
    EXPECT_TRUE(bank.Compute(std::vector<float>(static_cast<size_t>(window - 1))).empty());
  }
}

TEST(FilterBankTest, HearsNothingInSilenceAndInAnOffset) {
  for (const float level : {0.0f, 0.25f, -1.0f}) {
    EXPECT_THAT(FilterBank(16'000).Compute(std::vector<float>(4'000, level)), Each(FloatNear(kSilence, 1e-5f)));
  }
}

TEST(FilterBankTest, FindsATone) {
  std::vector<float> tone;
  for (int i = 0; i < 4'000; ++i)
    tone.push_back(0.5f * std::sin(2 * 3.14159265f * 1'000 * static_cast<float>(i) / 16'000));
  const std::vector<float> features = FilterBank(16'000).Compute(tone);
  // 1,000 Hz is 1,000 mel; triangles are 34.8 mel apart from 31.7 on.
  EXPECT_EQ(std::max_element(features.begin(), features.begin() + 80) - features.begin(), 27);
}

TEST(NormaliseTest, GivesEachBinMeanZeroAndVarianceOne) {
  std::vector<float> features;
  for (int frame = 0; frame < 50; ++frame) {
    for (int bin = 0; bin < 80; ++bin)
      features.push_back(bin == 3 ? -15.9f : static_cast<float>(frame * frame % 17 + bin));
  }
  NormaliseUtterance(features);
  FeatureStatistics statistics;
  statistics.Add(features);
  for (int bin = 0; bin < 80; ++bin) {
    EXPECT_NEAR(statistics.Mean()[bin], 0, 1e-6) << bin;
    EXPECT_NEAR(statistics.Deviation()[bin], bin == 3 ? 1e-5 : 1, 1e-6) << bin;
  }
  EXPECT_NEAR(features[3], 0, 1e-5);  // what never changes says nothing
}

TEST(NormaliseTest, OfOneFrameIsZero) {
  std::vector<float> features(80, 7.25f);
  NormaliseUtterance(features);
  EXPECT_THAT(features, Each(FloatNear(0, 1e-6f)));
}

TEST(NormaliseTest, ByStatisticsOfManyClips) {
  FeatureStatistics statistics;
  statistics.Add(std::vector<float>(80, 1));
  statistics.Add(std::vector<float>(160, 4));
  EXPECT_EQ(statistics.frames(), 3u);
  std::vector<float> features(80, 5);
  NormaliseBy(statistics.Mean(), statistics.Deviation(), features);
  EXPECT_THAT(features, Each(FloatNear((5 - 3) / std::sqrt(2.0f), 1e-6f)));
}

}  // namespace
}  // namespace strata::data
