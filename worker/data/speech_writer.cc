#include "worker/data/speech_writer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "model/data/feature_shard.h"
#include "model/data/file.h"
#include "worker/data/filter_bank_program.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;

constexpr size_t kClipsAtATime = 64;

// What came of one clip: features, or why not.
struct Outcome {
  ClipFeatures clip;
  std::exception_ptr error;
};

Outcome Compute(const SpeechList& list, size_t clip, const SpeechForm& form) {
  Outcome outcome{.clip = {.clip = clip, .rate = 0, .seconds = 0, .features = {}}, .error = nullptr};
  try {
    const Audio audio = ReadAudio(list.clips[clip].audio, form.max_frames);
    outcome.clip.rate = audio.rate;
    outcome.clip.seconds = static_cast<double>(audio.samples.size()) / audio.rate;
    outcome.clip.features = TorchaudioFilterBanks(audio.rate, audio.samples);
  } catch (...) {
    outcome.error = std::current_exception();
  }
  return outcome;
}

// Of clips first, first + 1, ...
std::vector<Outcome> ComputeAll(const SpeechList& list, size_t first, const SpeechForm& form) {
  std::vector<Outcome> outcomes(std::min(kClipsAtATime, list.clips.size() - first));
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < outcomes.size(); i = next++) outcomes[i] = Compute(list, first + i, form);
  };
  {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) others.emplace_back(work);
    work();
  }
  return outcomes;
}

// True where the clip was left out for its length.
bool LeftOut(const SpeechList& list, const Outcome& outcome, const SpeechForm& form, SpeechFigures* figures) {
  if (!outcome.error) return false;
  try {
    std::rethrow_exception(outcome.error);
  } catch (const ClipLengthError& e) {
    if (!form.drop_by_length) throw DataError(list.Where(outcome.clip.clip) + e.what());
    ++(e.too_long ? figures->too_long : figures->too_short);
    return true;
  } catch (const std::exception& e) {
    throw DataError(list.Where(outcome.clip.clip) + e.what());
  }
}

class Writer {
 public:
  Writer(const fs::path& folder, const Vocabulary& vocabulary, const SpeechForm& form, SpeechFigures* figures)
      : folder_(folder),
        vocabulary_(vocabulary),
        form_(form),
        figures_(*figures),
        pieces_(vocabulary.Pieces()),
        transcripts_(pieces_, 1) {
    figures_.target_counts.resize(pieces_.size());
  }

  void Add(const ClipEntry& entry, const ClipFeatures& clip) {
    const auto frames = static_cast<int64_t>(clip.features.size() / kFilterBanks);
    if (features_ && frames_ + frames > form_.frames_per_shard) Close();
    if (!features_) Open();
    features_->Add(clip.features);
    frames_ += frames;
    const std::vector<int32_t> ids = vocabulary_.Encode(entry.transcript);
    transcripts_.Add(std::array<std::span<const int32_t>, 1>{ids});
    figures_.seconds += clip.seconds;
    figures_.frames.push_back(frames);
    ++figures_.rates[clip.rate];
    figures_.target.Add(ids, entry.transcript);
    for (const int32_t id : ids) ++figures_.target_counts[static_cast<size_t>(id)];
    ++figures_.target_counts[model::kEosId];
    if (!form_.with_text) return;
    names_ += entry.audio.filename().string() + "\n";
    text_ += entry.transcript + "\n";
  }

  model::DatasetSplit Finish() {
    if (features_) Close();
    if (!form_.with_text || written_.sentences == 0) return written_;
    fs::create_directories(folder_ / "text");
    written_.source_text = "text/" + form_.name + ".source";
    written_.target_text = "text/" + form_.name + ".target";
    model::WriteFileAtomically(folder_ / written_.source_text, names_);
    model::WriteFileAtomically(folder_ / written_.target_text, text_);
    model::SyncFolder(folder_ / "text");
    return written_;
  }

 private:
  void Open() {
    const std::string number = std::to_string(written_.shards.size());
    const std::string name = form_.name + "-" + std::string(5 - std::min<size_t>(5, number.size()), '0') + number;
    written_.shards.push_back(name + ".shard");
    written_.features.push_back(name + ".features");
    features_ = std::make_unique<model::FeatureShardWriter>(folder_ / written_.features.back(), kFilterBanks);
  }

  void Close() {
    features_->Finish();
    features_.reset();
    transcripts_.Write(folder_ / written_.shards.back());
    written_.sentences += transcripts_.sentences();
    written_.target_tokens += transcripts_.tokens(0);
    written_.frames += static_cast<uint64_t>(frames_);
    frames_ = 0;
    transcripts_ = model::ShardWriter(pieces_, 1);
  }

  const fs::path folder_;
  const Vocabulary& vocabulary_;
  const SpeechForm& form_;
  SpeechFigures& figures_;
  const std::vector<model::Piece> pieces_;
  model::ShardWriter transcripts_;
  std::unique_ptr<model::FeatureShardWriter> features_;  // of the shard that is open, if one is
  int64_t frames_ = 0;                                   // in it
  model::DatasetSplit written_;
  std::string names_, text_;
};

}  // namespace

void ForEachClip(const SpeechList& list, const SpeechForm& form, SpeechFigures* figures,
                 const std::function<void(ClipFeatures&)>& consume) {
  for (size_t first = 0; first < list.clips.size(); first += kClipsAtATime) {
    for (Outcome& outcome : ComputeAll(list, first, form)) {
      ++figures->read;
      if (!LeftOut(list, outcome, form, figures)) consume(outcome.clip);
    }
  }
}

model::DatasetSplit WriteSpeechSplit(const fs::path& folder, const Vocabulary& vocabulary, const Cmvn& cmvn,
                                     const SpeechList& list, const SpeechForm& form, SpeechFigures* figures) {
  Writer writer(folder, vocabulary, form, figures);
  ForEachClip(list, form, figures, [&](ClipFeatures& clip) {
    cmvn.Apply(clip.features);
    writer.Add(list.clips[clip.clip], clip);
  });
  return writer.Finish();
}

nlohmann::ordered_json SpeechFigures::Json() const {
  std::vector<int64_t> sorted = frames;
  std::sort(sorted.begin(), sorted.end());
  const auto percentile = [&](double p) {
    return sorted.empty() ? 0 : sorted[static_cast<size_t>(p * static_cast<double>(sorted.size() - 1))];
  };
  nlohmann::ordered_json clips_by_rate = nlohmann::ordered_json::object();
  for (const auto& [rate, clips] : rates) clips_by_rate[std::to_string(rate)] = clips;
  return {{"clips_read", read},
          {"clips", frames.size()},
          {"dropped", {{"too long", too_long}, {"too short", too_short}}},
          {"rates", clips_by_rate},
          {"seconds", seconds},
          {"frames",
           {{"p50", percentile(0.5)}, {"p90", percentile(0.9)}, {"p99", percentile(0.99)}, {"max", percentile(1)}}},
          {"target", target.Json()}};
}

}  // namespace strata::data
