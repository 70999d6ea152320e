#include "model/tasks/transformer_model.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <mutex>
#include <stdexcept>

namespace strata::model {
namespace {

uint64_t DrawSeed() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

bool IsWeightOfLayer(const ParameterPart& part) {
  return part.layer >= 0 && !part.is_bias && part.role != Role::kNorm && part.role != Role::kScheme;
}

// The options of the spec, after the scheme's own initialisation. depth_scaled_init replaces whatever the scheme gave
// the weight, so that schemes compared under it start from the same bits; rescale_init multiplies what is there.
void ScaleByDepth(const ModelConfig& config, int64_t layers, ParameterPart& part) {
  if (config.depth_scaled_init) {
    part.initial =
        Initial::XavierUniform(part.fan_in, part.fan_out, 1 / std::sqrt(static_cast<double>(part.layer + 1)));
  }
  if (config.rescale_init) part.initial.amount /= std::sqrt(static_cast<double>(layers));
}

}  // namespace

void MoveTo(SequenceModel& model, const at::Device& device) {
  std::vector<NamedParameter> parameters = model.Parameters();
  for (NamedParameter& parameter : parameters) {
    if (parameter.tensor.device() != device) parameter.tensor.set_data(parameter.tensor.detach().to(device));
  }
}

at::Tensor PackTargets(const at::Tensor& target_BT, const Packing& input) {
  if (target_BT.dim() != 2 || target_BT.size(0) != input.batch || target_BT.size(1) != input.length) {
    throw std::invalid_argument("a batch's targets and target inputs differ in shape.");
  }
  const at::Tensor targets =
      at::index_select(target_BT.reshape({-1}), 0, input.tokens_N.numel() > 0 ? input.flat_N : input.tokens_N);
  if (targets.ne(kPad).sum().item<int64_t>() != target_BT.ne(kPad).sum().item<int64_t>()) {
    throw std::invalid_argument("a batch has targets where its target inputs are padding.");
  }
  return targets;
}

std::vector<NamedParameter> TransformerModel::Parameters() const {
  std::vector<NamedParameter> parameters;
  for (const auto& parameter : store_.parameters()) parameters.push_back({parameter.name, parameter.tensor});
  return parameters;
}

std::vector<NamedView> TransformerModel::FairseqViews() const {
  std::vector<NamedView> views;
  for (const auto& parameter : store_.parameters()) {
    for (const ParameterPart& part : parameter.parts)
      views.push_back({part.name, parameter.name, part.begin, part.rows});
  }
  return views;
}

std::vector<std::string> TransformerModel::Initials() const {
  std::vector<std::string> initials;
  for (const auto& parameter : store_.parameters()) {
    for (const ParameterPart& part : parameter.parts) initials.push_back(Text(part.initial, part.zero_row));
  }
  return initials;
}

bool TransformerModel::NeedsProfile() const {
  for (Stack* stack : stacks_) {
    if (stack->scheme().NeedsProfile()) return true;
  }
  return false;
}

void TransformerModel::Profile(const Batch& batch) {
  if (!NeedsProfile()) return;
  const at::NoGradGuard no_grad;
  Pass pass(/*training=*/true, nullptr);
  for (Stack* stack : stacks_) stack->scheme().BeginProfile();
  ProfilePass(batch, pass);
  for (Stack* stack : stacks_) stack->scheme().EndProfile();
}

void TransformerModel::Initialise(std::vector<Stack*> stacks) {
  stacks_ = std::move(stacks);
  store_.ForEachPart([&](ParameterPart& part) {
    for (Stack* stack : stacks_) {
      if (stack->name() != part.stack) continue;
      stack->scheme().Init(part);
      if (IsWeightOfLayer(part)) ScaleByDepth(config_, static_cast<int64_t>(stack->layers().size()), part);
    }
  });
  if (construction_ == Construction::kDrawn) store_.Draw(DrawSeed());
}

}  // namespace strata::model
