#include "tests/golden/golden_check.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "model/layers/embedding.h"
#include "model/layers/packing.h"
#include "model/optim/adam.h"
#include "model/optim/schedule.h"
#include "tests/golden/golden_weights.h"

namespace strata::golden {
namespace {

using model::Batch;
using nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The greater, NaN if either is.
double Worse(double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); }

double MaxAbs(const at::Tensor& tensor) { return tensor.numel() == 0 ? 0.0 : tensor.abs().max().item<double>(); }

double Relative(double ours, double theirs) {
  return std::isfinite(ours) && std::isfinite(theirs) ? std::abs(ours - theirs) / std::max(std::abs(theirs), 1e-12)
                                                      : kNan;
}

class Checker {
 public:
  Checker(const Case& reference, const model::ModelConfig& config, const at::Device& device, Outcome* outcome)
      : reference_(reference), outcome_(outcome), model_(CreateOn(device, config)), weights_(reference, *model_) {
    weights_.Load();
  }

  void Run() {
    const bool forward = reference_.HasAny("out.") || reference_.HasAny("grad.") || reference_.HasAny("in.target") ||
                         reference_.facts.contains("loss");
    const bool trajectory = reference_.HasAny("traj.") || reference_.facts.contains("traj");
    const bool beam = reference_.facts.contains("runs");
    if (!forward && !trajectory && !beam) Fail("the case holds nothing to compare");
    if (beam) CheckBeam();
    if (reference_.facts.contains("profile_file")) CheckProfile();
    if (forward) CheckForward();
    if (trajectory) CheckTrajectory();  // last: it changes the weights
  }

 private:
  static std::unique_ptr<model::SequenceModel> CreateOn(const at::Device& device, const model::ModelConfig& config) {
    auto model = model::CreateModel(config);
    model::MoveTo(*model, device);
    return model;
  }

  void Fail(const std::string& why) { outcome_->failures.push_back(why); }
  void Require(const std::string& what, double value, double bound) {
    if (!(value <= bound)) Fail(what + " is " + std::to_string(value) + ", above " + std::to_string(bound));
  }

  const model::ModelConfig& config() const { return model_->config(); }
  bool IsTFixup() const { return reference_.facts.value("repo", "") == "T-Fixup"; }

  // Lines "<index> <value>", by stack: what a profile of the case's batch makes of Admin's ratios.
  void CheckProfile() {
    std::vector<double> expected;
    for (const json& line : reference_.facts.at("profile_file")) {
      std::istringstream in(line.get<std::string>());
      int64_t index = 0;
      double value = 0;
      if (in >> index >> value) expected.push_back(value);
    }
    if (!model_->NeedsProfile()) return Fail("the case holds a profile and our model needs none");
    model_->Profile(reference_.GetBatch("in.", config()));
    std::vector<double> ours;
    for (const auto& [stack, kinds] :
         {std::pair("encoder", std::vector<std::string>{"attention", "fc"}), {"decoder", {"self", "encoder", "fc"}}}) {
      const int64_t layers = std::string(stack) == "encoder" ? config().encoder_layers : config().decoder_layers;
      for (int64_t layer = 0; layer < layers; ++layer) {
        for (const std::string& kind : kinds) {
          const at::Tensor ratios = weights_.Parameter(std::string(stack) + ".layers." + std::to_string(layer) + "." +
                                                       kind + "_ratio_change");
          if (ratios.min().item<double>() != ratios.max().item<double>()) Fail("a profile gives one value a sub-layer");
          ours.push_back(ratios[0].item<double>());
        }
      }
    }
    if (ours.size() != expected.size()) return Fail("profile_file has another number of sub-layers");
    double worst = 0;
    for (size_t i = 0; i < ours.size(); ++i) worst = Worse(worst, Relative(ours[i], expected[i]));
    Require("the profile's greatest relative deviation", worst, kLossBound);
    weights_.Load();
  }

  // fairseq's adaptive loss drops the tail loss of a word whose index inside its cluster is the padding's; its
  // log-probabilities are right.
  bool HasWordOfTheQuirk(const Batch& batch) const {
    for (const int64_t cutoff : config().adaptive_cutoffs) {
      if (batch.target_BT.eq(cutoff + model::kPad).any().item<bool>()) return true;
    }
    return false;
  }

  void CheckForward() {
    const Batch batch = reference_.GetBatch("in.", config());
    CheckOutputs(batch);
    if (!HasWordOfTheQuirk(batch)) CheckLossAndGradients(batch);
  }

