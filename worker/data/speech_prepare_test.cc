#include "worker/data/speech_prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sndfile.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "model/data/feature_shard.h"
#include "model/data/file.h"
#include "worker/data/fbank.h"
#include "worker/data/process.h"
#include "worker/data/speech_debian.h"
#include "worker/data/speech_list.h"
#include "worker/data/speech_writer.h"

namespace strata::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::StartsWith;
namespace fs = std::filesystem;

constexpr char kProgram[] = STRATA_BINARY_DIR "/worker/strata-data";

// A clip of noise, so many frames long at 8 kHz.
void WriteClip(const fs::path& path, int frames, int channels = 1) {
  fs::create_directories(path.parent_path());
  const int format = path.extension() == ".flac" ? SF_FORMAT_FLAC : SF_FORMAT_WAV;
  SF_INFO info{.frames = 0, .samplerate = 8'000, .channels = channels, .format = format | SF_FORMAT_PCM_16};
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  ASSERT_NE(file, nullptr) << sf_strerror(nullptr);
  std::mt19937 random(static_cast<unsigned>(frames));
  std::vector<int16_t> samples(static_cast<size_t>((120 + 80 * frames) * channels));
  for (int16_t& sample : samples) sample = static_cast<int16_t>(random() % 2'000);
  sf_write_short(file, samples.data(), static_cast<sf_count_t>(samples.size()));
  sf_close(file);
}

class SpeechTest : public ::testing::Test {
 protected:
  SpeechTest() {
    std::string name = (fs::temp_directory_path() / "strata-speech-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::string train;
    for (int i = 0; i < 12; ++i) {
      const std::string clip = "train/" + std::to_string(i) + ".wav";
      WriteClip(folder_ / clip, 20 + i);
      train += clip + "\tSAY NUMBER " + std::to_string(i * 7) + "\n";
    }
    WriteClip(folder_ / "valid/a.flac", 15);
    WriteClip(folder_ / "valid/b.wav", 60);
    Write("train.tsv", train);
    Write("valid.tsv", "valid/a.flac\tSay Number 7\nvalid/b.wav\tÄ number\n");
    options_.name = "numbers";
    options_.splits = {{"train", folder_ / "train.tsv"}, {"valid", folder_ / "valid.tsv"}};
    options_.output = folder_ / "out";
    options_.vocabulary = {.kind = "char", .size = 0};
  }
  ~SpeechTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string ErrorOf() const {
    try {
      PrepareSpeech(options_);
    } catch (const model::DataError& e) {
      EXPECT_FALSE(fs::exists(options_.output));
      return e.what();
    }
    return "no error";
  }

  fs::path folder_;
  PrepareSpeechOptions options_;
};

TEST_F(SpeechTest, MakesADatasetThatReadsBack) {
  PrepareSpeech(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  model::VerifyFiles(options_.output, m);
  EXPECT_EQ(m.task, "speech");
  EXPECT_EQ(m.vocabulary_kind, "char");
  EXPECT_EQ(m.features.bins, 80);
  EXPECT_EQ(m.features.cmvn, "utterance");
  const model::DatasetSplit& valid = m.Split("valid");
  EXPECT_EQ(valid.frames, 75u);
  EXPECT_EQ(model::ReadFile(options_.output / valid.target_text), "say number 7\nä number\n");
  EXPECT_EQ(model::ReadFile(options_.output / valid.source_text), "a.flac\nb.wav\n");
  EXPECT_EQ(m.Split("train").target_text, "");
  const auto shards = model::OpenSplit(options_.output, m, "valid");
  EXPECT_EQ(model::Detokenise(shards.at(0).pieces(), shards.at(0).Sentence(0, 0)), "say number 7");
  const auto features = model::FeatureShard::Open(options_.output / valid.features.at(0));
  ASSERT_EQ(features.clips(), 2u);
  EXPECT_EQ(features.frames(1), 60);
  const Audio audio = ReadAudio(folder_ / "valid/b.wav");
  std::vector<float> expected = FilterBank(8'000).Compute(audio.samples);
  NormaliseUtterance(expected);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), features.Clip(1).begin(), features.Clip(1).end()));
  const auto statistics = nlohmann::json::parse(m.statistics_json);
  EXPECT_EQ(statistics["valid"]["also_in_train"], 1);
  EXPECT_EQ(statistics["valid"]["target"]["unknown"], 1);  // no ä in train
  EXPECT_EQ(statistics["train"]["rates"]["8000"], 12);
  EXPECT_GT(statistics["unigram_nll"].get<double>(), 1.0);
}

TEST_F(SpeechTest, IsTheSameBytesEachTime) {
  for (const char* cmvn : {"utterance", "global"}) {
    options_.cmvn = cmvn;
    options_.force = true;
    options_.output = folder_ / "out";
    const std::string first = PrepareSpeech(options_).digest;
    options_.output = folder_ / "again";
    EXPECT_EQ(PrepareSpeech(options_).digest, first);
    EXPECT_EQ(model::ReadFile(folder_ / "out/manifest.json"), model::ReadFile(folder_ / "again/manifest.json"));
  }
}

TEST_F(SpeechTest, LeavesLongClipsOutOfTrainOnly) {
  options_.max_frames = 25;
  PrepareSpeech(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  EXPECT_EQ(m.Split("train").sentences, 6u);
  EXPECT_EQ(m.Split("valid").sentences, 2u);
  EXPECT_EQ(nlohmann::json::parse(m.statistics_json)["train"]["dropped"]["too long"], 6);
  options_.force = true;
  options_.max_frames = 10;
  fs::remove_all(options_.output);
  EXPECT_THAT(ErrorOf(), HasSubstr("No clip of train is left of 12 (12 longer than 10 frames"));
}

TEST_F(SpeechTest, NormalisesByTheStatisticsOfTrain) {
  options_.cmvn = "global";
  PrepareSpeech(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  const auto train = model::FeatureShard::Open(options_.output / m.Split("train").features.at(0));
  FeatureStatistics statistics;
  for (uint64_t clip = 0; clip < train.clips(); ++clip) statistics.Add(train.Clip(clip));
  for (int bin = 0; bin < 80; ++bin) EXPECT_NEAR(statistics.Mean()[bin], 0, 1e-5);
  EXPECT_NEAR(statistics.Deviation()[40], 1, 1e-5);

  const EncodeSpeechOptions encode{
      .dataset = options_.output, .input = folder_ / "train/3.wav", .output = folder_ / "encoded"};
  const model::Manifest encoded = EncodeSpeech(encode, m);
  const auto input = model::FeatureShard::Open(encode.output / encoded.Split("input").features.at(0));
  EXPECT_TRUE(std::equal(input.Clip(0).begin(), input.Clip(0).end(), train.Clip(3).begin(), train.Clip(3).end()));
  std::ofstream(options_.output / "cmvn.json", std::ios::app) << " ";
  EXPECT_THROW(EncodeSpeech(encode, m), model::DataError);
}

TEST_F(SpeechTest, ClosesAShardBeforeItIsTooLarge) {
  const SpeechList list = ReadSpeechList(folder_ / "train.tsv", Transcripts::kRequired);
  PrepareSpeech(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  const auto vocabulary = OpenVocabulary("char", model::ReadFile(options_.output / m.vocabulary_file), "it");
  const SpeechForm form{.name = "cut", .frames_per_shard = 64};
  SpeechFigures figures;
  const auto split = WriteSpeechSplit(folder_, *vocabulary, Cmvn("none"), list, form, &figures);
  ASSERT_THAT(split.shards, ElementsAre("cut-00000.shard", "cut-00001.shard", "cut-00002.shard", "cut-00003.shard",
                                        "cut-00004.shard", "cut-00005.shard"));
  uint64_t clips = 0, frames = 0;
  for (size_t i = 0; i < split.shards.size(); ++i) {
    const auto shard = model::Shard::Open(folder_ / split.shards[i]);
    const auto features = model::FeatureShard::Open(folder_ / split.features[i]);
    EXPECT_EQ(features.clips(), shard.sentences());
    for (uint64_t clip = 0; clip < features.clips(); ++clip, ++clips) {
      EXPECT_EQ(features.frames(clip), static_cast<int64_t>(20 + clips));
      frames += static_cast<uint64_t>(features.frames(clip));
    }
  }
  EXPECT_EQ(clips, 12u);
  EXPECT_EQ(split.frames, frames);
}

TEST_F(SpeechTest, NamesTheLineAndTheRemedy) {
  WriteClip(folder_ / "stereo.wav", 20, 2);
  WriteClip(folder_ / "short.wav", -1);
  for (const auto& [line, why] :
       std::vector<std::pair<std::string, std::string>>{{"valid/a.flac", "has no transcript"},
                                                        {"valid/a.flac\t ", "has no transcript"},
                                                        {"\tword", "no path"},
                                                        {"valid/a.flac\tword\tmore", "more than two columns"},
                                                        {"none.wav\tword", "there is no file"},
                                                        {"stereo.wav\tword", "has 2 channels"},
                                                        {"short.wav\tword", "one window"},
                                                        {"valid/a.flac\t\xe4", "not valid UTF-8"}}) {
    Write("valid.tsv", "valid/b.wav\tword\n" + line + "\n");
    EXPECT_THAT(ErrorOf(), AllOf(HasSubstr("valid.tsv:2"), HasSubstr(why))) << line;
  }
  Write("valid.tsv", "");
  EXPECT_THAT(ErrorOf(), HasSubstr("lists no clips"));
  options_.splits.erase("valid");
  EXPECT_THAT(ErrorOf(), HasSubstr("Split valid is missing"));
}

TEST_F(SpeechTest, EncodesAUsersFileOrList) {
  PrepareSpeech(options_);
  const model::Manifest of = model::ReadManifest(options_.output);
  EncodeSpeechOptions encode{
      .dataset = options_.output, .input = folder_ / "valid/b.wav", .output = folder_ / "encoded", .force = true};
  EncodeSpeech(encode, of);
  const model::Manifest m = model::ReadManifest(encode.output);
  EXPECT_EQ(m.Split("input").sentences, 1u);
  EXPECT_EQ(m.Split("input").target_tokens, 0u);
  EXPECT_EQ(m.features.cmvn, "utterance");
  EXPECT_EQ(model::ReadFile(encode.output / m.vocabulary_file), model::ReadFile(options_.output / of.vocabulary_file));
  Write("list.tsv", "valid/a.flac\nvalid/b.wav\tSAY\n");
  encode.input = folder_ / "list.tsv";
  EXPECT_EQ(EncodeSpeech(encode, of).Split("input").sentences, 2u);
  EXPECT_EQ(model::ReadFile(encode.output / "text/input.target"), "\nsay\n");
  encode.max_frames = 59;
  EXPECT_THROW(EncodeSpeech(encode, of), model::DataError);
  encode.input = folder_ / "valid/b.wav";
  try {
    EncodeSpeech(encode, of);
    ADD_FAILURE() << "a clip over the limit was taken";
  } catch (const model::DataError& e) {
    EXPECT_THAT(e.what(),
                AllOf(StartsWith((folder_ / "valid/b.wav is ").string()), HasSubstr("the limit is 59 frames")));
  }
  for (const char* name : {"text.wav", "text.FLAC"}) {
    Write(name, "hello world\n");
    encode.input = folder_ / name;
    try {
      EncodeSpeech(encode, of);
      ADD_FAILURE() << "text was taken for a sound";
    } catch (const model::DataError& e) {
      EXPECT_THAT(e.what(),
                  AllOf(HasSubstr(std::string(name) + " as audio"), HasSubstr("Give a FLAC, WAV or OGG file")));
    }
  }
  encode.input = folder_ / "valid/b.wav";
  model::Manifest narrow = of;
  narrow.features.bins = 40;
  try {
    EncodeSpeech(encode, narrow);
    ADD_FAILURE() << "features of 40 filter banks were promised";
  } catch (const model::DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("features.bins is 40, but sounds are encoded with 80 filter banks"));
  }
  model::Manifest text = of;
  text.task = "translation";
  EXPECT_THROW(EncodeSpeech(encode, text), model::DataError);
}

TEST(LowerCaseTest, MapsEveryScript) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                                 {"IT'S A", "it's a"},
                                                                                 {"ÄÖÜẞ ŁÓDŹ", "äöüß łódź"},
                                                                                 {"ПРИВЕТ ΑΒΓ", "привет αβγ"},
                                                                                 {"語 👍 ¿", "語 👍 ¿"},
                                                                                 {"\U00010400", "\U00010428"}}) {
    EXPECT_EQ(LowerCase(from), to);
  }
}

TEST(SpokenWordsTest, KeepsWhatIsSaid) {
  for (const auto& [prompt, words] : std::vector<std::pair<std::string, std::string>>{
           {"Your party's extension, please.", "your party's extension please"},
           {"press 1 or 10", ""},
           {"Press 1, 2 or 9.", "press one two or nine"},
           {"3D audio", ""},
           {"a 28.8 modem", ""},
           {"[beep]", ""},
           {"(10 seconds of silence)", ""},
           {"<beep ascending>", ""},
           {"dot [.]", "dot"},
           {"... for ...", "for"},
           {"Call-Forward", "call forward"}}) {
    EXPECT_EQ(SpokenWords(prompt), words) << prompt;
  }
}

// LibriSpeech as it is distributed, in small.
class LibriSpeechTest : public SpeechTest {
 protected:
  LibriSpeechTest() {
    for (const char* subset : {"train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other",
                               "test-clean", "test-other"}) {
      const fs::path chapter = Chapter(subset);
      for (const char* number : {"0000", "0001"}) WriteClip(chapter / ("19-198-" + std::string(number) + ".flac"), 30);
      std::ofstream(chapter / "19-198.trans.txt") << "19-198-0000 NORTHANGER ABBEY\n19-198-0001 IT'S A NUMBER\n";
    }
  }
  fs::path Chapter(const std::string& subset) const { return folder_ / "LibriSpeech" / subset / "19" / "198"; }
  ProcessResult Import(std::vector<std::string> more = {}) const {
    std::vector<std::string> command = {
        kProgram, "import", "librispeech", folder_.string(), "--output", (folder_ / "lists").string(), "--force"};
    command.insert(command.end(), more.begin(), more.end());
    return RunProcess(command);
  }
};

TEST_F(LibriSpeechTest, BecomesADataset) {
  ASSERT_EQ(Import().status, 0) << Import().errors;
  EXPECT_EQ(model::ReadFile(folder_ / "lists/test_other.tsv"),
            (Chapter("test-other") / "19-198-0000.flac").string() + "\tNORTHANGER ABBEY\n" +
                (Chapter("test-other") / "19-198-0001.flac").string() + "\tIT'S A NUMBER\n");
  const ProcessResult prepared =
      RunProcess({kProgram, "prepare-speech", "--input", (folder_ / "lists").string(), "--output",
                  (folder_ / "out").string(), "--name", "librispeech", "--vocabulary-kind", "char"});
  ASSERT_EQ(prepared.status, 0) << prepared.errors;
  const model::Manifest m = model::ReadManifest(folder_ / "out");
  std::vector<std::string> splits;
  for (const auto& [name, split] : m.splits) splits.push_back(name + " " + std::to_string(split.sentences));
  EXPECT_THAT(splits, ElementsAre("dev_clean 2", "dev_other 2", "test_clean 2", "test_other 2", "train 6", "valid 4"));
  EXPECT_EQ(model::ReadFile(folder_ / "out/text/test_other.target"), "northanger abbey\nit's a number\n");
}

TEST_F(LibriSpeechTest, IsRefusedWhereSomethingIsMissing) {
  fs::rename(folder_ / "LibriSpeech/train-clean-360", folder_ / "elsewhere");
  EXPECT_THAT(Import().errors, HasSubstr("lacks train-clean-360. Unpack"));
  EXPECT_EQ(Import({"--train", "train-clean-100"}).status, 0);
  fs::rename(folder_ / "elsewhere", folder_ / "LibriSpeech/train-clean-360");
  fs::remove(Chapter("dev-other") / "19-198-0001.flac");
  EXPECT_THAT(Import().errors, HasSubstr("19-198.trans.txt:2: "));
  WriteClip(Chapter("dev-other") / "19-198-0001.flac", 30);
  WriteClip(Chapter("dev-other") / "19-198-0002.flac", 30);
  EXPECT_THAT(Import().errors, HasSubstr("has 3 FLAC files but 2 transcripts"));
  fs::remove(Chapter("dev-other") / "19-198.trans.txt");
  EXPECT_THAT(Import().errors, HasSubstr("there are no transcripts for"));
}

TEST_F(SpeechTest, FeaturesCommandWritesNumpysFormat) {
  const fs::path npy = folder_ / "b.npy";
  const std::vector<std::string> command = {kProgram,   "features",   (folder_ / "valid/b.wav").string(),
                                            "--output", npy.string(), "--cmvn"};
  for (const char* cmvn : {"none", "utterance"}) {
    std::vector<std::string> whole = command;
    whole.push_back(cmvn);
    const ProcessResult result = RunProcess(whole);
    ASSERT_EQ(result.status, 0) << result.errors;
    const std::string bytes = model::ReadFile(npy);
    ASSERT_EQ(bytes.size(), 128u + 60 * 80 * sizeof(float));
    EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
    EXPECT_THAT(bytes.substr(10, 118), HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (60, 80), }"));
    EXPECT_EQ(bytes[127], '\n');
    std::vector<float> expected = FilterBank(8'000).Compute(ReadAudio(folder_ / "valid/b.wav").samples);
    if (std::string(cmvn) == "utterance") NormaliseUtterance(expected);
    std::vector<float> written(expected.size());
    std::memcpy(written.data(), bytes.data() + 128, written.size() * sizeof(float));
    EXPECT_THAT(written, Pointwise(FloatNear(1e-3f), expected));  // strata-trainer transforms, where there is one
  }
  const ProcessResult none = RunProcess({kProgram, "features", "none.wav", "--cmvn", "none", "--output", npy.string()});
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.errors, HasSubstr("Cannot open audio none.wav: No such file"));
}

}  // namespace
}  // namespace strata::data
