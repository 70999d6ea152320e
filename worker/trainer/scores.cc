#include "worker/trainer/scores.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "model/data/file.h"
#include "model/metrics/perplexity.h"
#include "model/metrics/text.h"
#include "model/metrics/text_scores.h"
#include "worker/trainer/batch_memory.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

constexpr char kPerplexity[] = "perplexity";

// Words that are whole or in part among the targets, and ends of lines.
double UnitsOf(const model::Batch& batch, const std::vector<model::Piece>& pieces) {
  const at::Tensor targets = batch.target_BT.to(at::kCPU).contiguous().view(-1);
  const int64_t* ids = targets.const_data_ptr<int64_t>();
  double units = 0;
  std::vector<int32_t> line;
  const auto count_words = [&] {
    units += static_cast<double>(model::SplitAtSpaces(model::Detokenise(pieces, line)).size());
    line.clear();
  };
  for (int64_t i = 0; i < targets.numel(); ++i) {
    if (ids[i] == model::kEos) {
      count_words();
      ++units;
    } else if (ids[i] != model::kPad) {
      line.push_back(static_cast<int32_t>(ids[i]));
    }
  }
  count_words();
  return units;
}

}  // namespace

bool CanScore(const std::string& metric, bool decodes) {
  const std::vector<std::string> texts = model::TextMetrics();
  return decodes ? std::find(texts.begin(), texts.end(), metric) != texts.end() : metric == kPerplexity;
}

std::vector<std::string> ReadReferences(const Job& job, const model::Manifest& manifest, const std::string& split,
                                        size_t sentences) {
  const model::DatasetSplit& about = manifest.Split(split);
  if (about.target_text.empty()) {
    throw Failure(Cause::kDataError, "Split " + split + " of dataset " + manifest.name +
                                         " has no raw references to score against. Evaluate another split.");
  }
  const std::filesystem::path file = job.dataset / about.target_text;
  const std::string text = model::ReadFile(file);
  const auto lines = model::Lines(text);
  if (lines.size() != about.sentences) {
    throw Failure(Cause::kDataError, file.string() + " has " + std::to_string(lines.size()) +
                                         " lines, but the split has " + std::to_string(about.sentences) +
                                         " sentences. Prepare the dataset anew.");
  }
  return {lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(sentences)};
}

SplitScore ScoreDecoded(const std::string& metric, const DecodedSplit& decoded,
                        const std::vector<std::string>& references) {
  model::TextScores scores = model::ScoreTexts(metric, decoded.Best(), references);
  return {.values = std::move(scores.values), .sentences = {.split = decoded.split, .rows = std::move(scores.rows)}};
}

uint64_t WordsAndLineEnds(const Job& job, const model::Manifest& manifest, const std::string& split,
                          int64_t sentences) {
  const model::DatasetSplit& about = manifest.Split(split);
  const bool whole = sentences == 0 || static_cast<uint64_t>(sentences) >= about.sentences;
  if (whole && about.words + about.lines > 0) return about.words + about.lines;
  if (about.target_text.empty()) {
    throw Failure(Cause::kDataError, "Split " + split + " of dataset " + manifest.name +
                                         " does not say how many words it has, and has no raw text to count them in. "
                                         "Prepare the dataset anew.");
  }
  return model::MeasureText(model::ReadFile(job.dataset / about.target_text),
                            whole ? 0 : static_cast<uint64_t>(sentences))
      .units();
}

std::optional<SplitScore> ScoreByLoss(const Job& job, const std::string& split, uint64_t units,
                                      model::SequenceModel& model, const model::Examples& examples, Progress& progress,
                                      int64_t* done) {
  at::NoGradGuard no_grad;
  const auto count = static_cast<int64_t>(examples.size());
  // A row an example: nll, words, tokens; 0 where it is another rank's, to which adding changes no bit. Then a row whose
  // first number says how many ranks were stopped.
  std::vector<double> values(3 * static_cast<size_t>(count) + 3);
  for (int64_t i = job.ranks->rank(); i < count; i += job.ranks->size()) {
    if (job.control->StopRequested()) {
      values[3 * static_cast<size_t>(count)] = 1;
      break;
    }
    const auto number = static_cast<uint32_t>(i);
    const model::Batch batch = examples.Collate({&number, 1});
    double* row = values.data() + 3 * i;
    try {
      row[0] = model.Loss(batch, /*training=*/false).nll.item<double>();
    } catch (const std::exception& error) {
      ThrowOnBatch(error, "split " + split, ShapeOf(batch), "Lower evaluate.window_tokens, or take a worker with more memory.");
    }
    row[1] = UnitsOf(batch, examples.pieces());
    row[2] = static_cast<double>(batch.target_tokens);
    *done += std::min(job.ranks->size(), count - i);
    progress.Step(*done, batch.target_tokens);
  }
  job.ranks->Sum("losses of " + split, at::from_blob(values.data(), {3 * count + 3}, at::kDouble));
  if (values[3 * static_cast<size_t>(count)] > 0) return std::nullopt;
  SplitScore score{.sentences = {.split = split}};
  double nll = 0, tokens = 0, counted = 0;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    score.sentences.rows.push_back({values[3 * i], values[3 * i + 1], values[3 * i + 2]});
    nll += values[3 * i];
    counted += values[3 * i + 1];
    tokens += values[3 * i + 2];
  }
  const double scale = static_cast<double>(units) / counted;
  for (model::SentenceRow& row : score.sentences.rows) row[1] *= scale;
  score.values = {{kPerplexity, model::Perplexity(nll, static_cast<double>(units))}, {"nll", nll / tokens}};
  return score;
}

}  // namespace strata::trainer
