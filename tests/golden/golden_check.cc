#include "tests/golden/golden_check.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "model/layers/packing.h"
#include "model/optim/adam.h"
#include "model/optim/schedule.h"

namespace strata::golden {
namespace {

using model::Batch;
using model::NamedView;
using nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The greater, NaN if either is.
double Worse(double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); }

double MaxAbs(const at::Tensor& tensor) { return tensor.numel() == 0 ? 0.0 : tensor.abs().max().item<double>(); }

double Relative(double ours, double theirs) {
  return std::isfinite(ours) && std::isfinite(theirs) ? std::abs(ours - theirs) / std::max(std::abs(theirs), 1e-12) : kNan;
}

// max|a - b| / max(max|b|, 1e-2).
double RelativeMax(const at::Tensor& ours, const at::Tensor& theirs) {
  const double scale = MaxAbs(theirs);
  return std::isnan(scale) ? kNan : MaxAbs(ours - theirs) / std::max(scale, 1e-2);
}

bool IsKeyBias(const std::string& name) { return name.size() > 11 && name.compare(name.size() - 11, 11, "k_proj.bias") == 0; }

class Checker {
 public:
  Checker(const Case& reference, const model::ModelConfig& config, Outcome* outcome)
      : reference_(reference), outcome_(outcome), model_(model::CreateModel(config)) {
    for (const auto& parameter : model_->Parameters()) parameters_[parameter.name] = parameter.tensor;
    LoadParameters();
  }

  void Run() {
    const bool forward = reference_.HasAny("out.") || reference_.HasAny("grad.") || reference_.HasAny("in.target") ||
                         reference_.facts.contains("loss");
    const bool trajectory = reference_.HasAny("traj.") || reference_.facts.contains("traj");
    const bool beam = reference_.facts.contains("runs");
    if (!forward && !trajectory && !beam) Fail("the case holds nothing to compare");
    if (beam) CheckBeam();
    if (forward) CheckForward();
    if (trajectory) CheckTrajectory();  // last: it changes the weights
  }

 private:
  void Fail(const std::string& why) { outcome_->failures.push_back(why); }
  void Require(const std::string& what, double value, double bound) {
    if (!(value <= bound)) Fail(what + " is " + std::to_string(value) + ", above " + std::to_string(bound));
  }

  at::Tensor Part(const NamedView& view) const { return parameters_.at(view.parameter).detach().narrow(0, view.begin, view.rows); }

  void LoadParameters() {
    std::set<std::string> expected;
    for (const NamedView& view : model_->FairseqViews()) {
      at::Tensor part = Part(view);
      const at::Tensor value = reference_.Get("param." + view.name, at::kFloat, part.sizes());
      if (!at::isfinite(value).all().item<bool>()) throw CaseError("param." + view.name + " is not finite");
      part.copy_(value);
      expected.insert("param." + view.name);
    }
    for (const std::string& name : reference_.tensors.names()) {
      if (name.compare(0, 6, "param.") == 0 && expected.count(name) == 0) throw CaseError(name + " belongs to no part of this model");
    }
  }

  void CheckForward() {
    const Batch batch = reference_.GetBatch("in.", model_->config().vocabulary);
    CheckOutputs(batch);
    CheckLossAndGradients(batch);
  }

  // Logits and every layer's output, at positions that are no padding.
  void CheckOutputs(const Batch& batch) {
    const at::NoGradGuard no_grad;
    model::LayerTaps taps;
    const at::Tensor logits = model_->Logits(batch, &taps);
    const at::Tensor target_mask = batch.target_input_BT.ne(model::kPad), source_mask = batch.source_BS.ne(model::kPad);
    const auto deviation = [&](const at::Tensor& ours, const std::string& name, const at::Tensor& mask) {
      const at::Tensor theirs = reference_.Get(name, at::kFloat, ours.sizes());
      return MaxAbs((ours - theirs).index({mask}));
    };
    outcome_->logits_max_abs = deviation(logits, "out.logits", target_mask);
    Require("logits_max_abs", *outcome_->logits_max_abs, kLogitsBound);
    for (const auto& [stack, tokens, mask] :
         {std::tuple("encoder", batch.source_BS, source_mask), {"decoder", batch.target_input_BT, target_mask}}) {
      const model::Packing packing = model::Pack(tokens);
      const model::LayerTaps::Stack& seen = taps.stacks.at(stack);
      const std::string prefix = std::string("out.") + stack + ".layer";
      double worst = deviation(model::Unpack(seen.input_ND, packing), prefix + "0.input", mask);
      for (size_t i = 0; i < seen.outputs_ND.size(); ++i) {
        const std::string name = prefix + std::to_string(i) + ".output";
        worst = Worse(worst, deviation(model::Unpack(seen.outputs_ND[i], packing), name, mask));
      }
      Require(std::string("the greatest deviation of the ") + stack + "'s layer outputs", worst, kLogitsBound);
    }
  }

