#include "server/service/dataset_check.h"

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/spec/spec.h"

namespace strata::service {
namespace {

using nlohmann::json;

constexpr int kBins = 80;  // log-mel filters that the speech model's first convolution reads

absl::Status CheckSplit(const v1::TrialSpec& spec, const std::string& path, const std::string& split,
                        const json& manifest) {
  if (!manifest.contains("splits") || !manifest["splits"].is_object() || manifest["splits"].contains(split))
    return absl::OkStatus();
  std::vector<std::string> splits;
  for (const auto& [name, value] : manifest["splits"].items()) splits.push_back(name);
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", split, " is no split of the dataset ",
                                                 spec.task().dataset(), ". It has ", absl::StrJoin(splits, ", "), "."));
}

absl::Status CheckSplits(const v1::TrialSpec& spec, const json& manifest) {
  absl::Status status = CheckSplit(spec, "train.validation_split", spec.train().validation_split(), manifest);
  for (int i = 0; status.ok() && i < spec.evaluate_size(); ++i) {
    for (const std::string& split : base::ItemsOf(spec.evaluate(i).split())) {
      status = CheckSplit(spec, absl::StrCat("evaluate[", i, "].split"), split, manifest);
      if (!status.ok()) break;
    }
  }
  return status;
}

absl::Status CheckBands(const v1::TrialSpec& spec, const json& manifest) {
  const int32_t vocabulary = VocabularyOf(manifest);
  for (const std::string& item : base::ItemsOf(spec.model().adaptive_cutoffs())) {
    int64_t cutoff = 0;
    if (vocabulary == 0 || (absl::SimpleAtoi(item, &cutoff) && cutoff < vocabulary)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "model.adaptive_cutoffs: ", spec.model().adaptive_cutoffs(), " goes beyond the vocabulary of ",
        spec.task().dataset(), ", which has ", vocabulary, " pieces. Write cut-offs below ", vocabulary, "."));
  }
  return absl::OkStatus();
}

absl::Status CheckFeatures(const v1::TrialSpec& spec, const json& manifest) {
  if (!manifest.contains("features") || !manifest["features"].is_object()) return absl::OkStatus();
  const json& bins = manifest["features"].value("bins", json());
  if (bins.is_number_integer() && bins.get<int64_t>() != kBins) {
    return absl::InvalidArgumentError(absl::StrCat("task.dataset: ", spec.task().dataset(), " has features of ",
                                                   bins.get<int64_t>(), " bins, but the model reads ", kBins,
                                                   ". Prepare it again with strata-data, which makes ", kBins, "."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<store::Dataset> FindDatasetOf(const v1::TrialSpec& spec, store::Store& store) {
  const std::string& name = spec.task().dataset();
  const auto dataset = store.FindDataset(name);
  if (!dataset.ok()) return dataset.status();
  if (!dataset->has_value() || !(*dataset)->complete) {
    return absl::FailedPreconditionError(absl::StrCat(
        "task.dataset: ", name,
        " is not registered. Prepare it and register it with 'strata data add', or name one of 'strata data list'."));
  }
  if ((*dataset)->task != spec.task().kind()) {
    return absl::InvalidArgumentError(absl::StrCat("task.dataset: ", name, " is prepared for the task ",
                                                   (*dataset)->task, ", but task.kind is ", spec.task().kind(),
                                                   ". Change one of them."));
  }
  return **dataset;
}

absl::Status CheckAgainstDataset(const v1::TrialSpec& spec, const json& manifest) {
  if (!manifest.is_object()) return absl::OkStatus();
  for (const auto check : {CheckSplits, CheckBands, CheckFeatures}) {
    if (absl::Status status = check(spec, manifest); !status.ok()) return status;
  }
  return absl::OkStatus();
}

int32_t VocabularyOf(const json& manifest) {
  if (!manifest.is_object() || !manifest.contains("vocabulary") || !manifest["vocabulary"].is_object()) return 0;
  const json size = manifest["vocabulary"].value("size", json());
  return size.is_number_integer() ? size.get<int32_t>() : 0;
}

}  // namespace strata::service
