#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/spec/spec.h"
#include "server/base/spec/text.h"

namespace strata::base {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::Status Refuse(const Field& field, const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(field.path, ": ", Quoted(text), " is not ", Accepts(field), "."));
}

template <typename Number>
bool ReadWhole(const std::string& text, Number& value) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc() && stop == end && begin != end;
}

bool Within(const v1::FieldRule& rule, double value) {
  if (rule.has_min() && (rule.above_min() ? value <= rule.min() : value < rule.min())) return false;
  if (rule.has_max() && (rule.below_max() ? value >= rule.max() : value > rule.max())) return false;
  return true;
}

// Sets `field` of the section that holds it. Writes nothing where the text is refused.
absl::Status SetScalar(Message& section, const Field& field, const std::string& text) {
  const google::protobuf::Reflection* reflection = section.GetReflection();
  const FieldDescriptor* scalar = field.descriptor;
  switch (scalar->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t value = 0;
      if (!ReadWhole(text, value) || !Within(*field.rule, static_cast<double>(value))) return Refuse(field, text);
      if (scalar->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
        reflection->SetInt64(&section, scalar, value);
      } else if (value == static_cast<int32_t>(value)) {
        reflection->SetInt32(&section, scalar, static_cast<int32_t>(value));
      } else {
        return Refuse(field, text);
      }
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!ReadWhole(text, value) || !std::isfinite(value) || !Within(*field.rule, value)) return Refuse(field, text);
      reflection->SetDouble(&section, scalar, value == 0 ? 0.0 : value);  // no negative zero
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return Refuse(field, text);
      reflection->SetBool(&section, scalar, text == "true");
      return absl::OkStatus();
    default: {
      const auto& choices = field.rule->choices();
      const bool chosen = choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end();
      const bool may_be_empty = field.rule->has_default_value() && field.rule->default_value().empty();
      if ((text.empty() && !may_be_empty) || !chosen) return Refuse(field, text);
      const auto canonical = CanonicalText(field, text);
      if (!canonical.ok()) return canonical.status();
      reflection->SetString(&section, scalar, *canonical);
      return absl::OkStatus();
    }
  }
}

absl::Status NoSuchItem(const Field& field, int count) {
  return absl::InvalidArgumentError(absl::StrCat(field.path, ": the spec asks for ",
                                                 count == 0 ? "no score" : absl::StrCat("only ", count),
                                                 ". Add an item to evaluate, or use a lower index."));
}

std::string TextOf(const Message& section, const FieldDescriptor* scalar) {
  const google::protobuf::Reflection* reflection = section.GetReflection();
  if (!reflection->HasField(section, scalar)) return "";
  switch (scalar->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection->GetInt32(section, scalar));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(reflection->GetInt64(section, scalar));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ShortestNumber(reflection->GetDouble(section, scalar));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(section, scalar) ? "true" : "false";
    default:
      return reflection->GetString(section, scalar);
  }
}

// Fills in one section; adds to `missing` what is required and not there.
void Fill(Message& section, const FieldDescriptor* in, int item, std::vector<std::string>& missing) {
  for (int i = 0; i < section.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* scalar = section.GetDescriptor()->field(i);
    if (section.GetReflection()->HasField(section, scalar)) continue;
    const std::string prefix = item < 0 ? in->name() : absl::StrCat(in->name(), "[", item, "]");
    const Field field = *FindField(absl::StrCat(prefix, ".", scalar->name()));
    if (field.rule->has_default_value()) {
      SetScalar(section, field, field.rule->default_value()).IgnoreError();  // a test holds every default to its rule
    } else {
      missing.push_back(absl::StrCat(field.path, " (for example ", field.rule->example(), ")"));
    }
  }
}

}  // namespace

std::string ShortestNumber(double value) {
  char buffer[64];
  const bool plain = std::abs(value) >= 1e-4 && std::abs(value) < 1e9;
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value,
                                          plain ? std::chars_format::fixed : std::chars_format::general);
  return std::string(buffer, end);
}

