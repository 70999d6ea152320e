#include "server/service/audit.h"

#include <google/protobuf/message.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "server/base/ids.h"
#include "server/service/audit_note.h"

namespace strata::service {

std::shared_ptr<AuditNote>& CurrentAuditNote() {
  thread_local std::shared_ptr<AuditNote> note;
  return note;
}

void NoteTarget(const std::string& name) {
  if (const auto& note = CurrentAuditNote()) note->entry.target = name;
}

namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

// The text of the first of these fields that the message has and sets.
std::string TextOf(const google::protobuf::Message& message, std::initializer_list<const char*> fields) {
  for (const char* name : fields) {
    const auto* field = message.GetDescriptor()->FindFieldByName(name);
    if (field == nullptr || field->is_repeated() || field->type() != google::protobuf::FieldDescriptor::TYPE_STRING)
      continue;
    if (std::string text = message.GetReflection()->GetString(message, field); !text.empty()) return text;
  }
  return "";
}

class Auditor final : public grpc::experimental::Interceptor {
 public:
  // `rule` null, or of a call that changes nothing: only makes sure that no earlier call's note is left on the thread.
  Auditor(Coordinator& coordinator, const Access& access, const grpc::ServerContextBase& context, const AccessRule* rule)
      : coordinator_(coordinator), access_(access), context_(context), rule_(rule) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      Begin(static_cast<const google::protobuf::Message*>(methods->GetRecvMessage()));
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      End(methods->GetSendStatus());
    }
    methods->Proceed();
  }

 private:
  void Begin(const google::protobuf::Message* request) {
    CurrentAuditNote() = nullptr;
    if (rule_ == nullptr || !rule_->change || request == nullptr) return;
    note_ = std::make_shared<AuditNote>();
    store::AuditEntry& entry = note_->entry;
    entry.method = rule_->method.substr(rule_->method.rfind('.') + 1);
    entry.peer = context_.peer();
    entry.target = TextOf(*request, {"name", "parent", "job", "worker"});
    entry.request_id = TextOf(*request, {"request_id"});
    if (entry.request_id.empty()) entry.request_id = base::RandomHex(8);
    // The gate let the caller in just now: only a token that ended in between is unknown here.
    if (const auto caller = access_.CallerOf(context_); caller.ok()) {
      entry.caller = caller->name;
      entry.role = Name(caller->role);
    }
    CurrentAuditNote() = note_;
  }

  void End(const grpc::Status& status) {
    CurrentAuditNote() = nullptr;
    if (note_ == nullptr) return;
    if (note_->owed && status.ok()) {
      note_->entry.time = coordinator_.now();
      const absl::Status stored = coordinator_.store().Apply({.writes = {store::AddAuditEntry{note_->entry}}});
      if (!stored.ok()) {
        spdlog::error("No entry in the audit log of {} by {}: {}", note_->entry.method, note_->entry.caller,
                      std::string(stored.message()));
      }
    }
    note_ = nullptr;
  }

  Coordinator& coordinator_;
  const Access& access_;
  const grpc::ServerContextBase& context_;
  const AccessRule* const rule_;
  std::shared_ptr<AuditNote> note_;
};

class Auditors final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  Auditors(Coordinator& coordinator, const Access& access) : coordinator_(coordinator), access_(access) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return new Auditor(coordinator_, access_, *info->server_context(),
                       info->method() == nullptr ? nullptr : FindRule(info->method()));
  }

 private:
  Coordinator& coordinator_;
  const Access& access_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeAuditor(Coordinator& coordinator,
                                                                                   const Access& access) {
  return std::make_unique<Auditors>(coordinator, access);
}

}  // namespace strata::service
