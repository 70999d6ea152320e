// Who may call what: the one table, walked by a test over all methods of all services. docs/SECURITY.md shows it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "strata/v1/access_service.pb.h"

namespace strata::service {

// People's roles ascend: each may do what those before it may. A worker is no person.
enum class Role { kNobody, kViewer, kSubmitter, kAdmin, kWorker };

std::string Name(Role role);                    // viewer
std::string WithArticle(Role role);             // "an admin"
absl::StatusOr<Role> ParseRole(std::string_view name);  // InvalidArgument lists them
v1::Role ToProto(Role role);
Role FromProto(v1::Role role);

struct AccessRule {
  enum class Entry { kKnown, kAnyone };
  std::string_view method;       // strata.v1.JobService/CancelJob
  Role least = Role::kNobody;    // of a person; kNobody: no person at all
  bool worker = false;           // agents may call it too
  bool change = false;           // stands in the audit log when it worked
  Entry entry = Entry::kKnown;   // kAnyone: without a token or certificate
};

const std::vector<AccessRule>& AccessRules();
// Of "/strata.v1.JobService/CancelJob"; null where there is none: nobody may call it.
const AccessRule* FindRule(std::string_view path);
bool Allows(const AccessRule& rule, Role role);

}  // namespace strata::service
