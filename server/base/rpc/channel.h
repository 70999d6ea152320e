// How every client of a coordinator connects to it: the agent, the command line.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

namespace strata::base {

// A channel to `address` (host:port) that reconnects within half a second once the coordinator is back, notices within
// half a minute that its machine is gone, and goes through no HTTP proxy.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials);

}  // namespace strata::base
