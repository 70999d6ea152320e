// What trials started from, and whether their comparison is matched: the artifacts `initialisation` of a TRAIN or PROBE job
// (docs/DIAGNOSTICS.md), read and held against each other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/connection.h"

namespace strata::client {

struct InitialTensor {
  std::string initialiser;  // "uniform(0.0442)"; "profile": filled in from data
  std::string shape;        // "512 x 2048"
  std::string sha256;
};

struct Initialisation {
  std::string trial;  // "t1"
  std::string batches_sha256;
  std::map<std::string, InitialTensor> tensors;
};

// Of the artifact's JSON. DATA_LOSS where it is none.
absl::StatusOr<Initialisation> ParseInitialisation(const std::string& trial, const std::string& json);

// Downloads the trial's artifact (that of the trial it was taken from, where it was) and checks its hash. NOT_FOUND: there is none yet.
absl::StatusOr<Initialisation> ReadInitialisation(const Connection& connection, const v1::Trial& trial);

struct Difference {
  std::string tensors;  // "decoder.layers.*.fc1.weight", layers' numbers left out
  int count = 0;
  std::string why;  // "uniform(0.0442) in t1, t2; normal(0.0312) in t3"
};

// Trials that ought to be matched: of one dataset, depth, seed and batching.
struct MatchedGroup {
  std::string depth;
  int64_t seed = 0;
  std::vector<std::string> trials;
  bool same_batches = true;
  int tensors = 0;                      // different names in all
  int alike = 0;                        // in every trial, with the same initialiser and hash
  std::vector<Difference> differences;  // by initialiser, by shape, or not in every trial
  std::vector<std::string> broken;      // of the same initialiser and shape, but with other hashes
  bool matched() const { return same_batches && broken.empty(); }
};

MatchedGroup Compare(const std::vector<Initialisation>& trials);

// Groups of at least two trials that have an initialisation. The first error of the connection, if there is one.
absl::StatusOr<std::vector<MatchedGroup>> CompareTrials(const Connection& connection, const std::vector<v1::Trial>& trials);

// For a terminal; "" for no groups.
std::string Text(const std::vector<MatchedGroup>& groups);
// [{"depth", "seed", "trials", "matched", "same_batches", "tensors", "alike", "differences": [...], "broken": [...]}]
std::string ToJson(const std::vector<MatchedGroup>& groups);

}  // namespace strata::client