  // Where the encoder's positions are: a matrix of ids or, in speech, one like it, of what the convolutions leave.
  at::Tensor EncoderPositions(const Batch& batch) const {
    if (batch.source_BS.defined()) return batch.source_BS;
    std::vector<int64_t> lengths = batch.source_frames;
    for (int64_t& length : lengths) length = HalfLength(HalfLength(length));
    const at::Tensor positions =
        at::full({batch.sentences, *std::max_element(lengths.begin(), lengths.end())}, model::kPad, at::kLong);
    for (int64_t b = 0; b < batch.sentences; ++b) positions.select(0, b).narrow(0, 0, lengths[b]).fill_(model::kEos);
    const at::Tensor theirs = reference_.Get("out.subsample_lengths", at::kLong, {batch.sentences});
    if (!at::equal(theirs, at::tensor(lengths, at::kLong)))
      throw CaseError("out.subsample_lengths does not fit in.src_lengths");
    return positions;
  }
  static int64_t HalfLength(int64_t frames) { return (frames - 1) / 2 + 1; }

  // Greatest deviation from the case's tensor where `ids` are no padding.
  double Deviation(const at::Tensor& ours, const std::string& name, const at::Tensor& ids) const {
    const at::Tensor theirs = reference_.Get(name, at::kFloat, ours.sizes());
    return MaxAbs((ours.cpu() - theirs).index({ids.ne(model::kPad)}));
  }

  // Logits and every layer's output, at positions that are no padding.
  void CheckOutputs(const Batch& batch) {
    const at::NoGradGuard no_grad;
    model::LayerTaps taps;
    const at::Tensor logits = model_->Logits(batch, &taps);
    const bool language_model = config().task == "language_model";
    outcome_->logits_max_abs = Deviation(logits, language_model ? "out.logprobs" : "out.logits", batch.target_input_BT);
    Require("logits_max_abs", *outcome_->logits_max_abs, kLogitsBound);
    CheckStack("decoder", batch.target_input_BT, taps.stacks.at("decoder"));
    if (language_model) {
      const at::Tensor features = model::Unpack(taps.stacks.at("decoder").final_ND, model::Pack(batch.target_input_BT));
      Require("the greatest deviation of out.features", Deviation(features, "out.features", batch.target_input_BT),
              kLogitsBound);
      return;
    }
    const at::Tensor positions = EncoderPositions(batch);
    CheckStack("encoder", positions, taps.stacks.at("encoder"));
    if (config().task == "speech") CheckSubsample(positions, taps.stacks.at("encoder").input_ND);
  }

  void CheckStack(const std::string& stack, const at::Tensor& ids, const model::LayerTaps::Stack& seen) {
    const model::Packing packing = model::Pack(ids);
    const std::string prefix = "out." + stack + ".layer";
    at::Tensor input_ND = seen.input_ND;
    // DLCL weighs the embedding before the first layer gets it.
    const std::string history = "param." + stack + ".history.weight";
    if (reference_.tensors.Has(history))
      input_ND = input_ND.cpu() * reference_.Get(history, at::kFloat).select(0, 0).select(0, 0);
    double worst = Deviation(model::Unpack(input_ND, packing), prefix + "0.input", ids);
    for (size_t i = 0; i < seen.outputs_ND.size(); ++i) {
      const std::string name = prefix + std::to_string(i) + ".output";
      worst = Worse(worst, Deviation(model::Unpack(seen.outputs_ND[i], packing), name, ids));
    }
    Require("the greatest deviation of the " + stack + "'s layer outputs", worst, kLogitsBound);
  }

  // What the convolutions give: the encoder's input before its scale and positions.
  void CheckSubsample(const at::Tensor& ids, const at::Tensor& input_ND) {
    const model::Packing packing = model::Pack(ids);
    model::Positions positions(config().dim);
    const at::Tensor table = positions.Table(packing.length + model::kPad + 2);
    const at::Tensor rows =
        (input_ND.cpu() - at::index_select(table, 0, packing.positions_N)) / std::sqrt(static_cast<double>(config().dim));
    Require("the greatest deviation of out.subsample", Deviation(model::Unpack(rows, packing), "out.subsample", ids),
            kLogitsBound);
  }

  void CheckLossAndGradients(const Batch& batch) {
    const model::LossSums sums = model_->Loss(batch, /*training=*/true);
    sums.loss.backward();
    outcome_->loss_rel = Relative(sums.loss.item<double>(), reference_.Scalar("out.loss"));
    Require("loss_rel", *outcome_->loss_rel, kLossBound);
    Require("the relative deviation of nll", Relative(sums.nll.item<double>(), reference_.Scalar("out.nll")),
            kLossBound);
    CheckFacts(batch);
    std::string where;
    outcome_->grad_max_rel = weights_.Compare(
        "grad.", [&](const std::string& name) { return weights_.Parameter(name).grad().cpu(); }, &where);
    for (const auto& parameter : model_->Parameters()) at::Tensor(parameter.tensor).mutable_grad() = at::Tensor();
    Require("grad_max_rel (" + where + ")", *outcome_->grad_max_rel, kGradientBound);
  }

