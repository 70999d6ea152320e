#include "worker/trainer/training.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "model/optim/schedule.h"
#include "model/residual/residual_scheme.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/initialisation.h"

namespace strata::trainer {

namespace {

// What train.schedule comes to.
std::string ScheduleName(const TrialSpec& spec) {
  if (spec.train.schedule != "scheme") return spec.train.schedule;
  return model::DescribeScheme(spec.model.scheme).schedule;
}

// Updates of warm-up: none in a schedule without.
int64_t Warmup(const TrialSpec& spec) { return ScheduleName(spec) == "inverse_sqrt" ? spec.train.warmup : 0; }

std::function<double(int64_t)> LearningRate(const TrialSpec& spec) {
  const TrainSpec& train = spec.train;
  const std::string name = ScheduleName(spec);
  if (name == "inverse_sqrt") {
    return [schedule = model::InverseSquareRoot{.peak = train.learning_rate,
                                                .warmup = train.warmup,
                                                .initial = train.warmup_init_learning_rate}](int64_t done) { return schedule.At(done); };
  }
  if (name == "inverse_sqrt_no_warmup") {
    return [schedule = model::InverseSquareRootNoWarmup{.peak = train.learning_rate, .offset = train.decay_offset}](int64_t done) {
      return schedule.At(done);
    };
  }
  throw Failure(Cause::kBadSpec, "train.schedule: \"" + name + "\" is no schedule. Choose inverse_sqrt or inverse_sqrt_no_warmup.");
}

// Adds what was seen to what had been: not finite once is not finite until it is cleared.
void Remember(double value, double* seen) {
  if (!std::isfinite(*seen)) return;
  *seen = std::isfinite(value) ? std::max(*seen, value) : value;
}

std::string ShapeOf(const model::Batch& batch) {
  std::string shape = std::to_string(batch.sentences) + " sentences x ";
  if (batch.source_BS.defined()) shape += std::to_string(batch.source_BS.size(1)) + " source and ";
  if (batch.source_features_BSF.defined()) shape += std::to_string(batch.source_features_BSF.size(1)) + " frames and ";
  return shape + std::to_string(batch.target_BT.size(1)) + " target tokens";
}

}  // namespace

Training::Training(const Job& job)
    : job_(job),
      spec_(job.spec.train),
      manifest_(ReadDataset(job)),
      examples_(OpenExamples(job, manifest_, "train", {.max_length = spec_.max_length, .block_tokens = spec_.block_tokens})),
      batches_(model::TrainingBatches(*examples_, {.max_tokens = spec_.max_tokens, .max_sentences = spec_.max_sentences},
                                      static_cast<uint64_t>(spec_.seed))),
      model_(MakeModel(job, manifest_)),
      adam_(model_->Parameters(), {.beta1 = spec_.adam_beta1,
                                   .beta2 = spec_.adam_beta2,
                                   .epsilon = spec_.adam_epsilon,
                                   .weight_decay = spec_.weight_decay}),
      order_(batches_, static_cast<uint64_t>(spec_.seed), spec_.update_frequency),
      learning_rate_(LearningRate(job.spec)),
      validator_(std::make_unique<Validator>(job, manifest_, *model_, spec_.max_tokens)),
      checkpoints_(job.out / "checkpoints", spec_.keep_checkpoints, job.events),
      identity_(Identity(job, manifest_)),
      progress_(job.events, spec_.updates),
      last_checkpoint_(std::chrono::steady_clock::now()) {
  judge_.emplace(model::JudgeSettings{
      .unigram_nll = model::UnigramNll(*examples_, validator_->examples(), static_cast<size_t>(manifest_.vocabulary_size)),
      .warmup = Warmup(job.spec),
      .judge_after = spec_.judge_after});
  Start();
}

void Training::Start() {
  std::optional<CheckpointStore::Restored> restored;
  if (job_.resume) {
    restored = checkpoints_.Restore(adam_, identity_);
  } else if (!checkpoints_.Empty()) {
    throw Failure(Cause::kBadSpec, "There are checkpoints in " + (job_.out / "checkpoints").string() +
                                       " already. Go on from them with --resume, or give another --out.");
  }
  if (restored) {
    state_ = std::move(restored->state);
    SetRandomState(job_.environment, restored->random_state);
    order_.Seek(state_.position);
    for (const model::Validation& validation : state_.validations) judge_->Add(validation);
  }
  Json fields = {{"job", "train"},
                 {"resumed_from", restored ? Json(state_.update) : Json(nullptr)},
                 {"updates", spec_.updates},
                 {"parameters", adam_.flat().elements()},
                 {"unigram_nll", judge_->settings().unigram_nll}};
  fields.update(StartedFields(job_.environment, job_.world_size));
  job_.events->Emit("started", fields);
  if (examples_->left_out() > 0) {
    job_.events->Warn(std::to_string(examples_->left_out()) + " of " + std::to_string(examples_->left_out() + examples_->size()) +
                      " training examples are longer than train.max_length " + std::to_string(spec_.max_length) +
                      " and are left out.");
  }
  if (!restored) Initialise(job_, *examples_, batches_, *model_);
}

bool Training::Ended() const {
  return state_.update >= spec_.updates || (judge_->verdict() && spec_.on_divergence == "stop");
}

void Training::Run() {
  if (state_.validations.empty()) Validate();
  while (!Ended()) {
    if (job_.control->StopRequested()) {
      const std::string file = SaveCheckpoint();
      progress_.Report(state_.update);
      job_.events->Emit("stopped", {{"update", state_.update}, {"file", file}});
      job_.events->Sync();
      return;
    }
    Update();
    if (Due(spec_.validate_every)) {
      Validate();
    } else {
      Diagnose(nullptr);
      EmitRow();
    }
    if (spec_.keep_epoch_checkpoints > 0 && EpochEnded()) {
      checkpoints_.SaveEpoch(state_.position.epoch + 1, spec_.keep_epoch_checkpoints, adam_.flat().parameters(), state_.update,
                             identity_);
    }
    if (!Ended() && CheckpointDue()) SaveCheckpoint();
  }
  Finish();
}

void Training::AccumulateGradients(const std::vector<uint32_t>& batches, int64_t* tokens) {
  for (const uint32_t number : batches) {
    const model::Batch batch = model::ToDevice(examples_->Collate(batches_[number]), job_.environment.device);
    batch_shape_ = ShapeOf(batch);
    const model::LossSums sums = model_->Loss(batch, /*training=*/true);
    sums.loss.backward();
    state_.loss_sum += sums.loss.item<double>();
    state_.nll_sum += sums.nll.item<double>();
    *tokens += batch.target_tokens;
  }
  state_.target_tokens += *tokens;
}

void Training::Update() {
  try {
    int64_t tokens = 0;
    adam_.ZeroGradients();
    AccumulateGradients(order_.Next(), &tokens);
    const double scale = 1 / static_cast<double>(tokens);
    const double gradient_norm = adam_.flat().GradientNorm(scale);
    const double clip = spec_.clip_norm > 0 ? std::min(1.0, spec_.clip_norm / (gradient_norm + 1e-6)) : 1.0;
    const double learning_rate = learning_rate_(state_.update);
    ++state_.update;
    state_.position = order_.position();
    if (Due(job_.spec.diagnostics.gradient_norms_every)) {
      row_.Vectors("gradient_norm_parameters", model::ParameterGradientNorms(adam_.flat(), model_->config(), scale));
    }
    adam_.Step(learning_rate, static_cast<double>(tokens) / clip);
    Remember(state_.loss_sum, &state_.loss_seen);
    Remember(gradient_norm, &state_.gradient_norm_seen);
    if (Due(spec_.log_every)) TrainingRow(gradient_norm, learning_rate);
    progress_.Step(state_.update, tokens);
  } catch (const std::exception& error) {
    TellBatch(error);
  }
}

void Training::TellBatch(const std::exception& error) const {
  const Failure failure = ToFailure(error);
  if (failure.cause() != Cause::kOutOfMemory) throw failure;
  throw Failure(Cause::kOutOfMemory,
                "No memory left in update " + std::to_string(state_.update + 1) + ", with a batch of " + batch_shape_ +
                    ": " + failure.what() +
                    " Lower train.max_tokens and raise train.update_frequency, or take a larger machine.");
}

void Training::TrainingRow(double gradient_norm, double learning_rate) {
  const auto tokens = static_cast<double>(state_.target_tokens);
  row_.Scalar("train_loss", state_.loss_sum / tokens);
  row_.Scalar("train_nll", state_.nll_sum / tokens);
  row_.Scalar("learning_rate", learning_rate);
  row_.Scalar("gradient_norm", gradient_norm);
  row_.Scalar("target_tokens", tokens);
  state_.loss_sum = state_.nll_sum = 0;
  state_.target_tokens = 0;
}

void Training::Validate() {
  progress_.Enter("validate", state_.update);
  const double nll = validator_->Nll([this](int64_t tokens) { progress_.Step(state_.update, tokens); });
  const model::NormsByStack norms = validator_->OutputNorms();
  const double ratio = DivergenceRatio(norms), best = judge_->best_nll();
  state_.validations.push_back({.update = state_.update,
                                .nll = nll,
                                .loss = state_.loss_seen,
                                .gradient_norm = state_.gradient_norm_seen,
                                .layer_ratio = ratio});
  state_.loss_seen = state_.gradient_norm_seen = 0;
  const std::optional<model::Verdict> verdict = judge_->Add(state_.validations.back());
  row_.Scalar("valid_nll", nll);
  row_.Scalar("gradient_ratio", ratio);
  Diagnose(&norms);
  EmitRow();
  if (verdict) ReportVerdict(*verdict);
  if (nll < best) {
    state_.best_update = state_.update;
    checkpoints_.SaveWeights("best", adam_.flat().parameters(), state_.update, identity_);
  }
  progress_.Enter("train", state_.update);
}

void Training::Diagnose(const model::NormsByStack* norms) {
  const DiagnosticsSpec& spec = job_.spec.diagnostics;
  const bool norms_due = Due(spec.gradient_norms_every);
  if (norms_due && norms != nullptr) row_.Vectors("gradient_norm_output", *norms);
  model::Inspection wanted{.similarity = Due(spec.similarity_every), .variances = Due(spec.variances_every)};
  if (!spec.location_layers.empty() && Due(spec.locations_every)) wanted.location_layers = spec.location_layers;
  if ((!norms_due || norms != nullptr) && !wanted.any()) return;
  progress_.Enter("validate", state_.update);
  if (norms_due && norms == nullptr) row_.Vectors("gradient_norm_output", validator_->OutputNorms());
  if (wanted.any()) row_.Vectors(validator_->Inspect(wanted));
  progress_.Enter("train", state_.update);
}

void Training::EmitRow() {
  row_.Emit(*job_.events, state_.update);
  row_ = {};
}

void Training::ReportVerdict(const model::Verdict& verdict) {
  Json evidence = Json::object();
  for (const auto& [name, value] : verdict.evidence) evidence[name] = NumberJson(value);
  job_.events->Emit("verdict",
                    {{"rule", model::RuleName(verdict.rule)}, {"update", verdict.update}, {"evidence", evidence}});
}

bool Training::CheckpointDue() {
  const bool by_time =
      std::chrono::steady_clock::now() - last_checkpoint_ >= std::chrono::seconds(spec_.checkpoint_seconds);
  const bool by_update = spec_.checkpoint_every > 0 && state_.update % spec_.checkpoint_every == 0;
  return job_.control->TakeCheckpointRequest() || by_time || by_update;
}

std::string Training::SaveCheckpoint() {
  const std::string file = checkpoints_.SaveResumable(adam_, RandomState(job_.environment), state_, identity_);
  last_checkpoint_ = std::chrono::steady_clock::now();
  return file;
}

void Training::Finish() {
  const bool diverged = judge_->verdict().has_value();
  if (state_.update >= spec_.updates) SaveCheckpoint();  // so that it can be extended
  checkpoints_.SaveWeights("final", adam_.flat().parameters(), state_.update, identity_);
  progress_.Report(state_.update);
  job_.events->Emit("finished", {{"state", diverged ? "diverged" : "succeeded"},
                                 {"updates", state_.update},
                                 {"weights_sha256", WeightsHash(adam_.flat().parameters())},
                                 {"best_nll", NumberJson(judge_->best_nll())},
                                 {"final_nll", NumberJson(state_.validations.back().nll)}});
  job_.events->Sync();
}

}  // namespace strata::trainer
