// strata-data features: what a speech model is fed of one sound file.
#include <bit>
#include <iostream>
#include <memory>
#include <string>

#include "model/data/file.h"
#include "worker/data/audio.h"
#include "worker/data/commands.h"
#include "worker/data/fbank.h"
#include "worker/data/filter_bank_program.h"

namespace strata::data {
namespace {

static_assert(std::endian::native == std::endian::little, "the file says that its numbers are little-endian");

struct FeaturesOptions {
  std::filesystem::path file, output;
  std::string cmvn;
  int64_t max_frames = kLongestClip;
};

// NumPy's format 1.0: magic, version, length of the description, the description padded to 64 bytes, the numbers.
std::string NumpyBytes(const std::vector<float>& features) {
  std::string description = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                            std::to_string(features.size() / kFilterBanks) + ", " + std::to_string(kFilterBanks) +
                            "), }";
  constexpr size_t kBefore = 10, kAlignment = 64;
  description.append(kAlignment - 1 - (kBefore + description.size()) % kAlignment, ' ').append("\n");
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(description.size() & 0xff);
  bytes += static_cast<char>(description.size() >> 8);
  bytes += description;
  return bytes.append(reinterpret_cast<const char*>(features.data()), features.size() * sizeof(float));
}

void WriteFeatures(const FeaturesOptions& options) {
  const Audio audio = ReadAudio(options.file, options.max_frames);
  std::vector<float> features = TorchaudioFilterBanks(audio.rate, audio.samples);
  if (options.cmvn == "utterance") NormaliseUtterance(features);
  model::WriteFileAtomically(options.output, NumpyBytes(features));
  std::cout << options.output.string() << ": " << model::Grouped(features.size() / kFilterBanks) << " frames of "
            << kFilterBanks << " filter banks, " << model::Grouped(static_cast<uint64_t>(audio.rate))
            << " samples a second, cmvn " << options.cmvn << "\n";
}

}  // namespace

void AddFeatures(CLI::App& program) {
  auto options = std::make_shared<FeaturesOptions>();
  CLI::App* command =
      program.add_subcommand("features", "Write what a speech model is fed of one sound file, as a NumPy array");
  command->add_option("file", options->file, "FLAC, WAV or OGG; one channel")->required();
  command
      ->add_option("--cmvn", options->cmvn,
                   "none: the filter banks themselves; utterance: each bin with mean 0 and variance 1 over the clip")
      ->required()
      ->check(CLI::IsMember({"none", "utterance"}));
  command->add_option("--output", options->output, "File to write (.npy): float32, frames x 80")->required();
  command->add_option("--max-frames", options->max_frames, "Refuse a longer clip, in frames of 10 ms")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kLongestClip));
  command->footer("Example:\n  strata-data features clip.flac --cmvn utterance --output clip.npy");
  command->callback([options] { WriteFeatures(*options); });
}

}  // namespace strata::data