  // The .json repeats some of the tensors.
  void CheckFacts(const Batch& batch) {
    for (const auto& [key, name] : {std::pair("loss", "out.loss"), {"nll", "out.nll"}}) {
      const json value = reference_.facts.value(key, json());
      if (!value.is_number() || !(Relative(value.get<double>(), reference_.Scalar(name)) <= 1e-6)) {
        Fail(std::string(key) + " in the .json differs from " + name);
      }
    }
    if (reference_.facts.contains("ntokens") && reference_.facts["ntokens"] != json(batch.target_tokens)) {
      Fail("ntokens in the .json differs from the number of targets");
    }
  }

  void CheckTrajectory() {
    const json facts = reference_.facts.value("traj", json());
    if (!facts.is_object()) throw CaseError("traj is missing in the .json");
    const std::vector<double> rates = reference_.Series("traj.lr"), tokens = reference_.Series("traj.ntokens"),
                              norms = reference_.Series("traj.gnorm"), nlls = reference_.Series("traj.nll"),
                              losses = reference_.Series(IsTFixup() ? "traj.loss_restated_adam" : "traj.loss");
    for (const auto* series : {&rates, &tokens, &norms, &nlls}) {
      if (series->size() != losses.size() || losses.empty()) throw CaseError("the series of traj.* differ in length");
    }
    CheckRates(facts, rates);
    const std::vector<Batch> batches = TrajectoryBatches();
    const auto betas = facts.at("adam").at("betas").get<std::vector<double>>();
    model::Adam adam(model_->Parameters(),
                     {.beta1 = betas.at(0), .beta2 = betas.at(1), .epsilon = facts.at("adam").at("eps").get<double>()});
    double worst = 0, worst_norm = 0, worst_nll = 0;
    for (size_t step = 0; step < losses.size(); ++step) {
      const Batch& batch = batches[step % batches.size()];
      if (static_cast<double>(batch.target_tokens) != tokens[step])
        Fail("traj.ntokens differs at step " + std::to_string(step));
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
    if (IsTFixup()) return;  // its repository ran another optimiser, and only the losses were made anew with Adam
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
      batches.push_back(reference_.GetBatch("traj.batch" + std::to_string(k) + ".", config()));
    }
    if (batches.empty()) throw CaseError("traj.batch0.* is missing");
    return batches;
  }

  void CheckFinalWeights() {
    if (!reference_.HasAny("traj.final.")) return;
    std::string where;
    const double worst = weights_.Compare(
        "traj.final.", [&](const std::string& name) { return weights_.Parameter(name).detach().cpu(); }, &where);
    Require("the final weights' greatest relative deviation (" + where + ")", worst, 10 * kTrajectoryBound);
  }

  void CheckBeam() {
    outcome_->beam_equal = true;
    const at::Tensor source_BS = reference_.Get("in.src_tokens", at::kLong);
    const at::Tensor lengths = reference_.Get("in.src_lengths", at::kLong, {source_BS.size(0)});
    if (!at::equal(lengths, source_BS.ne(model::kPad).sum(1)))
      throw CaseError("in.src_lengths does not fit the tokens");
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
    if (run.at("min_len") != 1 || run.at("unkpen") != 0.0)
      return "min_len other than 1 or unkpen other than 0 is not known here";
    // fairseq counts the batch's padded length; ours is each sentence's own, so the reference's limit is handed over
    // whole.
    const double limit =
        run.at("max_len_a").get<double>() * static_cast<double>(source_BS.size(1)) + run.at("max_len_b").get<double>();
    const auto beam = run.at("beam").get<int64_t>();
    const model::DecodeOptions options{
        .beam = beam,
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
        if (!(std::abs(theirs[s][h].at("score").get<double>() - ours[s][h].score) <= kScoreBound))
          return "another score" + where;
        const auto scores = theirs[s][h].at("positional_scores").get<std::vector<double>>();
        if (scores.size() != ours[s][h].positional_scores.size()) return "another number of scores" + where;
        for (size_t t = 0; t < scores.size(); ++t) {
          if (!(std::abs(scores[t] - ours[s][h].positional_scores[t]) <= kScoreBound))
            return "another score of a token" + where;
        }
      }
    }
    return "";
  }

  const Case& reference_;
  Outcome* outcome_;
  std::unique_ptr<model::SequenceModel> model_;
  Weights weights_;
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

Outcome CheckCase(const std::filesystem::path& safetensors, const at::Device& device) {
  Outcome outcome{.name = safetensors.stem().string()};
  try {
    const Case reference = Case::Open(safetensors);
    const Kind kind = ReadKind(reference);
    outcome.skipped_because = kind.skipped_because;
    if (outcome.skipped_because.empty()) Checker(reference, kind.config, device, &outcome).Run();
  } catch (const c10::Error& error) {
    outcome.failures.push_back(error.what_without_backtrace());
  } catch (const std::exception& error) {
    outcome.failures.push_back(error.what());
  }
  return outcome;
}

}  // namespace strata::golden
