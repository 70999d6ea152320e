#include "nlohmann/json.hpp"

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "server/base/spec/spec.h"

namespace strata::base {

absl::StatusOr<std::string> ToCanonicalJson(const v1::TrialSpec& spec) {
  v1::TrialSpec filled = spec;
  if (const absl::Status status = ApplyDefaults(filled); !status.ok()) return status;
  if (filled.ByteSizeLong() != spec.ByteSizeLong()) {  // a default is at least one byte
    for (const Field& field : AllFields()) {
      if (field.item < 0 && !IsSet(spec, field)) {
        return absl::InvalidArgumentError(absl::StrCat(field.path, " is not set. Apply the defaults first."));
      }
    }
    return absl::InvalidArgumentError("A field of evaluate is not set. Apply the defaults first.");
  }
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(spec, &json, options);
  if (!status.ok()) return absl::InternalError(absl::StrCat("The spec has no JSON form: ", status.ToString()));
  return json;
}

absl::StatusOr<v1::TrialSpec> FromJson(const std::string& json) {
  v1::TrialSpec spec;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &spec);
  if (!status.ok())
    return absl::InvalidArgumentError(absl::StrCat("This is no TrialSpec in JSON: ", status.ToString()));
  return spec;
}

std::vector<std::string> RegisteredNames(const std::string& registry_json, const std::string& list) {
  std::vector<std::string> names;
  const nlohmann::json registry = nlohmann::json::parse(registry_json, nullptr, false);
  if (!registry.is_object() || !registry.contains(list)) return names;
  for (const auto& entry : registry[list]) {
    if (entry.is_object() && entry.contains("name")) names.push_back(entry["name"].get<std::string>());
  }
  return names;
}

}  // namespace strata::base
