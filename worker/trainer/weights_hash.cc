#include "worker/trainer/weights_hash.h"

#include <ATen/ATen.h>
#include <openssl/evp.h>

#include <algorithm>

namespace strata::trainer {
namespace {

class Sha256Stream {
 public:
  Sha256Stream() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sha256Stream() { EVP_MD_CTX_free(context_); }
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void Add(const void* data, size_t bytes) { EVP_DigestUpdate(context_, data, bytes); }
  std::string Hex() {
    unsigned char digest[32];
    EVP_DigestFinal_ex(context_, digest, nullptr);
    std::string text;
    for (const unsigned char byte : digest) {
      constexpr char kDigits[] = "0123456789abcdef";
      text += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return text;
  }

 private:
  EVP_MD_CTX* context_;
};

}  // namespace

std::string TensorsHash(model::NamedTensors tensors, const std::string& also) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Sha256Stream hash;
  for (const auto& [name, tensor] : tensors) {
    hash.Add(name.c_str(), name.size() + 1);
    const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
    hash.Add(plain.const_data_ptr(), plain.nbytes());
  }
  hash.Add(also.data(), also.size());
  return hash.Hex();
}

std::string WeightsHash(const std::vector<model::NamedParameter>& parameters) {
  model::NamedTensors tensors;
  for (const auto& [name, tensor] : parameters) tensors.emplace_back(name, tensor);
  return TensorsHash(std::move(tensors));
}

}  // namespace strata::trainer
