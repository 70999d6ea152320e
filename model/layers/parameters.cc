#include "model/layers/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace strata::model {
namespace {

// FNV-1a over the name, then splitmix64's finaliser over both.
uint64_t SeedOf(uint64_t seed, const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const unsigned char c : name) hash = (hash ^ c) * 0x100000001b3ull;
  uint64_t z = hash + seed * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void Fill(at::Tensor rows, const ParameterPart& part, uint64_t seed) {
  const double amount = part.initial.amount;
  at::Generator generator = at::detail::createCPUGenerator(SeedOf(seed, part.name));
  switch (part.initial.kind) {
    case Initial::Kind::kConstant:
      rows.fill_(amount);
      break;
    case Initial::Kind::kUniform:
      rows.uniform_(-amount, amount, generator);
      break;
    case Initial::Kind::kNormal:
      rows.normal_(0, amount, generator);
      break;
    case Initial::Kind::kAverages:
      rows.zero_();
      for (int64_t k = 0; k < rows.size(0); ++k)
        rows.select(0, k).narrow(0, 0, k + 1).fill_(amount / static_cast<double>(k + 1));
      break;
  }
  if (part.zero_row >= 0) rows.select(0, part.zero_row).zero_();
}

}  // namespace

Initial Initial::XavierUniform(int64_t fan_in, int64_t fan_out, double gain) {
  return Uniform(gain * std::sqrt(6.0 / static_cast<double>(fan_in + fan_out)));
}
Initial Initial::XavierNormal(int64_t fan_in, int64_t fan_out, double gain) {
  return Normal(gain * std::sqrt(2.0 / static_cast<double>(fan_in + fan_out)));
}

std::string Text(const Initial& initial, int64_t zero_row) {
  const char* kind = initial.kind == Initial::Kind::kConstant  ? "constant"
                     : initial.kind == Initial::Kind::kUniform ? "uniform"
                     : initial.kind == Initial::Kind::kNormal  ? "normal"
                                                               : "averages";
  char amount[32];
  const auto end = std::to_chars(amount, amount + sizeof amount, initial.amount).ptr;
  std::string text = std::string(kind) + "(" + std::string(amount, end) + ")";
  if (zero_row >= 0) text += " zero row " + std::to_string(zero_row);
  return text;
}

at::Tensor ParameterStore::Add(const std::string& name, at::IntArrayRef shape, std::vector<ParameterPart> parts) {
  if (!names_.insert(name).second) throw std::logic_error("parameter \"" + name + "\" is there already");
  if (parts.size() == 1) parts[0].rows = shape[0];
  int64_t rows = 0;
  for (ParameterPart& part : parts) {
    part.begin = rows;
    rows += part.rows;
  }
  if (rows != shape[0]) throw std::logic_error("the parts of \"" + name + "\" do not cover it");
  at::Tensor tensor = at::empty(shape, at::kFloat);
  tensor.set_requires_grad(true);
  parameters_.push_back({name, tensor, std::move(parts)});
  return tensor;
}

void ParameterStore::Draw(uint64_t seed) {
  struct Task {
    at::Tensor rows;
    const ParameterPart* part;
  };
  std::vector<Task> tasks;
  for (Parameter& parameter : parameters_) {
    for (const ParameterPart& part : parameter.parts) {
      tasks.push_back({parameter.tensor.detach().narrow(0, part.begin, part.rows), &part});
    }
  }
  at::parallel_for(0, static_cast<int64_t>(tasks.size()), /*grain_size=*/4, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    for (int64_t i = begin; i < end; ++i) Fill(tasks[i].rows, *tasks[i].part, seed);
  });
}

}  // namespace strata::model