  void CheckLossAndGradients(const Batch& batch) {
    const model::LossSums sums = model_->Loss(batch, /*training=*/true);
    sums.loss.backward();
    outcome_->loss_rel = Relative(sums.loss.item<double>(), reference_.Scalar("out.loss"));
    Require("loss_rel", *outcome_->loss_rel, kLossBound);
    Require("the relative deviation of nll", Relative(sums.nll.item<double>(), reference_.Scalar("out.nll")), kLossBound);
    CheckFacts(batch);
    double worst = 0;
    for (const NamedView& view : model_->FairseqViews()) {
      const at::Tensor ours = parameters_.at(view.parameter).grad().narrow(0, view.begin, view.rows);
      const at::Tensor theirs = reference_.Get("grad." + view.name, at::kFloat, ours.sizes());
      if (!at::isfinite(theirs).all().item<bool>()) Fail("grad." + view.name + " is not finite");
      if (!IsKeyBias(view.name)) worst = Worse(worst, RelativeMax(ours, theirs));
    }
    for (const auto& [name, parameter] : parameters_) parameter.mutable_grad() = at::Tensor();
    outcome_->grad_max_rel = worst;
    Require("grad_max_rel", worst, kGradientBound);
  }

  // The .json repeats some of the tensors.
  void CheckFacts(const Batch& batch) {
    for (const auto& [key, name] : {std::pair("loss", "out.loss"), {"nll", "out.nll"}}) {
      const json value = reference_.facts.value(key, json());
      if (!value.is_number() || !(Relative(value.get<double>(), reference_.Scalar(name)) <= 1e-6)) {
        Fail(std::string(key) + " in the .json differs from " + name);
      }
    }
    if (reference_.facts.value("ntokens", json()) != json(batch.target_tokens)) {
      Fail("ntokens in the .json differs from the number of targets");
    }
  }

  void CheckTrajectory() {
    const json facts = reference_.facts.value("traj", json());
    if (!facts.is_object()) throw CaseError("traj is missing in the .json");
    const std::vector<double> rates = reference_.Series("traj.lr"), tokens = reference_.Series("traj.ntokens"),
                              norms = reference_.Series("traj.gnorm"), nlls = reference_.Series("traj.nll"),
                              losses = reference_.Series("traj.loss");
    for (const auto* series : {&rates, &tokens, &norms, &nlls}) {
      if (series->size() != losses.size() || losses.empty()) throw CaseError("the series of traj.* differ in length");
    }
    CheckRates(facts, rates);
    const std::vector<Batch> batches = TrajectoryBatches();
    const auto betas = facts.at("adam").at("betas").get<std::vector<double>>();
    model::Adam adam(model_->Parameters(), {.beta1 = betas.at(0), .beta2 = betas.at(1), .epsilon = facts.at("adam").at("eps").get<double>()});
    double worst = 0, worst_norm = 0, worst_nll = 0;
    for (size_t step = 0; step < losses.size(); ++step) {
      const Batch& batch = batches[step % batches.size()];
      if (static_cast<double>(batch.target_tokens) != tokens[step]) Fail("traj.ntokens differs at step " + std::to_string(step));
      adam.ZeroGradients();
      const model::LossSums sums = model_->Loss(batch, /*training=*/true);
      sums.loss.backward();
      worst = Worse(worst, Relative(sums.loss.item<double>(), losses[step]));
      worst_nll = Worse(worst_nll, Relative(sums.nll.item<double>(), nlls[step]));
      const auto divisor = static_cast<double>(batch.target_tokens);
      worst_norm = Worse(worst_norm, Relative(adam.flat().GradientNorm(1 / divisor), norms[step]));
      adam.Step(rates[step], divisor);
    }
    outcome_->trajectory_max_rel = worst;
    Require("trajectory_max_rel", worst, kTrajectoryBound);
    Require("the trajectory's greatest relative deviation of nll", worst_nll, kTrajectoryBound);
    Require("the trajectory's greatest relative deviation of the gradient norm", worst_norm, 10 * kTrajectoryBound);
    CheckFinalWeights();
  }

  // The recorded rates are the schedule's.
  void CheckRates(const json& facts, const std::vector<double>& rates) {
    const model::InverseSquareRoot schedule{.peak = facts.at("base_lr").get<double>(),
                                            .warmup = facts.at("warmup").get<int64_t>(),
                                            .initial = facts.at("warmup_init_lr").get<double>()};
    double worst = 0;
    for (size_t step = 0; step < rates.size(); ++step) {
      worst = Worse(worst, Relative(schedule.At(static_cast<int64_t>(step)), rates[step]));
    }
    Require("the learning rate's greatest relative deviation", worst, 1e-6);
  }

  std::vector<Batch> TrajectoryBatches() const {
    std::vector<Batch> batches;
    for (int64_t k = 0; reference_.HasAny("traj.batch" + std::to_string(k) + "."); ++k) {
      batches.push_back(reference_.GetBatch("traj.batch" + std::to_string(k) + ".", model_->config().vocabulary));
    }
    if (batches.empty()) throw CaseError("traj.batch0.* is missing");
    return batches;
  }

