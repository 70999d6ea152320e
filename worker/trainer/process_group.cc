#include "worker/trainer/process_group.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef STRATA_CUDA
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace strata::trainer {
namespace {

[[noreturn]] void Throw(const std::string& address, const char* what) {
  throw std::system_error(errno, std::generic_category(), "Rendezvous address " + address + " " + what);
}

sockaddr_in Resolve(const std::string& address) {
  addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(address.c_str(), nullptr, &hints, &found); error != 0) {
    throw std::system_error(EADDRNOTAVAIL, std::generic_category(),
                            "Rendezvous address " + address + " is no host: " + ::gai_strerror(error));
  }
  sockaddr_in resolved = {};
  std::memcpy(&resolved, found->ai_addr, sizeof resolved);
  ::freeaddrinfo(found);
  return resolved;
}

// A TCP socket bound to a free port of `address`; the port is written to `port`.
int BindFreePort(const std::string& address, uint16_t* port) {
  sockaddr_in bound = Resolve(address);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) Throw(address, "cannot be used");
  socklen_t length = sizeof bound;
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&bound), length) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    const int code = errno;
    ::close(listener);
    errno = code;
    Throw(address, "cannot be bound; it must be this machine's");
  }
  *port = ntohs(bound.sin_port);
  return listener;
}

}  // namespace

OpenedStore OpenStore(const std::string& address, int64_t world_size, std::chrono::milliseconds timeout) {
  OpenedStore opened;
  c10d::TCPStoreOptions options;
  options.isServer = true;
  options.numWorkers = static_cast<size_t>(world_size);
  options.waitWorkers = false;
  options.timeout = timeout;
  options.masterListenFd = BindFreePort(address, &opened.port);  // TCPStore by itself would listen on every address
  options.port = opened.port;
  opened.store = c10::make_intrusive<c10d::TCPStore>(address, options);
  return opened;
}

c10::intrusive_ptr<c10d::Store> JoinStore(const std::string& host, uint16_t port, int64_t world_size,
                                          std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.numWorkers = static_cast<size_t>(world_size);
  options.waitWorkers = false;
  options.timeout = timeout;
  return c10::make_intrusive<c10d::TCPStore>(host, options);
}

std::string InterfaceOf(const std::string& address) {
  const sockaddr_in wanted = Resolve(address);
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) Throw(address, "cannot be found among this machine's interfaces");
  // 127.0.0.0/8 is one interface's whole, though it lists one address.
  const auto same = [&wanted](const ifaddrs& interface) {
    const auto mask = interface.ifa_netmask == nullptr
                          ? INADDR_NONE
                          : reinterpret_cast<const sockaddr_in*>(interface.ifa_netmask)->sin_addr.s_addr;
    const auto own = reinterpret_cast<const sockaddr_in*>(interface.ifa_addr)->sin_addr.s_addr;
    const bool loopback = (interface.ifa_flags & IFF_LOOPBACK) != 0;
    return loopback ? (own & mask) == (wanted.sin_addr.s_addr & mask) : own == wanted.sin_addr.s_addr;
  };
  std::string name;
  for (const ifaddrs* interface = all; interface != nullptr && name.empty(); interface = interface->ifa_next) {
    if (interface->ifa_addr != nullptr && interface->ifa_addr->sa_family == AF_INET && same(*interface)) name = interface->ifa_name;
  }
  ::freeifaddrs(all);
  if (!name.empty()) return name;
  errno = EADDRNOTAVAIL;
  Throw(address, "is none of this machine's interfaces");
}

c10::intrusive_ptr<c10d::ProcessGroup> MakeProcessGroup(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank,
                                                        int64_t world_size, const c10::Device& device,
                                                        const std::string& address, std::chrono::milliseconds timeout) {
  const int me = static_cast<int>(rank), all = static_cast<int>(world_size);
  auto group = c10::make_intrusive<c10d::ProcessGroup>(store, me, all);
  // Both number their keys from 0.
  const auto keys_of = [&](const char* backend) { return c10::make_intrusive<c10d::PrefixStore>(backend, store); };
  auto gloo_options = c10d::ProcessGroupGloo::Options::create(timeout);
  gloo_options->devices = {c10d::ProcessGroupGloo::createDeviceForHostname(address)};
  group->setBackend(c10::kCPU, c10d::ProcessGroup::BackendType::GLOO,
                    c10::make_intrusive<c10d::ProcessGroupGloo>(keys_of("gloo"), me, all, gloo_options));
#ifdef STRATA_CUDA
  if (device.is_cuda()) {
    // An error ends the collective, not the process: the ranks' next reduction over Gloo says who is gone.
    ::setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2", /*overwrite=*/0);
    ::setenv("NCCL_SOCKET_IFNAME", ("=" + InterfaceOf(address)).c_str(), /*overwrite=*/1);
    auto nccl_options = c10d::ProcessGroupNCCL::Options::create();
    nccl_options->timeout = timeout;
    group->setBackend(c10::kCUDA, c10d::ProcessGroup::BackendType::NCCL,
                      c10::make_intrusive<c10d::ProcessGroupNCCL>(keys_of("nccl"), me, all, nccl_options));
  }
#endif
  group->setDefaultBackend(device.is_cuda() ? c10d::ProcessGroup::BackendType::NCCL
                                            : c10d::ProcessGroup::BackendType::GLOO);
  return group;
}

}  // namespace strata::trainer
