#include "worker/trainer/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>

#include "model/tasks/registry.h"
#include "worker/trainer/average.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/measurements.h"
#include "worker/trainer/scores.h"

namespace strata::trainer {
namespace {

std::vector<std::string> Items(const std::string& text) {
  std::vector<std::string> items;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string item = text.substr(begin, end - begin);
    item.erase(0, item.find_first_not_of(' '));
    item.erase(item.find_last_not_of(' ') + 1);
    if (!item.empty()) items.push_back(std::move(item));
    begin = end + 1;
  }
  return items;
}

// evaluate[index], with what is wrong in it as a Failure that names it.
class Evaluation {
 public:
  Evaluation(const TrialSpec& spec, int64_t index) : path_("evaluate[" + std::to_string(index) + "].") {
    if (index < 0 || index >= static_cast<int64_t>(spec.evaluate.size())) {
      throw Failure(Cause::kBadSpec, "--evaluation is " + std::to_string(index) + ", but the spec has " +
                                         std::to_string(spec.evaluate.size()) + " evaluations, numbered from 0.");
    }
    spec_ = spec.evaluate[static_cast<size_t>(index)];
    splits_ = Items(spec_.split);
    CheckMetric(spec.task.kind);
    CheckSplits();
    if (spec_.n_best > spec_.beam) {
      Refuse("n_best is " + std::to_string(spec_.n_best) + ", but beam is " + std::to_string(spec_.beam) +
             ": that many hypotheses are never kept. Raise beam or lower n_best.");
    }
  }

  const EvaluateSpec& spec() const { return spec_; }
  const std::string& path() const { return path_; }  // "evaluate[0]."
  const std::vector<std::string>& splits() const { return splits_; }
  bool decodes() const { return decodes_; }

  model::DecodeOptions Decoding(const std::string& split) const {
    const auto own = penalties_.find(split);
    model::DecodeOptions options = DecodeOptionsOf(spec_);
    if (own != penalties_.end()) options.length_penalty = own->second;
    return options;
  }

 private:
  [[noreturn]] void Refuse(const std::string& why) const { throw Failure(Cause::kBadSpec, path_ + why); }

  void CheckMetric(const std::string& task) {
    try {
      decodes_ = model::DescribeMetric(spec_.metric).decodes;
      const std::vector<std::string>& metrics = model::DescribeTask(task).metrics;
      if (std::find(metrics.begin(), metrics.end(), spec_.metric) == metrics.end()) {
        std::string known;
        for (const std::string& metric : metrics) known += (known.empty() ? "" : ", ") + metric;
        Refuse("metric is " + spec_.metric + ", which does not score task.kind " + task + ". Choose one of: " + known +
               ".");
      }
    } catch (const std::invalid_argument& error) {
      Refuse(std::string("metric: ") + error.what());
    }
    if (!CanScore(spec_.metric, decodes_)) Refuse("metric: this build cannot score by " + spec_.metric + ".");
  }

  void CheckSplits() {
    if (splits_.empty()) Refuse("split is empty. Name a split of the dataset, or several, comma-separated.");
    if (std::set<std::string>(splits_.begin(), splits_.end()).size() != splits_.size())
      Refuse("split is \"" + spec_.split + "\", which names a split twice. Name each once.");
    for (const std::string& item : Items(spec_.length_penalties)) {
      const size_t equals = std::min(item.find('='), item.size());
      const std::string split = item.substr(0, equals), value = item.substr(std::min(equals + 1, item.size()));
      double penalty = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), penalty);
      if (error != std::errc() || end != value.data() + value.size() || !(penalty >= -10 && penalty <= 10))
        Refuse("length_penalties: \"" + item + "\" is not SPLIT=VALUE with a value from -10 to 10.");
      if (std::find(splits_.begin(), splits_.end(), split) == splits_.end())
        Refuse("length_penalties names the split " + split + ", but split is \"" + spec_.split + "\".");
      penalties_[split] = penalty;
    }
  }

  std::string path_;
  EvaluateSpec spec_;
  std::vector<std::string> splits_;
  std::map<std::string, double> penalties_;
  bool decodes_ = true;
};