  void CheckFinalWeights() {
    if (!reference_.HasAny("traj.final.")) return;
    double worst = 0;
    std::string where;
    for (const NamedView& view : model_->FairseqViews()) {
      const at::Tensor ours = Part(view);
      const at::Tensor theirs = reference_.Get("traj.final." + view.name, at::kFloat, ours.sizes());
      if (IsKeyBias(view.name)) continue;  // its true gradient is zero, and Adam amplifies the rounding
      const double deviation = RelativeMax(ours, theirs);
      if (!(deviation <= worst)) where = view.name;
      worst = Worse(worst, deviation);
    }
    Require("the final weights' greatest relative deviation (" + where + ")", worst, 10 * kTrajectoryBound);
  }

  void CheckBeam() {
    outcome_->beam_equal = true;
    const at::Tensor source_BS = reference_.Get("in.src_tokens", at::kLong);
    const at::Tensor lengths = reference_.Get("in.src_lengths", at::kLong, {source_BS.size(0)});
    if (!at::equal(lengths, source_BS.ne(model::kPad).sum(1))) throw CaseError("in.src_lengths does not fit the tokens");
    const json& runs = reference_.facts.at("runs");
    if (!runs.is_array() || runs.empty()) throw CaseError("runs in the .json is empty");
    for (size_t i = 0; i < runs.size(); ++i) {
      const std::string why = CompareRun(runs[i], source_BS);
      if (why.empty()) continue;
      outcome_->beam_equal = false;
      Fail("run " + std::to_string(i) + ": " + why);
    }
  }

  // Empty where tokens and scores agree.
  std::string CompareRun(const json& run, const at::Tensor& source_BS) {
    if (run.at("min_len") != 1 || run.at("unkpen") != 0.0) return "min_len other than 1 or unkpen other than 0 is not known here";
    // fairseq counts the batch's padded length; ours is each sentence's own, so the reference's limit is handed over whole.
    const double limit = run.at("max_len_a").get<double>() * static_cast<double>(source_BS.size(1)) + run.at("max_len_b").get<double>();
    const auto beam = run.at("beam").get<int64_t>();
    const model::DecodeOptions options{.beam = beam,
                                       .length_penalty = run.at("normalize_scores").get<bool>() ? run.at("lenpen").get<double>() : 0,
                                       .max_length_a = 0,
                                       .max_length_b = static_cast<int64_t>(limit),
                                       .n_best = beam};
    const model::Hypotheses ours = model_->Decode({.source_BS = source_BS}, options);
    const json& theirs = run.at("hyps");
    if (theirs.size() != ours.size()) return "another number of sentences";
    for (size_t s = 0; s < ours.size(); ++s) {
      if (theirs[s].size() != ours[s].size()) return "another number of hypotheses of sentence " + std::to_string(s);
      for (size_t h = 0; h < ours[s].size(); ++h) {
        const std::string where = " of hypothesis " + std::to_string(h) + " of sentence " + std::to_string(s);
        if (theirs[s][h].at("tokens") != json(ours[s][h].tokens)) return "other tokens" + where;
        if (!(std::abs(theirs[s][h].at("score").get<double>() - ours[s][h].score) <= kScoreBound)) return "another score" + where;
        const auto scores = theirs[s][h].at("positional_scores").get<std::vector<double>>();
        if (scores.size() != ours[s][h].positional_scores.size()) return "another number of scores" + where;
        for (size_t t = 0; t < scores.size(); ++t) {
          if (!(std::abs(scores[t] - ours[s][h].positional_scores[t]) <= kScoreBound)) return "another score of a token" + where;
        }
      }
    }
    return "";
  }

  const Case& reference_;
  Outcome* outcome_;
  std::unique_ptr<model::SequenceModel> model_;
  std::map<std::string, at::Tensor> parameters_;
};

json Number(const std::optional<double>& value) {
  if (!value) return nullptr;
  return std::isfinite(*value) ? json(*value) : json("NaN");
}

}  // namespace

json Outcome::ToJson() const {
  return {{"case", name},
          {"logits_max_abs", Number(logits_max_abs)},
          {"loss_rel", Number(loss_rel)},
          {"grad_max_rel", Number(grad_max_rel)},
          {"trajectory_max_rel", Number(trajectory_max_rel)},
          {"beam_equal", beam_equal ? json(*beam_equal) : json()},
          {"pass", skipped_because.empty() ? json(passed()) : json()},
          {"skipped_because", skipped_because.empty() ? json() : json(skipped_because)}};
}

Outcome CheckCase(const std::filesystem::path& safetensors) {
  Outcome outcome{.name = safetensors.stem().string()};
  try {
    const Case reference = Case::Open(safetensors);
    const Kind kind = ReadKind(reference);
    outcome.skipped_because = kind.skipped_because;
    if (outcome.skipped_because.empty()) Checker(reference, kind.config, &outcome).Run();
  } catch (const c10::Error& error) {
    outcome.failures.push_back(error.what_without_backtrace());
  } catch (const std::exception& error) {
    outcome.failures.push_back(error.what());
  }
  return outcome;
}

}  // namespace strata::golden
