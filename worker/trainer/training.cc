#include "worker/trainer/training.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "model/optim/schedule.h"
#include "model/residual/residual_scheme.h"
#include "worker/trainer/batch_memory.h"
#include "worker/trainer/checkpoint_state.h"
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
                                                .initial = train.warmup_init_learning_rate}](int64_t done) {
      return schedule.At(done);
    };
  }
  if (name == "inverse_sqrt_no_warmup") {
    return [schedule = model::InverseSquareRootNoWarmup{.peak = train.learning_rate, .offset = train.decay_offset}](
               int64_t done) { return schedule.At(done); };
  }
  throw Failure(Cause::kBadSpec,
                "train.schedule: \"" + name + "\" is no schedule. Choose inverse_sqrt or inverse_sqrt_no_warmup.");
}

// Adds what was seen to what had been: not finite once is not finite until it is cleared.
void Remember(double value, double* seen) {
  if (!std::isfinite(*seen)) return;
  *seen = std::isfinite(value) ? std::max(*seen, value) : value;
}

// A sum that stands on the model's device until it is asked for.
void Add(const at::Tensor& value, at::Tensor* sum) {
  *sum = sum->defined() ? *sum + value.detach() : value.detach();
}
double ValueOf(const at::Tensor& sum) { return sum.defined() ? sum.item<double>() : 0; }

}  // namespace

Training::Training(const Job& job)
    : job_(job),
      spec_(job.spec.train),
      manifest_(ReadDataset(job)),
      examples_(
          OpenExamples(job, manifest_, "train", {.max_length = spec_.max_length, .block_tokens = spec_.block_tokens})),
      batches_(model::TrainingBatches(*examples_,
                                      {.max_tokens = spec_.max_tokens, .max_sentences = spec_.max_sentences},
                                      static_cast<uint64_t>(spec_.seed))),
      model_(MakeModel(job, manifest_)),
      adam_(model_->Parameters(), {.beta1 = spec_.adam_beta1,
                                   .beta2 = spec_.adam_beta2,
                                   .epsilon = spec_.adam_epsilon,
                                   .weight_decay = spec_.weight_decay}),
      order_(batches_, static_cast<uint64_t>(spec_.seed), BatchesPerUpdate(job.spec)),
      learning_rate_(LearningRate(job.spec)),
      validator_(std::make_unique<Validator>(job, manifest_, *model_, spec_.max_tokens)),
      identity_(Identity(job, manifest_)),
      progress_(job.events, spec_.updates),
      last_checkpoint_(std::chrono::steady_clock::now()) {
  judge_.emplace(model::JudgeSettings{.unigram_nll = model::UnigramNll(*examples_, validator_->examples(),
                                                                       static_cast<size_t>(manifest_.vocabulary_size)),
                                      .warmup = Warmup(job.spec),
                                      .judge_after = spec_.judge_after});
  if (!job.ranks->alone()) reducer_ = std::make_unique<GradientReducer>(job.ranks, adam_.flat());
  if (job.ranks->first())
    checkpoints_ = std::make_unique<CheckpointStore>(job.out / "checkpoints", spec_.keep_checkpoints, job.events);
  Start();
}

std::optional<TrainingState> Training::Restore() {
  std::string state;
  if (job_.ranks->first()) {
    if (job_.resume) {
      if (const auto restored = checkpoints_->Restore(adam_, identity_))
        state = ToJson(*restored, adam_.steps()).dump();
    } else if (!checkpoints_->Empty()) {
      throw Failure(Cause::kBadSpec, "There are checkpoints in " + (job_.out / "checkpoints").string() +
                                         " already. Go on from them with --resume, or give another --out.");
    }
  }
  state = job_.ranks->FromFirst("state", state);
  if (state.empty()) return std::nullopt;
  TrainingState restored;
  int64_t steps = 0;
  FromJson(nlohmann::json::parse(state), &restored, &steps);
  adam_.set_steps(steps);
  if (!job_.ranks->alone()) job_.ranks->FromFirst("moments", adam_.State());
  return restored;
}

