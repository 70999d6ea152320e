#include "worker/trainer/decode_split.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/data/file.h"

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
  DecodedSplit decoded{.split = split};
  decoded.lines.resize(examples.size());
  for (size_t i = 0; i < batches.size(); ++i) {
    if (job.control->StopRequested()) return std::nullopt;
    const model::Batch batch = model::ToDevice(examples.Collate(batches[i]), job.environment.device);
    const model::Hypotheses hypotheses = model.Decode(batch, options);
    int64_t tokens = 0;
    for (size_t row = 0; row < batches[i].size(); ++row) {
      for (const model::Hypothesis& hypothesis : hypotheses[row]) {
        const auto length = static_cast<int64_t>(hypothesis.tokens.size());
        decoded.lines[batches[i][row]].push_back({TextOf(examples, hypothesis), hypothesis.score, length});
        tokens += length;
      }
    }
    *done += batch.sentences;
    progress.Step(*done, tokens);
  }
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
