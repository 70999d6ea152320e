#include "worker/data/audio.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sndfile.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace strata::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class AudioTest : public ::testing::Test {
 protected:
  AudioTest() {
    std::string name = (fs::temp_directory_path() / "strata-audio-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~AudioTest() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& name, int format, const std::vector<float>& samples, int rate = 16'000,
                 int channels = 1) const {
    SF_INFO info{.frames = 0, .samplerate = rate, .channels = channels, .format = format};
    SNDFILE* file = sf_open((folder_ / name).c_str(), SFM_WRITE, &info);
    EXPECT_NE(file, nullptr) << sf_strerror(nullptr);
    sf_write_float(file, samples.data(), static_cast<sf_count_t>(samples.size()));
    sf_close(file);
    return folder_ / name;
  }
  static std::string ErrorOf(const fs::path& path, int64_t max_frames = kLongestClip) {
    try {
      ReadAudio(path, max_frames);
    } catch (const model::DataError& e) {
      EXPECT_THAT(e.what(), HasSubstr(path.filename().string()));
      return e.what();
    }
    return "no error";
  }

  fs::path folder_;
};

std::vector<float> Tone(size_t samples) {
  std::vector<float> tone;
  for (size_t i = 0; i < samples; ++i) tone.push_back(0.25f * std::sin(0.1f * static_cast<float>(i)));
  return tone;
}

TEST_F(AudioTest, ReadsFlacWavAndOgg) {
  const std::vector<float> tone = Tone(8'000);
  const std::vector<std::pair<std::string, int>> formats = {
      {"a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16}, {"b.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24},
      {"c.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16},   {"d.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT},
      {"e.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_24}, {"f.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS}};
  for (const auto& [name, format] : formats) {
    const fs::path path = Write(name, format, tone, 22'050);
    const Audio audio = ReadAudio(path);
    EXPECT_EQ(audio.rate, 22'050) << name;
    ASSERT_EQ(audio.samples.size(), tone.size()) << name;
    const float tolerance = name == "f.ogg" ? 0.1f : 1.0f / 32'768;
    for (size_t i = 0; i < tone.size(); ++i) ASSERT_NEAR(audio.samples[i], tone[i], tolerance) << name << " at " << i;
    EXPECT_TRUE(LooksLikeAudio(path)) << name;
  }
  std::ofstream(folder_ / "list.tsv") << "a.flac\ta word\n";
  EXPECT_FALSE(LooksLikeAudio(folder_ / "list.tsv"));
  EXPECT_FALSE(LooksLikeAudio(folder_ / "none"));
}

TEST_F(AudioTest, RefusesWhatIsNoSpeech) {
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  std::ofstream(folder_ / "empty.wav").flush();
  std::ofstream(folder_ / "text.wav") << "this is text, not sound";
  const std::vector<std::pair<fs::path, std::string>> cases = {
      {folder_ / "none.wav", "No such file"},
      {folder_ / "empty.wav", "is empty: it has 0 bytes"},
      {folder_ / "text.wav", "Give a FLAC, WAV or OGG file"},
      {Write("zero.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, {}), "has no samples: its length is 0"},
      {Write("stereo.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, Tone(4'000), 16'000, 2), "has 2 channels; speech is one"},
      {Write("six.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, Tone(6'000), 16'000, 6), "has 6 channels"},
      {Write("eight.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, Tone(4'000)), "has 8 bits a sample"},
      {Write("eight.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_S8, Tone(4'000)), "has 8 bits a sample"},
      {Write("ulaw.wav", SF_FORMAT_WAV | SF_FORMAT_ULAW, Tone(4'000)), "has 8 bits a sample"},
      {Write("slow.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, Tone(4'000), 500), "has 500 samples a second"},
      {Write("nan.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, std::vector<float>(4'000, nan)), "are no numbers"},
      {Write("short.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, Tone(399)), "399 samples, 0 frames); one window"},
  };
  for (const auto& [path, why] : cases) EXPECT_THAT(ErrorOf(path), HasSubstr(why)) << path;
}

TEST_F(AudioTest, RefusesClipsOverTheLimit) {
  const fs::path path = Write("long.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, Tone(400 + 160 * 100), 16'000);
  EXPECT_EQ(ErrorOf(path, 101), "no error");
  EXPECT_THAT(ErrorOf(path, 100),
              AllOf(HasSubstr("is 1.02 s long (16,400 samples, 101 frames); the limit is 100 frames"),
                    HasSubstr("raise strata-data's --max-frames")));
  const fs::path hours = Write("hours.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, std::vector<float>(1'000 * 301), 1'000);
  EXPECT_THAT(ErrorOf(hours), AllOf(HasSubstr("the limit is 30,000 frames"), HasSubstr("Cut it into utterances.")));
}

TEST_F(AudioTest, NoticesAFileThatIsCutOff) {
  const fs::path path = Write("cut.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, Tone(160'000));
  fs::resize_file(path, fs::file_size(path) / 2);
  EXPECT_THAT(ErrorOf(path), HasSubstr("is damaged"));
  const fs::path wav = Write("cut.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, Tone(8'000));
  fs::resize_file(wav, 9'044);
  EXPECT_THAT(ErrorOf(wav), HasSubstr("is cut off: its header states 16,000 bytes of sound, there are 9,000"));
  const fs::path ogg = Write("cut.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, Tone(160'000));
  fs::resize_file(ogg, fs::file_size(ogg) / 2);
  EXPECT_NE(ErrorOf(ogg), "no error");
}

TEST_F(AudioTest, TakesAWavThatWasWrittenIntoAPipe) {
  const fs::path path = Write("pipe.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, Tone(8'000));
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(40);  // the length of the sound
  file.write("\xff\xff\xff\xff", 4);
  file.close();
  EXPECT_EQ(ReadAudio(path).samples.size(), 8'000u);
}

}  // namespace
}  // namespace strata::data