// What is needed of a split, opened before the first is scored, so that nothing is missing late.
struct OpenedSplit {
  std::string name;
  std::unique_ptr<model::Examples> examples;
  std::vector<std::string> references;  // where the metric decodes
  uint64_t units = 0;                   // where it does not
};

std::vector<OpenedSplit> OpenSplits(const Job& job, const model::Manifest& manifest, const Evaluation& evaluation) {
  std::vector<OpenedSplit> opened;
  const int64_t sentences = evaluation.spec().sentences;
  const model::ExampleOptions windows = WindowsOf(job.spec, evaluation.spec(), sentences);
  for (const std::string& name : evaluation.splits()) {
    OpenedSplit split{.name = name, .examples = OpenExamples(job, manifest, name, windows)};
    if (split.examples->size() == 0) {
      throw Failure(Cause::kDataError,
                    "Split " + name + " of dataset " + manifest.name + " is empty. Evaluate another.");
    }
    if (evaluation.decodes()) {
      split.references = ReadReferences(job, manifest, name, split.examples->size());
    } else {
      split.units = WordsAndLineEnds(job, manifest, name, sentences);
    }
    opened.push_back(std::move(split));
  }
  return opened;
}

// Of each split under SPLIT/NAME, and their average under NAME; of one split under NAME alone.
MeasurementRow RowOf(const std::vector<SplitScore>& scores) {
  MeasurementRow row;
  std::map<std::string, double> sums;
  for (const SplitScore& score : scores) {
    for (const auto& [name, value] : score.values) {
      sums[name] += value;
      if (scores.size() > 1) row.Scalar(score.sentences.split + "/" + name, value);
    }
  }
  for (const auto& [name, sum] : sums) row.Scalar(name, sum / static_cast<double>(scores.size()));
  return row;
}

// Nothing where a stop was asked for.
std::optional<std::vector<SplitScore>> ScoreSplits(const Job& job, const model::Manifest& manifest,
                                                   const Evaluation& evaluation, std::vector<OpenedSplit> splits,
                                                   model::SequenceModel& model) {
  int64_t all = 0, done = 0;
  for (const OpenedSplit& split : splits) all += static_cast<int64_t>(split.examples->size());
  Progress progress(job.events, all);
  progress.Enter("evaluate", 0);
  std::vector<DecodedSplit> texts;
  std::vector<SplitScore> scores;
  for (const OpenedSplit& split : splits) {
    if (evaluation.decodes()) {
      auto decoded = DecodeSplit(job, manifest, split.name, model, *split.examples, evaluation.Decoding(split.name),
                                 progress, &done);
      if (!decoded) return std::nullopt;
      if (!job.ranks->first()) continue;
      scores.push_back(ScoreDecoded(evaluation.spec().metric, *decoded, split.references));
      texts.push_back(*std::move(decoded));
    } else {
      auto score = ScoreByLoss(job, split.name, split.units, model, *split.examples, progress, &done);
      if (!score) return std::nullopt;
      scores.push_back(*std::move(score));
    }
  }
  progress.Report(done);
  if (evaluation.decodes() && job.ranks->first()) SaveHypotheses(job, texts, evaluation.spec().n_best);
  return scores;
}

// What `read` fills `parameters` with on the first rank, on all of them; and what it returns.
int64_t ShareWeights(const Job& job, const std::vector<model::NamedParameter>& parameters,
                     const std::function<int64_t()>& read) {
  int64_t update = job.ranks->first() ? read() : 0;
  job.ranks->FromFirst("update of the weights", at::from_blob(&update, {1}, at::kLong));
  job.ranks->FromFirst("weights", parameters);
  return update;
}

