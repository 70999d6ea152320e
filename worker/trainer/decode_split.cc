#include "worker/trainer/decode_split.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "model/data/file.h"
#include "worker/trainer/batch_memory.h"

namespace strata::trainer {
namespace {

// Decoded together: enough for full matrices, few enough to answer a stop soon. Frames, for speech.
constexpr int64_t kMaxSentences = 64, kMinTokens = 4096;

std::string TextOf(const model::Examples& examples, const model::Hypothesis& hypothesis) {
  std::vector<int32_t> ids;
  for (const int64_t token : hypothesis.tokens) {
    if (token != model::kEos) ids.push_back(static_cast<int32_t>(token));
  }
  std::string text = model::Detokenise(examples.pieces(), ids);
  std::replace(text.begin(), text.end(), '\n', ' ');  // a byte piece may be one; a line is a sentence
  return text;
}

// All hypotheses at once: the detokeniser is started once a split.
void DetokeniseAll(const Job& job, const model::Manifest& manifest, DecodedSplit* decoded) {
  std::vector<std::string> texts;
  for (const auto& sentence : decoded->lines) {
    for (const DecodedLine& line : sentence) texts.push_back(line.text);
  }
  texts = Detokenised(job.detokenisers, manifest.detokeniser, job.out, std::move(texts));
  size_t next = 0;
  for (auto& sentence : decoded->lines) {
    for (DecodedLine& line : sentence) line.text = std::move(texts[next++]);
  }
}

// Decoded sentences for another rank, as CBOR: exact numbers, any bytes. [[sentence, [[text, score, tokens], ..]], ..]
using Sentences = std::vector<std::pair<uint32_t, std::vector<DecodedLine>>>;

std::string Packed(const Sentences& sentences, bool stopped) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [number, lines] : sentences) {
    nlohmann::json packed = nlohmann::json::array();
    for (const DecodedLine& line : lines) packed.push_back({line.text, line.score, line.tokens});
    list.push_back({number, std::move(packed)});
  }
  const std::vector<uint8_t> bytes = nlohmann::json::to_cbor({stopped, std::move(list)});
  return {bytes.begin(), bytes.end()};
}

// Whether that rank was stopped.
bool Unpack(const std::string& packed, DecodedSplit* decoded) {
  const nlohmann::json all = nlohmann::json::from_cbor(packed);
  for (const auto& sentence : all.at(1)) {
    auto& lines = decoded->lines.at(sentence.at(0).get<size_t>());
    for (const auto& line : sentence.at(1)) lines.push_back({line.at(0), line.at(1), line.at(2)});
  }
  return all.at(0);
}

// All ranks' lines on the first; false where one of them was stopped.
bool Gather(const Job& job, const std::string& split, const Sentences& mine, bool stopped, DecodedSplit* decoded) {
  const std::string name = "hypotheses of " + split;
  if (job.ranks->alone()) {
    for (const auto& [number, lines] : mine) decoded->lines[number] = lines;
    return !stopped;
  }
  for (const std::string& packed : job.ranks->Gather(name, Packed(mine, stopped))) stopped |= Unpack(packed, decoded);
  return !stopped;
}

model::Hypotheses Decode(model::SequenceModel& model, const model::Batch& batch, const model::DecodeOptions& options,
                         const std::string& split) {
  try {
    return model.Decode(batch, options);
  } catch (const std::exception& error) {
    ThrowOnBatch(error, "split " + split, ShapeOf(batch), "Lower evaluate.beam, or take a worker with more memory.");
  }
}

}  // namespace

std::vector<std::string> DecodedSplit::Best() const {
  std::vector<std::string> best;
  for (const auto& sentence : lines) best.push_back(sentence.at(0).text);
  return best;
}

std::optional<DecodedSplit> DecodeSplit(const Job& job, const model::Manifest& manifest, const std::string& split,
                                        model::SequenceModel& model, const model::Examples& examples,
                                        const model::DecodeOptions& options, Progress& progress, int64_t* done) {
  const model::Batches batches =
      model::FixedBatches(examples, {.max_tokens = std::max(job.spec.train.max_tokens, kMinTokens),
                                     .max_sentences = kMaxSentences,
                                     .required_multiple = 1});
  Sentences mine;
  bool stopped = false;
  const auto ranks = static_cast<size_t>(job.ranks->size());
  const int64_t before = *done;
  for (size_t i = static_cast<size_t>(job.ranks->rank()); i < batches.size(); i += ranks) {
    if ((stopped = job.control->StopRequested())) break;
    const model::Batch batch = examples.Collate(batches[i]);
    const model::Hypotheses hypotheses = Decode(model, batch, options, split);
    int64_t tokens = 0;
    for (size_t row = 0; row < batches[i].size(); ++row) {
      auto& lines = mine.emplace_back(batches[i][row], std::vector<DecodedLine>()).second;
      for (const model::Hypothesis& hypothesis : hypotheses[row]) {
        const auto length = static_cast<int64_t>(hypothesis.tokens.size());
        lines.push_back({TextOf(examples, hypothesis), hypothesis.score, length});
        tokens += length;
      }
    }
    // The others are about as far.
    *done = before + static_cast<int64_t>(batches.offsets[std::min(i + ranks, batches.size())]);
    progress.Step(*done, tokens);
  }
  *done = before + static_cast<int64_t>(examples.size());
  DecodedSplit decoded{.split = split};
  decoded.lines.resize(examples.size());
  if (!Gather(job, split, mine, stopped, &decoded)) return std::nullopt;
  if (!job.ranks->first()) return DecodedSplit{.split = split};
  DetokeniseAll(job, manifest, &decoded);
  return decoded;
}

model::DecodeOptions DecodeOptionsOf(const EvaluateSpec& evaluation) {
  return {.beam = evaluation.beam,
          .length_penalty = evaluation.length_penalty,
          .max_length_a = evaluation.max_length_a,
          .max_length_b = evaluation.max_length_b,
          .n_best = evaluation.n_best};
}

void SaveArtifact(const Job& job, const std::string& name, const std::string& file, const std::string& media_type,
                  const std::string& content) {
  model::WriteFileAtomically(job.out / file, content);
  job.events->Emit("artifact", {{"name", name},
                                {"file", file},
                                {"sha256", model::Sha256(content)},
                                {"bytes", content.size()},
                                {"media_type", media_type}});
}

void SaveHypotheses(const Job& job, const std::vector<DecodedSplit>& splits, int64_t n_best) {
  std::string all;
  for (const DecodedSplit& split : splits) {
    std::string text;
    for (const std::string& line : split.Best()) text += line + "\n";
    const std::string name = splits.size() == 1 ? "hypotheses" : "hypotheses-" + split.split;
    SaveArtifact(job, name, name + ".txt", "text/plain; charset=utf-8", text);
    for (size_t i = 0; i < split.lines.size() && n_best > 1; ++i) {
      Json hypotheses = Json::array();
      for (const DecodedLine& line : split.lines[i]) {
        hypotheses.push_back({{"text", line.text}, {"score", NumberJson(line.score)}, {"tokens", line.tokens}});
      }
      all += Json{{"split", split.split}, {"sentence", i + 1}, {"hypotheses", hypotheses}}.dump() + "\n";
    }
  }
  if (n_best > 1) SaveArtifact(job, "n-best", "n-best.jsonl", "application/x-ndjson", all);
}

}  // namespace strata::trainer
