#include "worker/trainer/generate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "model/data/file.h"
#include "model/metrics/perplexity.h"
#include "model/metrics/text.h"
#include "model/tasks/registry.h"
#include "worker/trainer/average.h"
#include "worker/trainer/decode_split.h"
#include "worker/trainer/evaluate.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/measurements.h"

namespace strata::trainer {
namespace {

constexpr char kSplit[] = "input";

bool Decodes(const std::string& task) {
  const std::vector<std::string>& metrics = model::DescribeTask(task).metrics;
  return metrics.empty() || model::DescribeMetric(metrics.front()).decodes;
}

struct LineScore {
  double nll = 0;  // nats
  int64_t tokens = 0;
};

// NLL of each line of the stream that the examples cut into windows: a line ends with the target eos. Nothing where a
// stop was asked for. Memory: tokens of a window x vocabulary.
std::optional<std::vector<LineScore>> ScoreLines(const Job& job, model::SequenceModel& model,
                                                 const model::Examples& examples) {
  at::NoGradGuard no_grad;
  std::vector<LineScore> lines(1);
  for (uint32_t i = 0; i < examples.size(); ++i) {
    if (job.control->StopRequested()) return std::nullopt;
    const model::Batch batch = examples.Collate({&i, 1});
    const at::Tensor log_p_BTV = at::log_softmax(model.Logits(batch), -1);
    const at::Tensor targets_BT = batch.target_BT;
    const at::Tensor nll_BT =
        -log_p_BTV.gather(-1, targets_BT.to(log_p_BTV.device()).unsqueeze(-1)).squeeze(-1).to(at::kCPU, at::kDouble);
    const auto targets = targets_BT.accessor<int64_t, 2>();
    const auto nll = nll_BT.accessor<double, 2>();
    for (int64_t t = 0; t < targets_BT.size(1); ++t) {
      if (targets[0][t] == model::kPad) continue;
      lines.back().nll += nll[0][t];
      ++lines.back().tokens;
      if (targets[0][t] == model::kEos) lines.emplace_back();
    }
  }
  lines.pop_back();
  return lines;
}

// False where a stop was asked for.
bool ScoreText(const Job& job, const model::Manifest& manifest, const model::Examples& examples,
               model::SequenceModel& model, int64_t update) {
  const std::string text = model::ReadFile(job.dataset / manifest.Split(kSplit).target_text);
  const std::vector<std::string_view> raw = model::Lines(text);
  const auto lines = ScoreLines(job, model, examples);
  if (!lines) return false;
  if (lines->size() != raw.size()) {
    throw Failure(Cause::kDataError, "The raw text of split input has " + std::to_string(raw.size()) +
                                         " lines, its shards " + std::to_string(lines->size()) +
                                         ". Encode the file anew with 'strata-data encode'.");
  }
  std::string json;
  double nll = 0, tokens = 0, units = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    const LineScore& line = (*lines)[i];
    const size_t words = model::SplitAtSpaces(raw[i]).size() + 1;
    json +=
        Json{{"line", i + 1}, {"nll", NumberJson(line.nll)}, {"tokens", line.tokens}, {"words", words}}.dump() + "\n";
    nll += line.nll;
    tokens += static_cast<double>(line.tokens);
    units += static_cast<double>(words);
  }
  SaveArtifact(job, "line_scores", "line_scores.jsonl", "application/x-ndjson", json);
  MeasurementRow row;
  row.Scalar("perplexity", model::Perplexity(nll, units));
  row.Scalar("nll", nll / tokens);
  row.Emit(*job.events, update);
  return true;
}

bool DecodeText(const Job& job, const model::Manifest& manifest, const model::Examples& examples,
                model::SequenceModel& model, const EvaluateSpec& evaluation) {
  Progress progress(job.events, static_cast<int64_t>(examples.size()));
  progress.Enter("evaluate", 0);
  int64_t done = 0;
  auto decoded = DecodeSplit(job, manifest, kSplit, model, examples, DecodeOptionsOf(evaluation), progress, &done);
  if (!decoded) return false;
  SaveHypotheses(job, {*std::move(decoded)}, evaluation.n_best);
  return true;
}

}  // namespace

void Generate(const Job& job, const std::vector<std::filesystem::path>& checkpoints) {
  if (job.spec.evaluate.empty()) {
    throw Failure(Cause::kBadSpec,
                  "--job generate decodes as the first evaluation of the spec says, but there is none. "
                  "Add one to evaluate.");
  }
  const EvaluateSpec& evaluation = job.spec.evaluate.front();
  const model::Manifest manifest = ReadDataset(job);
  const auto examples = OpenExamples(job, manifest, kSplit, WindowsOf(job.spec, evaluation, /*sentences=*/0));
  if (examples->size() == 0) throw Failure(Cause::kDataError, "Split input is empty. Give at least one line.");
  const auto model = MakeModel(job, manifest, "evaluate[0].", evaluation.precision);
  const std::vector<model::NamedParameter> parameters = model->Parameters();
  CheckpointIdentity identity = Identity(job, manifest);
  identity.dataset_digest.clear();
  const int64_t update = AverageWeights(checkpoints, parameters, identity);
  EmitStarted(job, "generate", parameters);
  const bool done = Decodes(job.spec.task.kind) ? DecodeText(job, manifest, *examples, *model, evaluation)
                                                : ScoreText(job, manifest, *examples, *model, update);
  if (!done) return EmitStopped(job, update);
  EmitFinished(job, update, parameters);
}

}  // namespace strata::trainer
