#include "worker/trainer/evaluate.h"

#include <ATen/ATen.h>

#include <map>

#include "model/data/file.h"
#include "model/metrics/bleu.h"
#include "model/metrics/text.h"
#include "model/tasks/registry.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/measurements.h"
#include "worker/trainer/progress.h"

namespace strata::trainer {
namespace {

constexpr int64_t kMaxSentences = 64;  // decoded together

using Scores = std::map<std::string, double>;
using Lines = std::vector<std::string>;

Scores ScoreBleu(const Lines& hypotheses, const Lines& references) {
  const model::BleuScore bleu = model::Bleu(hypotheses, references);
  Scores scores = {{"bleu", bleu.score}, {"bleu_brevity_penalty", bleu.brevity_penalty}};
  for (size_t n = 0; n < bleu.precisions.size(); ++n)
    scores["bleu_precision_" + std::to_string(n + 1)] = bleu.precisions[n];
  return scores;
}

// How a metric of the registry is computed of texts.
const std::map<std::string, Scores (*)(const Lines&, const Lines&)>& Scorers() {
  static const std::map<std::string, Scores (*)(const Lines&, const Lines&)> scorers = {{"bleu", ScoreBleu}};
  return scorers;
}

const EvaluateSpec& EvaluationOf(const Job& job, int64_t index) {
  if (index < 0 || index >= static_cast<int64_t>(job.spec.evaluate.size())) {
    throw Failure(Cause::kBadSpec, "--evaluation is " + std::to_string(index) + ", but the spec has " +
                                       std::to_string(job.spec.evaluate.size()) + " evaluations, numbered from 0.");
  }
  const EvaluateSpec& evaluation = job.spec.evaluate[static_cast<size_t>(index)];
  try {
    model::DescribeMetric(evaluation.metric);
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, "evaluate[" + std::to_string(index) + "].metric: " + error.what());
  }
  if (!Scorers().contains(evaluation.metric)) {
    throw Failure(Cause::kBadSpec, "evaluate[" + std::to_string(index) + "].metric: this build cannot score by " +
                                       evaluation.metric + ".");
  }
  return evaluation;
}

Lines ReadReferences(const Job& job, const model::Manifest& manifest, const EvaluateSpec& evaluation,
                     size_t sentences) {
  const model::DatasetSplit& split = manifest.Split(evaluation.split);
  if (split.target_text.empty()) {
    throw Failure(Cause::kDataError, "Split " + evaluation.split + " of dataset " + manifest.name +
                                         " has no raw references to score against. Evaluate another split.");
  }
  const std::filesystem::path file = job.dataset / split.target_text;
  const std::string text = model::ReadFile(file);
  const auto lines = model::Lines(text);
  if (lines.size() != split.sentences) {
    throw Failure(Cause::kDataError, file.string() + " has " + std::to_string(lines.size()) +
                                         " lines, but the split has " + std::to_string(split.sentences) +
                                         " sentences. Prepare the dataset anew.");
  }
  return {lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(sentences)};
}

std::string TextOf(const model::Examples& examples, const model::Hypothesis& hypothesis) {
  std::vector<int32_t> ids;
  for (const int64_t token : hypothesis.tokens) {
    if (token != model::kEos) ids.push_back(static_cast<int32_t>(token));
  }
  std::string text = model::Detokenise(examples.pieces(), ids);
  std::replace(text.begin(), text.end(), '\n', ' ');  // a byte piece may be one; a line is a sentence
  return text;
}

// Nothing where a stop was asked for on the way.
std::optional<Lines> Decode(const Job& job, model::SequenceModel& model, const model::Examples& examples,
                            const EvaluateSpec& evaluation) {
  const model::DecodeOptions options{.beam = evaluation.beam,
                                     .length_penalty = evaluation.length_penalty,
                                     .max_length_a = evaluation.max_length_a,
                                     .max_length_b = evaluation.max_length_b};
  const model::Batches batches = model::FixedBatches(
      examples, {.max_tokens = job.spec.train.max_tokens, .max_sentences = kMaxSentences, .required_multiple = 1});
  Lines hypotheses(examples.size());
  Progress progress(job.events, static_cast<int64_t>(examples.size()));
  progress.Enter("evaluate", 0);
  int64_t done = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (job.control->StopRequested()) return std::nullopt;
    const model::Batch batch = model::ToDevice(examples.Collate(batches[i]), job.environment.device);
    const model::Hypotheses decoded = model.Decode(batch, options);
    int64_t tokens = 0;
    for (size_t row = 0; row < batches[i].size(); ++row) {
      const model::Hypothesis& best = decoded[row].at(0);
      hypotheses[batches[i][row]] = TextOf(examples, best);
      tokens += static_cast<int64_t>(best.tokens.size());
    }
    done += batch.sentences;
    progress.Step(done, tokens);
  }
  progress.Report(done);
  return hypotheses;
}

void SaveHypotheses(const Job& job, const Lines& hypotheses) {
  std::string text;
  for (const std::string& line : hypotheses) text += line + "\n";
  const std::filesystem::path file = job.out / "hypotheses.txt";
  model::WriteFileAtomically(file, text);
  job.events->Emit("artifact", {{"name", "hypotheses"},
                                {"file", "hypotheses.txt"},
                                {"sha256", model::Sha256(text)},
                                {"bytes", text.size()},
                                {"media_type", "text/plain; charset=utf-8"}});
}

}  // namespace

void Evaluate(const Job& job, int64_t index, const std::filesystem::path& checkpoint) {
  const EvaluateSpec& evaluation = EvaluationOf(job, index);
  const model::Manifest manifest = ReadDataset(job);
  const auto examples = OpenExamples(job, manifest, evaluation.split, {.limit = static_cast<uint64_t>(evaluation.sentences)});
  const Lines references = ReadReferences(job, manifest, evaluation, examples->size());
  const auto model = MakeModel(job, manifest);
  const std::vector<model::NamedParameter> parameters = model->Parameters();
  const int64_t update = LoadWeights(checkpoint, parameters, Identity(job, manifest));
  Json fields = {{"job", "evaluate"},
                 {"resumed_from", nullptr},
                 {"updates", job.spec.train.updates},
                 {"parameters", CountElements(parameters)},
                 {"unigram_nll", nullptr}};
  fields.update(StartedFields(job.environment, job.world_size));
  job.events->Emit("started", fields);
  const std::optional<Lines> hypotheses = Decode(job, *model, *examples, evaluation);
  if (!hypotheses) {
    job.events->Emit("stopped", {{"update", update}, {"file", nullptr}});
    return;
  }
  SaveHypotheses(job, *hypotheses);
  MeasurementRow row;
  for (const auto& [name, value] : Scorers().at(evaluation.metric)(*hypotheses, references)) row.Scalar(name, value);
  row.Emit(*job.events, update);
  job.events->Emit("finished", {{"state", "succeeded"},
                                {"updates", update},
                                {"weights_sha256", WeightsHash(parameters)},
                                {"best_nll", nullptr},
                                {"final_nll", nullptr}});
  job.events->Sync();
}

}  // namespace strata::trainer
