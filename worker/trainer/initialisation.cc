#include "worker/trainer/initialisation.h"

#include <ATen/ATen.h>

#include <map>
#include <string_view>

#include "model/data/file.h"

namespace strata::trainer {
namespace {

constexpr char kFile[] = "initialisation.json";
// Stands for the initialiser of what a profile fills in: it follows from the data, so it is the same in no two schemes.
constexpr char kProfiled[] = "profile";

std::string TensorHash(const at::Tensor& rows) {
  const at::Tensor plain = rows.to(at::kCPU).contiguous();
  return model::Sha256({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
}

// One entry a part, by fairseq's names.
Json Tensors(const model::SequenceModel& model) {
  std::map<std::string, at::Tensor> parameters;
  for (const auto& [name, tensor] : model.Parameters()) parameters[name] = tensor.detach();
  const std::vector<model::NamedView> views = model.FairseqViews();
  const std::vector<std::string> initials = model.Initials();
  Json tensors = Json::array();
  for (size_t i = 0; i < views.size(); ++i) {
    const at::Tensor rows = parameters.at(views[i].parameter).narrow(0, views[i].begin, views[i].rows);
    tensors.push_back({{"name", views[i].name},
                       {"initialiser", initials[i]},
                       {"shape", rows.sizes().vec()},
                       {"sha256", TensorHash(rows)}});
  }
  return tensors;
}

}  // namespace

std::string BatchesHash(const model::Batches& batches, uint64_t seed) {
  std::string bytes;
  bytes.reserve(4 * (batches.sentences.size() + batches.size()));
  const auto add = [&bytes](uint32_t number) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(number >> shift);
  };
  for (const uint32_t batch : model::Permutation(batches.size(), seed, model::kFirstEpochStream)) {
    add(static_cast<uint32_t>(batches[batch].size()));
    for (const uint32_t example : batches[batch]) add(example);
  }
  return model::Sha256(bytes);
}

void Initialise(const Job& job, const model::Examples& training, const model::Batches& batches, model::SequenceModel& model) {
  const auto seed = static_cast<uint64_t>(job.spec.train.seed);
  Json tensors = Tensors(model);
  if (model.NeedsProfile()) {
    const uint32_t first = model::Permutation(batches.size(), seed, model::kFirstEpochStream)[0];
    model.Profile(training.Collate(batches[first]));
    Json profiled = Tensors(model);
    for (size_t i = 0; i < profiled.size(); ++i) {
      if (profiled[i]["sha256"] != tensors[i]["sha256"]) profiled[i]["initialiser"] = kProfiled;
    }
    tensors = std::move(profiled);
  }
  const std::string text =
      Json{{"seed", job.spec.train.seed}, {"batches_sha256", BatchesHash(batches, seed)}, {"tensors", std::move(tensors)}}.dump() + "\n";
  model::WriteFileAtomically(job.out / kFile, text);
  job.events->Emit("artifact", {{"name", "initialisation"},
                                {"file", kFile},
                                {"sha256", model::Sha256(text)},
                                {"bytes", text.size()},
                                {"media_type", "application/json"}});
}

}  // namespace strata::trainer
