#include "client/names.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace strata::client {
namespace {

constexpr const char* kCollections[] = {"experiments", "trials", "jobs"};

absl::Status NoName(const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat("\"", text,
                                                 "\" is no name. Write an experiment as quickstart-1, a trial as "
                                                 "quickstart-1/t3, a job as quickstart-1/t3/train."));
}

bool Good(const std::string& part) {
  for (const char c : part) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return !part.empty();
}

}  // namespace

absl::StatusOr<Name> ParseName(const std::string& text) {
  std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() > 1 && parts[0] == kCollections[0]) {  // the full form: every other part names a collection
    std::vector<std::string> ids;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i % 2 == 1) {
        ids.push_back(parts[i]);
      } else if (i / 2 >= 3 || parts[i] != kCollections[i / 2]) {
        return NoName(text);
      }
    }
    if (parts.size() % 2 == 1) return NoName(text);
    parts = ids;
  }
  if (parts.size() > 3) return NoName(text);
  Name name;
  name.kind = static_cast<NameKind>(parts.size() - 1);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!Good(parts[i])) return NoName(text);
    absl::StrAppend(&name.full, i == 0 ? "" : "/", kCollections[i], "/", parts[i]);
  }
  return name;
}

absl::StatusOr<std::string> ParseNameOf(NameKind kind, const std::string& text) {
  const absl::StatusOr<Name> name = ParseName(text);
  if (!name.ok()) return name.status();
  if (kind == NameKind::kJob && name->kind == NameKind::kTrial) return absl::StrCat(name->full, "/jobs/train");
  if (name->kind == kind) return name->full;
  constexpr const char* kKinds[] = {"an experiment", "a trial", "a job"};
  constexpr const char* kExamples[] = {"quickstart-1", "quickstart-1/t3", "quickstart-1/t3/train"};
  const int wanted = static_cast<int>(kind);
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" names ", kKinds[static_cast<int>(name->kind)],
                                                 "; this needs ", kKinds[wanted], ", such as ", kExamples[wanted],
                                                 "."));
}

std::string ShortName(const std::string& full) {
  const std::vector<std::string> parts = absl::StrSplit(full, '/');
  if (parts.size() % 2 == 1) return full;
  std::vector<std::string> ids;
  for (size_t i = 1; i < parts.size(); i += 2) ids.push_back(parts[i]);
  return absl::StrJoin(ids, "/");
}

std::string LastPart(const std::string& name) { return name.substr(name.rfind('/') + 1); }

std::string ParentOf(const std::string& full) {
  std::vector<std::string> parts = absl::StrSplit(full, '/');
  if (parts.size() < 4) return "";
  parts.resize(parts.size() - 2);
  return absl::StrJoin(parts, "/");
}

}  // namespace strata::client
