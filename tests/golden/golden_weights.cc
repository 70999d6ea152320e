#include "tests/golden/golden_weights.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <utility>

namespace strata::golden {
namespace {

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// `text` with its first `from` replaced; empty where there is none.
std::string Replaced(const std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? "" : text.substr(0, at) + to + text.substr(at + from.size());
}

struct Candidate {
  std::string stored;
  int64_t begin = 0;
};

// What repositories call a part that fairseq calls `name`, fairseq's own name first.
std::vector<Candidate> Candidates(const Case& reference, const model::NamedView& part) {
  std::string name = part.name;
  if (reference.HasAny("param.encoder.transformer_layers.")) {
    const std::string other = Replaced(name, "encoder.layers.", "encoder.transformer_layers.");
    if (!other.empty()) name = other;
  }
  std::vector<Candidate> candidates = {{name}};
  const char* const projections[] = {".q_proj.", ".k_proj.", ".v_proj."};
  for (int64_t i = 0; i < 3; ++i) {
    const std::string projection = projections[i];
    candidates.push_back({Replaced(name, projection, projection.substr(0, 7) + "_")});
    candidates.push_back({Replaced(name, projection, ".in_proj_"), i * part.rows});
  }
  candidates.push_back({Replaced(name, ".fc", ".ffn.fc")});
  candidates.push_back({Replaced(name, ".self_attn_layer_norm.", ".layer_norms.0.")});
  candidates.push_back({Replaced(name, ".encoder_attn_layer_norm.", ".layer_norms.1.")});
  const bool third = reference.HasAny("param." + Replaced(name, ".final_layer_norm.", ".layer_norms.2."));
  candidates.push_back({Replaced(name, ".final_layer_norm.", third ? ".layer_norms.2." : ".layer_norms.1.")});
  if (name == "decoder.embed_out") candidates.push_back({"decoder.output_projection.weight"});
  return candidates;
}

double MaxAbs(const at::Tensor& tensor) { return tensor.numel() == 0 ? 0.0 : tensor.abs().max().item<double>(); }

// The greater, NaN if either is.
double Worse(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? std::numeric_limits<double>::quiet_NaN() : std::max(a, b);
}

}  // namespace

bool Link::is_key_bias() const { return EndsWith(part.name, "k_proj.bias"); }

Weights::Weights(const Case& reference, model::SequenceModel& model) : reference_(reference) {
  for (const auto& parameter : model.Parameters()) parameters_[parameter.name] = parameter.tensor;
  for (const model::NamedView& part : model.FairseqViews()) {
    Link link{.part = part};
    for (const Candidate& candidate : Candidates(reference, part)) {
      if (candidate.stored.empty() || !reference.tensors.Has("param." + candidate.stored)) continue;
      link.stored = candidate.stored;
      link.begin = candidate.begin;
      break;
    }
    if (link.stored.empty()) throw CaseError("tensor param." + part.name + " is missing");
    links_.push_back(link);
  }
  CheckAllAreUsed();
  const nlohmann::json aliases = reference.facts.value("alias", nlohmann::json::object());
  for (const auto& [other, target] : aliases.items()) {
    if (!target.is_string() || !reference.tensors.Has("param." + target.get<std::string>())) {
      throw CaseError("alias." + other + " names no tensor of the case");
    }
    for (const Link& link : links_) {
      if (link.part.name == other)
        throw CaseError(other + " is shared in the case but has weights of its own in our model");
    }
  }
}

void Weights::CheckAllAreUsed() const {
  std::map<std::string, int64_t> rows;
  for (const Link& link : links_) rows["param." + link.stored] += link.part.rows;
  const bool t_fixup = reference_.facts.value("repo", "") == "T-Fixup";
  for (const std::string& name : reference_.tensors.names()) {
    if (name.compare(0, 6, "param.") != 0) continue;
    if (rows.count(name) > 0) {
      if (reference_.tensors.Shape(name).at(0) != rows[name])
        throw CaseError("tensor " + name + " has another shape than expected");
      continue;
    }
    // T-Fixup's code makes this norm and never uses it.
    const std::string gradient = "grad." + name.substr(6);
    const bool unused = t_fixup && name.find(".encoder_attn_layer_norm.") != std::string::npos &&
                        (!reference_.tensors.Has(gradient) || MaxAbs(reference_.tensors.Get(gradient)) == 0);
    if (!unused) throw CaseError(name + " belongs to no part of this model");
  }
}

at::Tensor Weights::Theirs(const std::string& prefix, const Link& link, at::IntArrayRef shape) const {
  const std::string name = prefix + link.stored;
  const at::Tensor whole = reference_.Get(name, at::kFloat);
  if (whole.dim() < 1 || whole.size(0) < link.begin + link.part.rows)
    throw CaseError("tensor " + name + " has another shape than expected");
  const at::Tensor rows = whole.narrow(0, link.begin, link.part.rows);
  if (rows.sizes() != shape) throw CaseError("tensor " + name + " has another shape than expected");
  return rows;
}

void Weights::Load() {
  const at::NoGradGuard no_grad;
  for (const Link& link : links_) {
    at::Tensor ours = Parameter(link.part.parameter).detach().narrow(0, link.part.begin, link.part.rows);
    const at::Tensor value = Theirs("param.", link, ours.sizes());
    if (!at::isfinite(value).all().item<bool>()) throw CaseError("param." + link.stored + " is not finite");
    ours.copy_(value);
  }
}

double Weights::Compare(const std::string& prefix, const std::function<at::Tensor(const std::string&)>& ours,
                        std::string* worst_name) const {
  struct Deviation {
    double difference = 0, scale = 0;
  };
  std::map<std::string, Deviation> by_tensor;
  for (const Link& link : links_) {
    const at::Tensor mine = ours(link.part.parameter).narrow(0, link.part.begin, link.part.rows);
    const at::Tensor theirs = Theirs(prefix, link, mine.sizes());
    if (!at::isfinite(theirs).all().item<bool>()) throw CaseError(prefix + link.stored + " is not finite");
    if (link.is_key_bias()) continue;
    Deviation& deviation = by_tensor[link.stored];
    deviation.difference = Worse(deviation.difference, MaxAbs(mine - theirs));
    deviation.scale = std::max(deviation.scale, MaxAbs(theirs));
  }
  double worst = 0;
  for (const auto& [name, deviation] : by_tensor) {
    const double relative = deviation.difference / std::max(deviation.scale, 1e-2);
    if (!(relative <= worst)) *worst_name = name;
    worst = Worse(worst, relative);
  }
  return worst;
}

}  // namespace strata::golden
