// `strata-data features` against the real torchaudio, on real speech and on made sounds, at every usual rate.
#include <gtest/gtest.h>
#include <sndfile.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "model/data/file.h"
#include "worker/data/audio.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;

constexpr char kProgram[] = STRATA_BINARY_DIR "/worker/strata-data";
constexpr char kTrainer[] = STRATA_BINARY_DIR "/worker/strata-trainer";
constexpr int kRates[] = {8'000, 16'000, 22'050, 44'100, 48'000};

// The packages' folder of a Python environment; empty, with a reason, where the packages cannot be reached. torch with
// all that it wants is the environment of tests/bench; torchaudio is a small one beside it.
std::string Packages(const std::vector<std::string>& environment, std::string* python, std::string* why_not) {
  std::vector<std::string> command = {STRATA_SOURCE_DIR "/tests/python_environment"};
  command.insert(command.end(), environment.begin(), environment.end());
  const ProcessResult result = RunProcess(command);
  *why_not = result.errors;
  if (result.status != 0) return "";
  const fs::path folder = result.output.substr(0, result.output.find('\n'));
  *python = (folder / "bin/python").string();
  for (const auto& entry : fs::directory_iterator(folder / "lib")) {
    if (fs::is_directory(entry.path() / "site-packages")) return (entry.path() / "site-packages").string();
  }
  return "";
}

class FbankAgainstTorchaudioTest : public ::testing::Test {
 protected:
  FbankAgainstTorchaudioTest() {
    std::string name = (fs::temp_directory_path() / "strata-fbank-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FbankAgainstTorchaudioTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, int rate, const std::vector<float>& samples) {
    SF_INFO info{.frames = 0, .samplerate = rate, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_16};
    const std::string path = (folder_ / (name + "-" + std::to_string(rate))).string();
    SNDFILE* file = sf_open((path + ".wav").c_str(), SFM_WRITE, &info);
    ASSERT_NE(file, nullptr);
    sf_write_float(file, samples.data(), static_cast<sf_count_t>(samples.size()));
    sf_close(file);
    for (const std::string cmvn : {"none", "utterance"}) {
      if (cmvn == "utterance" && rate != kRates[0]) continue;
      const ProcessResult result =
          RunProcess({kProgram, "features", path + ".wav", "--cmvn", cmvn, "--output", path + "." + cmvn + ".npy"});
      ASSERT_EQ(result.status, 0) << result.errors;
    }
  }

  void ExpectEqual(size_t files) {
    std::string python, unused, why_not;
    const std::string torchaudio = Packages({"torchaudio", "torchaudio==2.11.0", "--no-deps"}, &unused, &why_not);
    if (torchaudio.empty()) GTEST_SKIP() << why_not;
    const std::string torch = Packages({"torch-peer", "torch==2.11.0", "numpy==2.3.5"}, &python, &why_not);
    if (torch.empty()) GTEST_SKIP() << why_not;
    if (!fs::exists(kTrainer)) GTEST_SKIP() << "no strata-trainer: torchaudio's rounding is LibTorch's";
    const fs::path out = folder_ / "out.json";
    const ProcessResult result =
        RunProcess({"env", "PYTHONPATH=" + torchaudio, python,
                    STRATA_SOURCE_DIR "/tests/metrics/fbank_against_torchaudio.py", folder_.string(), out.string()});
    ASSERT_EQ(result.status, 0) << result.errors;
    const auto json = nlohmann::json::parse(model::ReadFile(out));
    SCOPED_TRACE(json.dump());
    RecordProperty("result", json.dump());
    EXPECT_EQ(json["files"], files);
    const double values = json["values"];
    EXPECT_GT(values, 0);
    EXPECT_LE(json["over_1e-3"].get<double>(), 1e-3 * values);
    EXPECT_LE(json["largest"].get<double>(), 5e-3);
    EXPECT_GT(json["normalised"], 0);
    EXPECT_LE(json["largest_cmvn"].get<double>(), 1e-4);
  }

  fs::path folder_;
};

TEST_F(FbankAgainstTorchaudioTest, OnMadeSounds) {
  std::mt19937 random(1);
  const auto uniform = [&] { return static_cast<float>(random()) / 2147483648.0f - 1.0f; };
  size_t files = 0;
  for (const int rate : kRates) {
    std::vector<float> noise, voice, swell, quiet, silence, offset, bursts, tone, chirp, dull;
    for (int i = 0; i < rate; ++i) {
      const float t = static_cast<float>(i) / static_cast<float>(rate);
      float sum = 0;
      for (int k = 1; k <= 20; ++k)
        sum += std::sin(6.2831853f * 140 * static_cast<float>(k) * t) / static_cast<float>(k);
      noise.push_back(uniform());
      voice.push_back(0.2f * sum + 0.002f * noise.back());
      swell.push_back(noise.back() * std::exp(-8 * t));
      quiet.push_back(static_cast<float>(random() % 3) / 32768 - 1.0f / 32768);
      silence.push_back(0);
      offset.push_back(0.3f);
      bursts.push_back(i % (rate / 20) == 0 ? 0.9f : 0);
      tone.push_back(0.9f * std::sin(6.2831853f * 3'000 * t));
      chirp.push_back(0.5f * std::sin(6.2831853f * (100 + 500 * t) * t));
      dull.push_back(i == 0 ? 0 : 0.95f * dull.back() + 0.04f * noise.back());
    }
    const std::vector<std::pair<std::string, const std::vector<float>&>> sounds = {
        {"noise", noise},   {"voice", voice},   {"swell", swell}, {"quiet", quiet}, {"silence", silence},
        {"offset", offset}, {"bursts", bursts}, {"tone", tone},   {"chirp", chirp}, {"dull", dull}};
    for (const auto& [name, samples] : sounds) {
      Write(name, rate, samples);
      ++files;
    }
  }
  ExpectEqual(files);
}

// Recorded prompts, as they are and as if they had been recorded at each other rate.
TEST_F(FbankAgainstTorchaudioTest, OnRealSpeech) {
  const fs::path speech = fs::path(STRATA_BINARY_DIR) / "tests" / "debian-speech";
  if (!fs::exists(speech)) {
    const ProcessResult fetched = RunProcess({kProgram, "fetch", "debian-speech", "--output", speech.string()});
    if (fetched.status != 0) GTEST_SKIP() << "no real speech: " << fetched.errors;
  }
  std::vector<fs::path> clips;
  for (const auto& entry : fs::recursive_directory_iterator(speech / "audio")) {
    if (entry.path().extension() == ".wav") clips.push_back(entry.path());
  }
  std::sort(clips.begin(), clips.end());
  ASSERT_GT(clips.size(), 500u);
  size_t files = 0;
  for (size_t i = 0; i < clips.size(); i += 11, ++files) {
    const int rate = kRates[files % std::size(kRates)];
    Write(clips[i].stem().string() + std::to_string(i), rate, ReadAudio(clips[i]).samples);
  }
  ExpectEqual(files);
}

}  // namespace
}  // namespace strata::data
