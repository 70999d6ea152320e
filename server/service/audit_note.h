// The entry of the audit log that the call on this thread owes. gRPC runs a call's interceptors and its handler on one
// thread, so no handler has to hand it on, and none can forget it.
#pragma once

#include <memory>
#include <string>

#include "server/store/access_rows.h"

namespace strata::service {

struct AuditNote {
  store::AuditEntry entry;
  bool owed = true;  // false once stored
};

// Null: this thread runs no call that owes one.
std::shared_ptr<AuditNote>& CurrentAuditNote();

// Says better what the call is about than its request does: the name that a new resource got.
void NoteTarget(const std::string& name);

}  // namespace strata::service
