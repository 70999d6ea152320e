#include "worker/data/speech_cmvn.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/data/file.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;

constexpr char kFileName[] = "cmvn.json";

}  // namespace

Cmvn::Cmvn(std::string kind) : kind_(std::move(kind)) {
  if (kind_ != "none" && kind_ != "utterance")
    throw DataError("cmvn '" + kind_ + "' is none of none, utterance, global.");
}

Cmvn::Cmvn(const FeatureStatistics& training)
    : kind_("global"), frames_(training.frames()), mean_(training.Mean()), deviation_(training.Deviation()) {}

Cmvn Cmvn::Of(const fs::path& folder, const model::Manifest& manifest) {
  if (manifest.features.cmvn != "global") return Cmvn(manifest.features.cmvn);
  const fs::path path = folder / kFileName;
  const std::string text = model::ReadFile(path);
  const auto listed = std::find_if(manifest.files.begin(), manifest.files.end(),
                                   [](const model::DatasetFile& file) { return file.path == kFileName; });
  if (listed == manifest.files.end() || listed->sha256 != model::Sha256(text)) {
    throw DataError(path.string() + " is not the file that the manifest lists (SHA-256). Prepare the dataset again.");
  }
  Cmvn cmvn("none");
  cmvn.kind_ = "global";
  try {
    const auto json = nlohmann::json::parse(text);
    cmvn.frames_ = json.at("frames").get<uint64_t>();
    cmvn.mean_ = json.at("mean").get<std::vector<double>>();
    cmvn.deviation_ = json.at("deviation").get<std::vector<double>>();
  } catch (const nlohmann::json::exception& e) {
    throw DataError(path.string() + " is damaged: " + e.what() + ". Prepare the dataset again.");
  }
  if (cmvn.mean_.size() != kFilterBanks || cmvn.deviation_.size() != kFilterBanks) {
    throw DataError(path.string() + " has statistics of " + std::to_string(cmvn.mean_.size()) + " bins instead of " +
                    std::to_string(kFilterBanks) + ". Prepare the dataset again.");
  }
  return cmvn;
}

void Cmvn::Apply(std::span<float> features) const {
  if (kind_ == "utterance") NormaliseUtterance(features);
  if (kind_ == "global") NormaliseBy(mean_, deviation_, features);
}

void Cmvn::Write(const fs::path& folder) const {
  if (kind_ != "global") return;
  const nlohmann::ordered_json json = {{"frames", frames_}, {"mean", mean_}, {"deviation", deviation_}};
  model::WriteFileAtomically(folder / kFileName, json.dump(1) + "\n");
}

}  // namespace strata::data
