// The trainer's view of a TrialSpec (proto/strata/v1/trial_spec.proto): the same fields, read from its proto3 JSON.
// Plain C++ and JSON, no protobuf. A new field stands here as a member with the proto's default (a test compares) and in
// spec.cc as one line of a table. A spec that is read has every field: defaults serve DefaultTrainingLines alone.
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
  std::string scheme, depth, share_embeddings = "all";
  int64_t dim = 512, ffn_dim = 2048, heads = 8;
  double dropout = 0.1, attention_dropout = 0, activation_dropout = 0;
  bool rescale_init = false, depth_scaled_init = false;
  std::string scheme_options;
  double word_dropout = 0;
  std::string adaptive_cutoffs;
  int64_t adaptive_factor = 4;
  double adaptive_softmax_dropout = 0;
  int64_t convolution_channels = 1024;
};

struct TrainSpec {
  int64_t updates = 0, max_tokens = 3584, max_sentences = 0, update_frequency = 1;
  double learning_rate = 1e-3;
  int64_t warmup = 4000;
  double warmup_init_learning_rate = 1e-7, adam_beta1 = 0.9, adam_beta2 = 0.98, adam_epsilon = 1e-8, weight_decay = 0;
  double label_smoothing = 0.1, clip_norm = 0;
  int64_t seed = 1, validate_every = 1000, validation_sentences = 0, log_every = 10;
  int64_t checkpoint_every = 0, checkpoint_seconds = 600, keep_checkpoints = 2;
  std::string on_divergence = "stop";
  int64_t judge_after = 400, max_length = 0;
  std::string schedule = "scheme";  // scheme, inverse_sqrt or inverse_sqrt_no_warmup
  int64_t decay_offset = 4000;
  std::string smooth_over = "vocabulary", validation_split = "valid";
  int64_t keep_epoch_checkpoints = 0, block_tokens = 512;
  int64_t frequency_masks = 0, frequency_mask_bins = 27, time_masks = 0, time_mask_frames = 100;
  std::string precision = "fp32";
};

struct EvaluateSpec {
  std::string metric, split = "test";
  int64_t sentences = 0, beam = 4;
  double length_penalty = 1, max_length_a = 0;
  int64_t max_length_b = 200;
  std::string checkpoint = "final";
  int64_t average_last = 10;
  std::string length_penalties;
  int64_t n_best = 1, window_tokens = 0, context_tokens = 0;
  std::string precision = "fp32";
  int64_t ranks = 1;
};

struct DiagnosticsSpec {
  int64_t gradient_norms_every = 100;
  std::string location_layers;
  int64_t locations_every = 0, similarity_every = 0, variances_every = 0;
};

struct ResourcesSpec {
  int64_t ranks = 1, threads = 1, min_ranks = 0, stall_seconds = 0;
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

// What TrainingLines says of fields that stand at the proto's default, without those that have none: what a checkpoint
// that was written before a field existed means by its silence.
std::vector<std::string> DefaultTrainingLines();

// The model that the spec describes over `vocabulary` pieces. Failure (bad_spec) for a depth that is none.
model::ModelConfig ToModelConfig(const TrialSpec& spec, int64_t vocabulary);

}  // namespace strata::trainer