std::string Accepts(const Field& field) {
  const v1::FieldRule& rule = *field.rule;
  const auto number = [](double bound) {
    return bound == std::floor(bound) && std::abs(bound) < 1e16 ? absl::StrCat(static_cast<int64_t>(bound))
                                                                : ShortestNumber(bound);
  };
  std::string range;
  if (rule.has_min() && rule.has_max()) {
    range = absl::StrCat(rule.above_min() ? " above " : " from ", number(rule.min()),
                         rule.below_max() ? " to below " : " to ", number(rule.max()));
  }
  switch (field.descriptor->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat("a whole number", range);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrCat("a number", range);
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    default:
      if (!rule.choices().empty()) return absl::StrCat("one of ", absl::StrJoin(rule.choices(), ", "));
      return absl::StrCat("a text such as ", rule.default_value().empty() ? rule.example() : rule.default_value());
  }
}

absl::Status SetField(v1::TrialSpec& spec, const std::string& path, const std::string& text) {
  const absl::StatusOr<Field> field = FindField(path);
  if (!field.ok()) return field.status();
  const FieldDescriptor* section = v1::TrialSpec::descriptor()->FindFieldByName(field->section);
  const google::protobuf::Reflection* reflection = spec.GetReflection();
  if (!section->is_repeated()) return SetScalar(*reflection->MutableMessage(&spec, section), *field, text);
  const int count = reflection->FieldSize(spec, section);
  if (field->item >= count) return NoSuchItem(*field, count);
  return SetScalar(*reflection->MutableRepeatedMessage(&spec, section, field->item), *field, text);
}

bool IsSet(const v1::TrialSpec& spec, const Field& field) {
  const FieldDescriptor* section = v1::TrialSpec::descriptor()->FindFieldByName(field.section);
  const google::protobuf::Reflection* reflection = spec.GetReflection();
  if (!section->is_repeated()) {
    const Message& message = reflection->GetMessage(spec, section);
    return message.GetReflection()->HasField(message, field.descriptor);
  }
  if (field.item >= reflection->FieldSize(spec, section)) return false;
  const Message& message = reflection->GetRepeatedMessage(spec, section, field.item);
  return message.GetReflection()->HasField(message, field.descriptor);
}

absl::StatusOr<std::string> GetField(const v1::TrialSpec& spec, const std::string& path) {
  const absl::StatusOr<Field> field = FindField(path);
  if (!field.ok()) return field.status();
  const FieldDescriptor* section = v1::TrialSpec::descriptor()->FindFieldByName(field->section);
  const google::protobuf::Reflection* reflection = spec.GetReflection();
  if (!section->is_repeated()) return TextOf(reflection->GetMessage(spec, section), field->descriptor);
  const int count = reflection->FieldSize(spec, section);
  if (field->item >= count) return NoSuchItem(*field, count);
  return TextOf(reflection->GetRepeatedMessage(spec, section, field->item), field->descriptor);
}

absl::Status ApplyDefaults(v1::TrialSpec& spec) {
  std::vector<std::string> missing;
  const google::protobuf::Reflection* reflection = spec.GetReflection();
  for (int i = 0; i < v1::TrialSpec::descriptor()->field_count(); ++i) {
    const FieldDescriptor* section = v1::TrialSpec::descriptor()->field(i);
    if (section->is_repeated()) {
      for (int item = 0; item < reflection->FieldSize(spec, section); ++item) {
        Fill(*reflection->MutableRepeatedMessage(&spec, section, item), section, item, missing);
      }
    } else {
      Fill(*reflection->MutableMessage(&spec, section), section, -1, missing);
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(missing.size() == 1
                                        ? absl::StrCat("Required and not given: ", missing[0], ".")
                                        : absl::StrCat("Required and not given: ", absl::StrJoin(missing, ", "), "."));
}

}  // namespace strata::base
