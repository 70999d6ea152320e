#include "model/layers/pass.h"

#include <ATen/CPUGeneratorImpl.h>

#include <mutex>

namespace strata::model {

Pass::Pass(bool training, LayerTaps* taps) : training_(training), taps_(taps) {
  if (!training) return;
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  seed_ = at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

DropoutSite Pass::Site(double rate) {
  if (!training_ || rate <= 0) return {};
  uint64_t z = seed_ + ++sites_ * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return {.rate = rate, .seed = z ^ (z >> 31)};
}

}  // namespace strata::model
