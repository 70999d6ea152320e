// The trainer's view of a TrialSpec (proto/strata/v1/trial_spec.proto): the same fields, read from its proto3 JSON.
// Plain C++ and JSON, no protobuf. A new field stands here as a member and in spec.cc as one line of a table.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/config.h"

namespace strata::trainer {

struct TaskSpec {
  std::string kind, dataset;
};

struct ModelSpec {
  std::string scheme, depth, share_embeddings;
  int64_t dim = 0, ffn_dim = 0, heads = 0;
  double dropout = 0, attention_dropout = 0, activation_dropout = 0;
  bool rescale_init = false, depth_scaled_init = false;
  std::string scheme_options;
  double word_dropout = 0;
  std::string adaptive_cutoffs;
  int64_t adaptive_factor = 0;
  double adaptive_softmax_dropout = 0;
  int64_t convolution_channels = 0;
};

struct TrainSpec {
  int64_t updates = 0, max_tokens = 0, max_sentences = 0, update_frequency = 0;
  double learning_rate = 0;
  int64_t warmup = 0;
  double warmup_init_learning_rate = 0, adam_beta1 = 0, adam_beta2 = 0, adam_epsilon = 0, weight_decay = 0;
  double label_smoothing = 0, clip_norm = 0;
  int64_t seed = 0, validate_every = 0, validation_sentences = 0, log_every = 0;
  int64_t checkpoint_every = 0, checkpoint_seconds = 0, keep_checkpoints = 0;
  std::string on_divergence;
  int64_t judge_after = 0, max_length = 0;
  std::string schedule;  // scheme, inverse_sqrt or inverse_sqrt_no_warmup
  int64_t decay_offset = 0;
  std::string smooth_over, validation_split;
  int64_t keep_epoch_checkpoints = 0, block_tokens = 0;
  int64_t frequency_masks = 0, frequency_mask_bins = 0, time_masks = 0, time_mask_frames = 0;
  std::string precision;
};

struct EvaluateSpec {
  std::string metric, split;
  int64_t sentences = 0, beam = 0;
  double length_penalty = 0, max_length_a = 0;
  int64_t max_length_b = 0;
  std::string checkpoint;
  int64_t average_last = 0;
  std::string length_penalties;
  int64_t n_best = 0, window_tokens = 0, context_tokens = 0;
  std::string precision;
  int64_t ranks = 0;
};

struct DiagnosticsSpec {
  int64_t gradient_norms_every = 0;
  std::string location_layers;
  int64_t locations_every = 0, similarity_every = 0, variances_every = 0;
};

struct ResourcesSpec {
  int64_t ranks = 0, threads = 0, min_ranks = 0, stall_seconds = 0;
};

struct TrialSpec {
  TaskSpec task;
  ModelSpec model;
  TrainSpec train;
  std::vector<EvaluateSpec> evaluate;
  DiagnosticsSpec diagnostics;
  ResourcesSpec resources;
};

// Strict: a missing key, an unknown key, a wrong type or a value outside of its range is a Failure (bad_spec) that
// names the path, the value and the remedy. 64-bit integers may be strings; "NaN", "Infinity" and "-Infinity" are
// numbers.
TrialSpec ParseSpec(const nlohmann::json& json);
// The same from a file, which the message names.
TrialSpec ReadSpec(const std::string& file);

// Every field as `path=value`, in the order of the proto: "model.dim=512", "evaluate[0].metric=bleu".
std::vector<std::string> SpecLines(const TrialSpec& spec);
// Batches of an update, over all ranks and however many run: train.update_frequency x resources.ranks.
int64_t BatchesPerUpdate(const TrialSpec& spec);
inline constexpr char kBatchesPerUpdate[] = "train.update_frequency x resources.ranks";  // its line's path

// Those of them that decide what an update computes: all but train.updates, the evaluations, the resources, the
// diagnostics' and the checkpoints' intervals; train.update_frequency stands as the batches of an update. Two specs that
// agree in them may continue each other's checkpoints.
std::vector<std::string> TrainingLines(const TrialSpec& spec);

// The model that the spec describes over `vocabulary` pieces. Failure (bad_spec) for a depth that is none.
model::ModelConfig ToModelConfig(const TrialSpec& spec, int64_t vocabulary);

}  // namespace strata::trainer