void SaveSentenceScores(const Job& job, const std::string& metric, const std::vector<SplitScore>& scores) {
  model::SentenceScores all{.metric = metric};
  for (const SplitScore& score : scores) all.splits.push_back(score.sentences);
  SaveArtifact(job, "sentence_scores", "sentence_scores.jsonl", "application/x-ndjson", model::ToJsonLines(all));
}

}  // namespace

model::ExampleOptions WindowsOf(const TrialSpec& spec, const EvaluateSpec& evaluation, int64_t sentences) {
  const int64_t window = evaluation.window_tokens > 0 ? evaluation.window_tokens : spec.train.block_tokens;
  if (evaluation.context_tokens >= window) {
    throw Failure(Cause::kBadSpec, "evaluate.context_tokens is " + std::to_string(evaluation.context_tokens) +
                                       ", but a window has " + std::to_string(window) +
                                       " tokens: none would be scored. Lower it, or raise evaluate.window_tokens.");
  }
  return {
      .limit = static_cast<uint64_t>(sentences), .block_tokens = window, .context_tokens = evaluation.context_tokens};
}

void EmitStarted(const Job& job, const char* name, const std::vector<model::NamedParameter>& parameters) {
  Json fields = {{"job", name},
                 {"resumed_from", nullptr},
                 {"updates", job.spec.train.updates},
                 {"parameters", CountElements(parameters)},
                 {"unigram_nll", nullptr}};
  fields.update(StartedFields(job.environment, job.world_size));
  job.events->Emit("started", fields);
}

void EmitStopped(const Job& job, int64_t update) {
  job.events->Emit("stopped", {{"update", update}, {"file", nullptr}});
}

void EmitFinished(const Job& job, int64_t update, const std::vector<model::NamedParameter>& parameters) {
  job.events->Emit("finished", {{"state", "succeeded"},
                                {"updates", update},
                                {"weights_sha256", WeightsHash(parameters)},
                                {"best_nll", nullptr},
                                {"final_nll", nullptr}});
  job.events->Sync();
}

void Evaluate(const Job& job, int64_t index, const std::vector<std::filesystem::path>& checkpoints) {
  const Evaluation evaluation(job.spec, index);
  const model::Manifest manifest = ReadDataset(job);
  std::vector<OpenedSplit> splits = OpenSplits(job, manifest, evaluation);
  const auto model = MakeModel(job, manifest, evaluation.path(), evaluation.spec().precision);
  const std::vector<model::NamedParameter> parameters = model->Parameters();
  const int64_t update = ShareWeights(job, parameters, [&] {
    return AverageWeights(checkpoints, parameters, Identity(job, manifest));
  });
  EmitStarted(job, "evaluate", parameters);
  const bool averages = evaluation.spec().checkpoint == "average";
  if (averages && job.ranks->first() && static_cast<int64_t>(checkpoints.size()) < evaluation.spec().average_last) {
    job.events->Warn(
        "The average is over " + std::to_string(checkpoints.size()) + " epoch checkpoints, not " +
        std::to_string(evaluation.spec().average_last) +
        " (average_last): there are no more. Train for more epochs, or raise train.keep_epoch_checkpoints.");
  }
  const auto scores = ScoreSplits(job, manifest, evaluation, std::move(splits), *model);
  if (!scores) return EmitStopped(job, update);
  if (!job.ranks->first()) return EmitFinished(job, update, parameters);
  SaveSentenceScores(job, evaluation.spec().metric, *scores);
  MeasurementRow row = RowOf(*scores);
  if (averages) row.Scalar("averaged_checkpoints", static_cast<double>(checkpoints.size()));
  if (evaluation.decodes()) {
    row.Scalar("max_length_a", evaluation.spec().max_length_a);
    row.Scalar("max_length_b", static_cast<double>(evaluation.spec().max_length_b));
  }
  row.Emit(*job.events, update);
  EmitFinished(job, update, parameters);
}

}  // namespace strata::trainer