void Training::Start() {
  const std::optional<TrainingState> restored = Restore();
  if (restored) {
    state_ = *restored;
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
  if (job_.ranks->first()) {
    if (examples_->left_out() > 0) {
      job_.events->Warn(std::to_string(examples_->left_out()) + " of " +
                        std::to_string(examples_->left_out() + examples_->size()) +
                        " training examples are longer than train.max_length " + std::to_string(spec_.max_length) +
                        " and are left out.");
    }
    if (!restored) Initialise(job_, *examples_, batches_, *model_);
  }
  job_.ranks->FromFirst("weights", adam_.flat().weights());
  AddOverRanks("start", &last_);
}

bool Training::Ended() const {
  return state_.update >= spec_.updates || (judge_->verdict() && spec_.on_divergence == "stop");
}

void Training::Run() {
  if (state_.validations.empty()) Validate();
  while (!Ended()) {
    if (StopAgreed()) return Stop();
    Update();
    if (Due(spec_.validate_every)) {
      Validate();
    } else {
      Diagnose(nullptr);
      EmitRow();
    }
    if (!checkpoints_) continue;
    checkpoints_->Check();
    if (spec_.keep_epoch_checkpoints > 0 && EpochEnded()) {
      checkpoints_->SaveEpoch(state_.position.epoch + 1, spec_.keep_epoch_checkpoints, adam_.flat().parameters(),
                              state_.update, identity_);
    }
    if (!Ended() && CheckpointDue()) SaveCheckpoint();
  }
  Finish();
}

void Training::Stop() {
  Json file = nullptr;
  if (checkpoints_) {
    file = SaveCheckpoint();
    checkpoints_->Finish();
  }
  progress_.Report(state_.update);
  job_.events->Emit("stopped", {{"update", state_.update}, {"file", file}});
  job_.events->Sync();
}

// Alone it is asked anew; of several ranks all must answer alike, so the last update's sums say it.
bool Training::StopAgreed() const { return job_.ranks->alone() ? job_.control->StopRequested() : last_.stops > 0; }

void Training::AccumulateGradients(const std::vector<uint32_t>& batches, Sums* sums) {
  const size_t ranks = static_cast<size_t>(job_.ranks->size());
  // Where a rank has no batch, its backward pass could not take part in the others'.
  const bool all_have_one = batches.size() >= ranks;
  at::Tensor loss, nll;
  for (size_t place = static_cast<size_t>(job_.ranks->rank()); place < batches.size(); place += ranks) {
    const model::Batch batch = examples_->Collate(batches_[batches[place]]);
    batch_shape_ = ShapeOf(batch);
    at::manual_seed(model::BatchSeed(static_cast<uint64_t>(spec_.seed), state_.update, static_cast<int64_t>(place)));
    const model::LossSums of_batch = model_->Loss(batch, /*training=*/true);
    if (reducer_ && all_have_one && place + ranks >= batches.size()) {
      reducer_->Backward(of_batch.loss, state_.update + 1);
    } else {
      of_batch.loss.backward();
    }
    Add(of_batch.loss, &loss);
    Add(of_batch.nll, &nll);
    sums->tokens += static_cast<double>(batch.target_tokens);
  }
  if (reducer_ && !all_have_one) reducer_->SumAccumulated(state_.update + 1);
  sums->loss = ValueOf(loss);
  sums->nll = ValueOf(nll);
}

void Training::AddOverRanks(const std::string& name, Sums* sums) {
  if (job_.ranks->alone()) return;
  sums->stops = job_.control->StopRequested() ? 1 : 0;
  sums->checkpoints = job_.control->TakeCheckpointRequest() ? 1 : 0;
  double* values[] = {&sums->tokens, &sums->loss, &sums->nll, &sums->stops, &sums->checkpoints};
  constexpr int64_t kValues = std::size(values);
  double packed[kValues];
  for (int64_t i = 0; i < kValues; ++i) packed[i] = *values[i];
  job_.ranks->Sum(name, at::from_blob(packed, {kValues}, at::kDouble));
  for (int64_t i = 0; i < kValues; ++i) *values[i] = packed[i];
}

void Training::Update() {
  try {
    Sums sums;
    adam_.ZeroGradients();
    AccumulateGradients(order_.Next(), &sums);
    AddOverRanks("update " + std::to_string(state_.update + 1) + ", sums", &sums);
    state_.loss_sum += sums.loss;
    state_.nll_sum += sums.nll;
    state_.target_tokens += static_cast<int64_t>(sums.tokens);
    const double scale = 1 / sums.tokens;
    const double gradient_norm = adam_.flat().GradientNorm(scale);
    const double clip = spec_.clip_norm > 0 ? std::min(1.0, spec_.clip_norm / (gradient_norm + 1e-6)) : 1.0;
    const double learning_rate = learning_rate_(state_.update);
    ++state_.update;
    state_.position = order_.position();
    if (job_.ranks->first() && Due(job_.spec.diagnostics.gradient_norms_every)) {
      row_.Vectors("gradient_norm_parameters", model::ParameterGradientNorms(adam_.flat(), model_->config(), scale));
    }
    adam_.Step(learning_rate, sums.tokens / clip);
    Remember(state_.loss_sum, &state_.loss_seen);
    Remember(gradient_norm, &state_.gradient_norm_seen);
    if (Due(spec_.log_every)) TrainingRow(gradient_norm, learning_rate);
    progress_.Step(state_.update, static_cast<int64_t>(sums.tokens));
    last_ = sums;
  } catch (const std::exception& error) {
    ThrowOnBatch(error, "update " + std::to_string(state_.update + 1), batch_shape_,
                 "Lower train.max_tokens and raise train.update_frequency, or take a worker with more memory.");
  }
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
  model::NormsByStack norms;
  double ratio = 0;
  if (job_.ranks->first()) {
    norms = validator_->OutputNorms();
    ratio = DivergenceRatio(norms);
  }
  job_.ranks->FromFirst("validation, gradient ratio", at::from_blob(&ratio, {1}, at::kDouble));
  const double best = judge_->best_nll();
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
  if (verdict && job_.ranks->first()) ReportVerdict(*verdict);
  if (nll < best) {
    state_.best_update = state_.update;
    if (checkpoints_) checkpoints_->SaveWeights("best", adam_.flat().parameters(), state_.update, identity_);
  }
  progress_.Enter("train", state_.update);
}

void Training::Diagnose(const model::NormsByStack* norms) {
  if (!job_.ranks->first()) return;
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
  if (job_.ranks->first()) row_.Emit(*job_.events, state_.update);
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
  const bool asked = job_.ranks->alone() ? job_.control->TakeCheckpointRequest() : last_.checkpoints > 0;
  return asked || by_time || by_update;
}

std::string Training::SaveCheckpoint() {
  const std::string file = checkpoints_->SaveResumable(adam_, state_, identity_);
  last_checkpoint_ = std::chrono::steady_clock::now();
  return file;
}

void Training::Finish() {
  const bool diverged = judge_->verdict().has_value();
  if (checkpoints_) {
    if (state_.update >= spec_.updates) SaveCheckpoint();  // so that it can be extended
    checkpoints_->SaveWeights("final", adam_.flat().parameters(), state_.update, identity_);
    checkpoints_->Finish();
  }
  progress_.Report(state_.update);
  job_.events->Emit("finished", {{"state", diverged ? "diverged" : "succeeded"},
                                 {"updates", state_.update},
                                 {"weights_sha256", WeightsHash(adam_.flat().parameters())},
                                 {"best_nll", NumberJson(judge_->best_nll())},
                                 {"final_nll", NumberJson(state_.validations.back().nll)}});
  job_.events->Sync();
}

}  // namespace strata::trainer
