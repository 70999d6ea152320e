// Decoding the whole of a split, and the files that come of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "worker/trainer/job.h"
#include "worker/trainer/progress.h"

namespace strata::trainer {

struct DecodedLine {
  std::string text;  // detokenised; never holds a \n
  double score = 0;  // normalised log probability
  int64_t tokens = 0;
};

// What a model wrote for a split, in the split's order: lines[sentence][rank], best first.
struct DecodedSplit {
  std::string split;
  std::vector<std::vector<DecodedLine>> lines;

  std::vector<std::string> Best() const;
};

// Decodes all examples in batches of about the same length; batch i is rank i mod W's, and only the first rank returns
// lines, the same bits for any W. `done` counts sentences on, over the job's splits. Nothing where a stop was asked for. Failure (data_error): the detokeniser that the dataset names is missing or fails.
std::optional<DecodedSplit> DecodeSplit(const Job& job, const model::Manifest& manifest, const std::string& split,
                                        model::SequenceModel& model, const model::Examples& examples,
                                        const model::DecodeOptions& options, Progress& progress, int64_t* done);

// What an evaluation asks of decoding; single splits may have another length penalty.
model::DecodeOptions DecodeOptionsOf(const EvaluateSpec& evaluation);

// Writes a file of --out and emits its `artifact`.
void SaveArtifact(const Job& job, const std::string& name, const std::string& file, const std::string& media_type,
                  const std::string& content);

// hypotheses.txt, or hypotheses-SPLIT.txt where there are several splits; and n-best.jsonl where `n_best` is above 1:
// one object a sentence, {"split", "sentence" (from 1), "hypotheses": [{"text", "score", "tokens"}]}.
void SaveHypotheses(const Job& job, const std::vector<DecodedSplit>& splits, int64_t n_best);

}  // namespace strata::trainer
