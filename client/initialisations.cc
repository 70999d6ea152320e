#include "client/initialisations.h"

#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/measurements.h"
#include "client/names.h"
#include "nlohmann/json.hpp"
#include "server/base/sha256.h"

namespace strata::client {
namespace {

constexpr char kKind[] = "initialisation";
constexpr char kProfile[] = "profile";
constexpr size_t kMostLines = 20;

// "encoder.layers.11.fc1.weight" -> "encoder.layers.*.fc1.weight".
std::string WithoutLayer(const std::string& name) {
  const size_t begin = name.find(".layers.");
  if (begin == std::string::npos) return name;
  const size_t number = begin + 8, end = name.find('.', number);
  return end == std::string::npos ? name : name.substr(0, number) + "*" + name.substr(end);
}

// How the trials start one tensor: what -> trials.
using Starts = std::map<std::string, std::vector<std::string>>;

std::string Why(const Starts& starts) {
  std::vector<std::string> parts;
  for (const auto& [what, trials] : starts) parts.push_back(absl::StrCat(what, " in ", absl::StrJoin(trials, ", ")));
  return absl::StrJoin(parts, "; ");
}

absl::StatusOr<std::string> ReadAll(const Connection& connection, const v1::Artifact& artifact) {
  grpc::ClientContext context;
  v1::ReadArtifactRequest request;
  request.set_name(artifact.name());
  const auto stream = connection.artifacts().ReadArtifact(&context, request);
  v1::ReadArtifactResponse chunk;
  std::string content;
  while (stream->Read(&chunk)) content += chunk.data();
  if (const absl::Status status = connection.Explain(stream->Finish()); !status.ok()) return status;
  if (base::Sha256Hex(content) != artifact.sha256())
    return absl::DataLossError(absl::StrCat(ShortName(artifact.name()), " arrived damaged: its hash differs. Try again."));
  return content;
}

}  // namespace

absl::StatusOr<Initialisation> ParseInitialisation(const std::string& trial, const std::string& json) {
  Initialisation result{.trial = trial};
  try {
    const auto document = nlohmann::json::parse(json);
    result.batches_sha256 = document.at("batches_sha256");
    for (const auto& tensor : document.at("tensors")) {
      std::vector<std::string> sizes;
      for (const auto& size : tensor.at("shape")) sizes.push_back(absl::StrCat(size.get<int64_t>()));
      result.tensors[tensor.at("name")] = {.initialiser = tensor.at("initialiser"),
                                           .shape = absl::StrJoin(sizes, " x "),
                                           .sha256 = tensor.at("sha256")};
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(absl::StrCat("The initialisation of ", trial, " is not what a trainer writes: ", error.what()));
  }
  return result;
}

absl::StatusOr<Initialisation> ReadInitialisation(const Connection& connection, const v1::Trial& trial) {
  const std::string& source = trial.reused_from().empty() ? trial.name() : trial.reused_from();
  const auto artifacts = ListArtifacts(connection, source);
  if (!artifacts.ok()) return artifacts.status();
  for (const v1::Artifact& artifact : *artifacts) {
    if (artifact.kind() != kKind) continue;
    const auto content = ReadAll(connection, artifact);
    if (!content.ok()) return content.status();
    return ParseInitialisation(LastPart(trial.name()), *content);
  }
  return absl::NotFoundError(absl::StrCat(ShortName(trial.name()), " has no initialisation yet."));
}

MatchedGroup Compare(const std::vector<Initialisation>& trials) {
  MatchedGroup group;
  std::set<std::string> names;
  for (const Initialisation& trial : trials) {
    group.trials.push_back(trial.trial);
    group.same_batches &= trial.batches_sha256 == trials[0].batches_sha256;
    for (const auto& [name, tensor] : trial.tensors) names.insert(name);
  }
  group.tensors = static_cast<int>(names.size());
  std::map<std::pair<std::string, std::string>, int> differences;
  for (const std::string& name : names) {
    Starts starts;
    std::map<std::string, std::set<std::string>> hashes;  // of one initialiser and shape
    for (const Initialisation& trial : trials) {
      const auto found = trial.tensors.find(name);
      const std::string what = found == trial.tensors.end() ? "none" : absl::StrCat(found->second.initialiser, " [", found->second.shape, "]");
      starts[what].push_back(trial.trial);
      if (found != trial.tensors.end() && found->second.initialiser != kProfile) hashes[what].insert(found->second.sha256);
    }
    bool broken = false;
    for (const auto& [what, found] : hashes) broken |= found.size() > 1;
    if (broken) {
      group.broken.push_back(name);
    } else if (starts.size() > 1 || hashes.empty()) {
      ++differences[{WithoutLayer(name), Why(starts)}];
    } else {
      ++group.alike;
    }
  }
  for (const auto& [key, count] : differences) group.differences.push_back({.tensors = key.first, .count = count, .why = key.second});
  return group;
}

absl::StatusOr<std::vector<MatchedGroup>> CompareTrials(const Connection& connection, const std::vector<v1::Trial>& trials) {
  using Key = std::tuple<std::string, int64_t, std::string, int, int, int, int>;
  std::map<Key, std::vector<Initialisation>> by_key;
  std::vector<Key> order;
  for (const v1::Trial& trial : trials) {
    const auto initialisation = ReadInitialisation(connection, trial);
    if (absl::IsNotFound(initialisation.status())) continue;
    if (!initialisation.ok()) return initialisation.status();
    const v1::TrainSpec& train = trial.spec().train();
    const Key key{trial.spec().model().depth(), train.seed(),          trial.dataset_digest(), train.max_tokens(),
                  train.max_sentences(),        train.max_length(), train.block_tokens()};
    if (!by_key.contains(key)) order.push_back(key);
    by_key[key].push_back(*initialisation);
  }
  std::vector<MatchedGroup> groups;
  for (const Key& key : order) {
    if (by_key[key].size() < 2) continue;
    groups.push_back(Compare(by_key[key]));
    groups.back().depth = std::get<0>(key);
    groups.back().seed = std::get<1>(key);
  }
  return groups;
}

std::string Text(const std::vector<MatchedGroup>& groups) {
  std::string text;
  for (const MatchedGroup& group : groups) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", group.depth, ", seed ", group.seed, " (", absl::StrJoin(group.trials, ", "), "): ",
                    group.same_batches ? "the same batches in the same order, " : "", group.alike, " of ", group.tensors,
                    " tensors start the same.\n");
    if (!group.same_batches)
      absl::StrAppend(&text, "  NOT MATCHED: these trials do not see the same batches in the same order, though they should.\n");
    if (!group.broken.empty()) {
      absl::StrAppend(&text, "  NOT MATCHED: ", group.broken.size(), " tensors have the same initialiser and start otherwise, first of all ",
                      group.broken[0], ".\n");
    }
    for (size_t i = 0; i < std::min(group.differences.size(), kMostLines); ++i) {
      const Difference& difference = group.differences[i];
      absl::StrAppend(&text, "  ", difference.tensors, difference.count > 1 ? absl::StrCat(" (", difference.count, ")") : "", ": ",
                      difference.why, "\n");
    }
    if (group.differences.size() > kMostLines)
      absl::StrAppend(&text, "  and ", group.differences.size() - kMostLines, " more; --output json has them all.\n");
  }
  return text;
}

std::string ToJson(const std::vector<MatchedGroup>& groups) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const MatchedGroup& group : groups) {
    nlohmann::ordered_json differences = nlohmann::ordered_json::array();
    for (const Difference& difference : group.differences)
      differences.push_back({{"tensors", difference.tensors}, {"count", difference.count}, {"why", difference.why}});
    list.push_back({{"depth", group.depth},
                    {"seed", group.seed},
                    {"trials", group.trials},
                    {"matched", group.matched()},
                    {"same_batches", group.same_batches},
                    {"tensors", group.tensors},
                    {"alike", group.alike},
                    {"differences", differences},
                    {"broken", group.broken}});
  }
  return list.dump(1);
}

}  // namespace strata::client
