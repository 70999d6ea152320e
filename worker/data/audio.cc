#include "worker/data/audio.h"

#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include "model/data/file.h"
#include "worker/data/fbank.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;
using model::Grouped;
using File = std::unique_ptr<SNDFILE, int (*)(SNDFILE*)>;

constexpr size_t kBlock = 1 << 16;

File Open(const fs::path& path, SF_INFO* info) {
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  if (error) throw DataError("Cannot open audio " + path.string() + ": " + error.message() + ". Check the path.");
  if (bytes == 0)
    throw DataError(path.string() + " is empty: it has 0 bytes. Record it again, or take it out of the list.");
  File file(sf_open(path.c_str(), SFM_READ, info), &sf_close);
  if (!file) {
    throw DataError("Cannot read " + path.string() + " as audio: " + sf_strerror(nullptr) +
                    " Give a FLAC, WAV or OGG file.");
  }
  return file;
}

bool HasEightBits(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_DPCM_8:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
      return true;
    default:
      return false;
  }
}

void CheckFormat(const fs::path& path, const SF_INFO& info) {
  if (info.channels != 1) {
    throw DataError(path.string() + " has " + std::to_string(info.channels) +
                    " channels; speech is one. Mix it down first (for instance: sox in.wav -c 1 out.wav).");
  }
  if (HasEightBits(info.format)) {
    throw DataError(
        path.string() +
        " has 8 bits a sample; speech features need 16 or more. Use the original recording (converting these 8 "
        "bits to 16 keeps their noise).");
  }
  if (info.samplerate < kLowestRate || info.samplerate > kHighestRate) {
    throw DataError(path.string() + " has " + Grouped(static_cast<uint64_t>(std::max(info.samplerate, 0))) +
                    " samples a second; from " + Grouped(kLowestRate) + " to " + Grouped(kHighestRate) +
                    " can be used. Record it at 16,000.");
  }
  if (info.frames == 0) {
    throw DataError(path.string() + " has no samples: its length is 0. Record it again, or take it out of the list.");
  }
}

// libsndfile takes a WAV that was cut off for a shorter one, and says so in its log only. A program that wrote into a
// pipe states lengths near 2^31 or 2^32: that is no damage.
void CheckWhole(const fs::path& path, SNDFILE* file) {
  constexpr uint64_t kPiped = 0x7fff'0000;
  std::array<char, 4096> log{};
  sf_command(file, SFC_GET_LOG_INFO, log.data(), log.size() - 1);
  const char* data = std::strstr(log.data(), "\ndata : ");
  unsigned long stated = 0, there = 0;
  if (data == nullptr || std::sscanf(data, " data : %lu (should be %lu)", &stated, &there) != 2) return;
  if (stated <= there || stated >= kPiped) return;
  throw DataError(path.string() + " is cut off: its header states " + Grouped(stated) + " bytes of sound, there are " +
                  Grouped(there) + ". Fetch it again, or take it out of the list.");
}

std::string Seconds(int64_t samples, int rate) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f s", static_cast<double>(samples) / rate);
  return text.data();
}

void CheckLength(const fs::path& path, int64_t samples, int rate, int64_t max_frames) {
  const FilterBank bank(rate);
  const int64_t frames = bank.Frames(samples);
  const std::string is = path.string() + " is " + Seconds(samples, rate) + " long (" +
                         Grouped(static_cast<uint64_t>(samples)) + " samples, " +
                         Grouped(static_cast<uint64_t>(frames)) + " frames)";
  if (frames == 0) {
    throw ClipLengthError(is + "; one window of features takes " + Grouped(static_cast<uint64_t>(bank.window())) +
                              " samples. Give a longer clip, or take it out of the list.",
                          false);
  }
  if (frames <= std::min(max_frames, kLongestClip)) return;
  const bool absolute = max_frames >= kLongestClip;
  throw ClipLengthError(is + "; the limit is " + Grouped(static_cast<uint64_t>(std::min(max_frames, kLongestClip))) +
                            " frames. " +
                            (absolute ? "Cut it into utterances." : "Cut it into utterances, or raise strata-data's --max-frames."),
                        true);
}

}  // namespace

Audio ReadAudio(const fs::path& path, int64_t max_frames) {
  SF_INFO info{};
  const File file = Open(path, &info);
  CheckFormat(path, info);
  CheckWhole(path, file.get());
  const bool length_known = info.frames < SF_COUNT_MAX;  // a stream's header may leave it open
  if (length_known) CheckLength(path, info.frames, info.samplerate, max_frames);
  Audio audio{.rate = info.samplerate, .samples = {}};
  const int64_t most = kLongestClip * info.samplerate / 100 + info.samplerate;
  for (;;) {
    const size_t before = audio.samples.size();
    audio.samples.resize(before + kBlock);
    const sf_count_t got = sf_read_float(file.get(), audio.samples.data() + before, kBlock);
    audio.samples.resize(before + static_cast<size_t>(std::max<sf_count_t>(got, 0)));
    if (got <= 0 || static_cast<int64_t>(audio.samples.size()) > most) break;
  }
  const auto samples = static_cast<int64_t>(audio.samples.size());
  if (sf_error(file.get()) != SF_ERR_NO_ERROR || (length_known && samples < info.frames)) {
    throw DataError(path.string() + " is damaged: " + Grouped(static_cast<uint64_t>(samples)) + " of " +
                    Grouped(static_cast<uint64_t>(info.frames)) + " samples can be decoded (" +
                    sf_strerror(file.get()) + ") Fetch it again, or take it out of the list.");
  }
  if (samples == 0) throw DataError(path.string() + " has no samples. Record it again, or take it out of the list.");
  CheckLength(path, samples, audio.rate, max_frames);
  if (!std::all_of(audio.samples.begin(), audio.samples.end(), [](float s) { return std::isfinite(s); })) {
    throw DataError(path.string() + " holds samples that are no numbers (NaN or infinity). Export it again.");
  }
  return audio;
}

bool LooksLikeAudio(const fs::path& path) {
  std::array<char, 4> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  const std::string_view magic(start.data(), start.size());
  return magic == "fLaC" || magic == "RIFF" || magic == "OggS";
}

}  // namespace strata::data
