#include <algorithm>
#include <cctype>
#include <map>
#include <mutex>
#include <numeric>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.pb.h"
#include "server/base/spec/spec.h"
#include "server/base/spec/text.h"

extern "C" const char strata_v1_descriptors[];
extern "C" const unsigned long strata_v1_descriptors_size;

namespace strata::base {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr std::pair<const char*, const char*> kShorthands[] = {
    {"scheme", "model.scheme"}, {"depth", "model.depth"}, {"seed", "train.seed"}};

// A pool made of the embedded descriptor set, which (other than the generated one) keeps the comments.
const google::protobuf::DescriptorPool& CommentedPool() {
  static const auto* pool = [] {
    auto* made = new google::protobuf::DescriptorPool;
    google::protobuf::FileDescriptorSet set;
    set.ParseFromArray(strata_v1_descriptors, static_cast<int>(strata_v1_descriptors_size));
    for (const auto& file : set.file()) made->BuildFile(file);
    return made;
  }();
  return *pool;
}

Field MakeField(const FieldDescriptor* section, int item, const FieldDescriptor* scalar) {
  Field field;
  field.section = section->name();
  field.item = item;
  field.path = absl::StrCat(field.section, item < 0 ? "" : absl::StrCat("[", item, "]"), ".", scalar->name());
  field.descriptor = scalar;
  field.rule = &scalar->options().GetExtension(v1::rule);
  return field;
}

// "evaluate[3]" -> name "evaluate", item 3. False where the brackets are malformed or the number too large.
bool SplitItem(const std::string& text, std::string& name, int& item) {
  item = -1;
  name = text;
  const size_t open = text.find('[');
  if (open == std::string::npos) return true;
  name = text.substr(0, open);
  if (text.back() != ']') return false;
  return absl::SimpleAtoi(text.substr(open + 1, text.size() - open - 2), &item) && item >= 0 && item < kMaxEvaluations;
}

absl::Status Unknown(const std::string& path) {
  std::vector<std::string> keys;
  for (const auto& [shorthand, full] : kShorthands) keys.push_back(shorthand);
  for (const Field& field : AllFields()) keys.push_back(field.path);
  std::string nearest = Nearest(path, keys);
  if (nearest.empty() && path.find('.') == std::string::npos) {  // "warmup" -> train.warmup
    std::vector<std::string> names;
    for (const Field& field : AllFields()) names.push_back(field.descriptor->name());
    const std::string name = Nearest(path, names);
    for (const Field& field : AllFields()) {
      if (!name.empty() && field.descriptor->name() == name && nearest.empty()) nearest = field.path;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "There is no field ", Quoted(path), ". ",
      nearest.empty() ? "'strata spec explain' lists all of them." : absl::StrCat("Do you mean ", nearest, "?")));
}

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// Letters only, in lower case: "Post-LN" and "post_ln" are one.
std::string Folded(const std::string& text) {
  std::string folded;
  for (const unsigned char c : text) {
    if (c != '_' && c != '-' && c != ' ') folded += static_cast<char>(std::tolower(c));
  }
  return folded;
}

}  // namespace

std::string Quoted(const std::string& text) {
  constexpr size_t kLongest = 80;
  return absl::StrCat("\"", text.size() > kLongest ? text.substr(0, kLongest) + "..." : text, "\"");
}

std::string Nearest(const std::string& text, const std::vector<std::string>& candidates) {
  std::string best;
  size_t least = std::max<size_t>(2, Folded(text).size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(Folded(text), Folded(candidate));
    if (distance < least && distance < Folded(candidate).size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::vector<Field> AllFields() {
  static const auto* all = [] {
    auto* fields = new std::vector<Field>;
    const Descriptor* spec = v1::TrialSpec::descriptor();
    for (int i = 0; i < spec->field_count(); ++i) {
      const FieldDescriptor* section = spec->field(i);
      for (int j = 0; j < section->message_type()->field_count(); ++j) {
        fields->push_back(MakeField(section, section->is_repeated() ? 0 : -1, section->message_type()->field(j)));
      }
    }
    return fields;
  }();
  return *all;
}

absl::StatusOr<Field> FindField(const std::string& path) {
  for (const auto& [shorthand, full] : kShorthands) {
    if (path == shorthand) return FindField(full);
  }
  const size_t dot = path.find('.');
  if (dot == std::string::npos || dot == 0) return Unknown(path);
  std::string name;
  int item = -1;
  if (!SplitItem(path.substr(0, dot), name, item)) {
    return absl::InvalidArgumentError(absl::StrCat("There is no field ", Quoted(path), ". Number the scores from 0 to ",
                                                   kMaxEvaluations - 1, ", as in evaluate[0].beam."));
  }
  const FieldDescriptor* section = v1::TrialSpec::descriptor()->FindFieldByName(name);
  if (section == nullptr) return Unknown(path);
  const FieldDescriptor* scalar = section->message_type()->FindFieldByName(path.substr(dot + 1));
  if (scalar == nullptr) return Unknown(path);
  if (section->is_repeated() && item < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(path), " does not say which score. Number them from 0: ", name, "[0].", scalar->name(), "."));
  }
  if (!section->is_repeated() && item >= 0) return Unknown(path);
  return MakeField(section, item, scalar);
}

std::string CommentOf(const std::string& full_name) {
  google::protobuf::SourceLocation location;
  bool found = false;
  if (const FieldDescriptor* field = CommentedPool().FindFieldByName(full_name)) {
    found = field->GetSourceLocation(&location);
  } else if (const Descriptor* message = CommentedPool().FindMessageTypeByName(full_name)) {
    found = message->GetSourceLocation(&location);
  }
  if (!found) return "";
  std::string comment;
  for (const char c : location.leading_comments) {
    if (c == '\n') {
      comment += ' ';
    } else if (c != ' ' || (!comment.empty() && comment.back() != ' ')) {
      comment += c;
    }
  }
  while (!comment.empty() && comment.back() == ' ') comment.pop_back();
  return comment;
}

}  // namespace strata::base
