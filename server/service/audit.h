// The audit log: each call that changes something, by the table of access_table.h, leaves one entry. Coordinator::Update stores
// it in the transaction of the change; where a call worked without one, it is stored before the call is answered.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>

#include "server/service/access.h"
#include "server/service/coordinator.h"
#include "server/store/access_rows.h"

namespace strata::service {

// The factory of what watches every call. Both arguments outlive the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeAuditor(Coordinator& coordinator,
                                                                                   const Access& access);

}  // namespace strata::service
