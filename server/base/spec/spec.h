// The fields of a TrialSpec, by reflection over proto/strata/v1/trial_spec.proto and its rules: finding, setting,
// filling in, checking, printing. Nothing here lists a field by hand. All functions are pure and may be called from any
// thread.
//
// A path names a scalar field: "train.learning_rate", "evaluate[0].beam". "scheme", "depth" and "seed" stand for
// model.scheme, model.depth and train.seed. Errors are INVALID_ARGUMENT, each a sentence that names field, value and
// remedy.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "strata/v1/trial_spec.pb.h"

namespace strata::base {

// Most scores that a spec may ask for: the largest index of evaluate[...] is one less.
inline constexpr int kMaxEvaluations = 16;

// A scalar field and its rule. Points into the generated descriptors, which live as long as the process.
struct Field {
  std::string path;     // canonical: shorthands are written out
  std::string section;  // "train", or "evaluate"
  int item = -1;        // index into `evaluate`, or -1
  const google::protobuf::FieldDescriptor* descriptor = nullptr;
  const v1::FieldRule* rule = nullptr;
};

// The field that `path` names. Else says which valid key is nearest.
absl::StatusOr<Field> FindField(const std::string& path);

// All fields in the order of the proto; those of a score as "evaluate[0].beam".
std::vector<Field> AllFields();

// Sets a field from text as it stands in YAML. Strict: an integer field takes no "1.0", a bool only true and false;
// bounds and choices of the rule hold. An item of `evaluate` must be there already.
absl::Status SetField(v1::TrialSpec& spec, const std::string& path, const std::string& text);

// The field's value as text, numbers in their shortest form that reads back to the same bits; "" if it is not set.
absl::StatusOr<std::string> GetField(const v1::TrialSpec& spec, const std::string& path);

bool IsSet(const v1::TrialSpec& spec, const Field& field);

// NAME=VALUE pairs, or items, of a text in canonical form (FieldRule.form).
std::vector<std::pair<std::string, std::string>> PairsOf(const std::string& text);
std::vector<std::string> ItemsOf(const std::string& text);

// Brings every text of several values to its canonical form, so that equal specs have equal JSON.
absl::Status Canonicalize(v1::TrialSpec& spec);

// Writes the default of every field that is not set. Required fields that are missing are an error that names them all.
absl::Status ApplyDefaults(v1::TrialSpec& spec);

// Checks bounds, choices, the form of model.depth, and what fields ask of each other. With the trainer's registry
// (`strata-trainer --describe`; empty: left out) also the names of schemes, tasks and metrics, and what combines with
// what.
absl::Status ValidateFields(const v1::TrialSpec& spec, const std::string& registry_json);

// Layers of a depth: "18L-18L", or "16L" with encoder 0.
struct Layers {
  int encoder = 0;
  int decoder = 0;
};
absl::StatusOr<Layers> ParseDepth(const std::string& text);

// Whether `value` is registered, where the field's rule names a list of the registry. OK with an empty registry.
absl::Status CheckRegisteredName(const Field& field, const std::string& value, const std::string& registry_json);

// The names in one list of the registry: "schemes", "tasks" or "metrics". Empty if it holds none.
std::vector<std::string> RegisteredNames(const std::string& registry_json, const std::string& list);

// Proto3 JSON with original field names and defaults written out, keys in the order of the proto: the trainer's
// spec.json, and what a fingerprint is taken of. Every field must be set (ApplyDefaults); INVALID_ARGUMENT names one
// that is not.
absl::StatusOr<std::string> ToCanonicalJson(const v1::TrialSpec& spec);

// Reads what ToCanonicalJson wrote. An unknown key is INVALID_ARGUMENT.
absl::StatusOr<v1::TrialSpec> FromJson(const std::string& json);

// The comment of a field or message in the .proto, without "//", lines joined. Takes the full name, e.g.
// "strata.v1.TrainSpec.updates"; "" if there is none.
std::string CommentOf(const std::string& full_name);

// The candidate with the least edit distance to `text`, where that is near enough to be a slip of the pen; else "".
std::string Nearest(const std::string& text, const std::vector<std::string>& candidates);

// What a field accepts, as part of a sentence: "a whole number from 1 to 4096", "one of all, decoder, none".
std::string Accepts(const Field& field);

}  // namespace strata::base
