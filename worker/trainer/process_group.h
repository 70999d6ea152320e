// The ranks of one attempt as a c10d process group: the store that they meet at and the collectives over it.
//
// Traffic is plain, so it stays on the address that is stated: the store listens on that address alone, Gloo binds to
// it, NCCL is told by NCCL_SOCKET_IFNAME.
#pragma once

#include <c10/core/Device.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace strata::trainer {

struct OpenedStore {
  c10::intrusive_ptr<c10d::Store> store;
  uint16_t port = 0;
};

// Rank 0: listens on a free port of `address` (a host name or an IPv4 address of this machine). Throws
// std::system_error where the address cannot be bound.
OpenedStore OpenStore(const std::string& address, int64_t world_size, std::chrono::milliseconds timeout);

// The other ranks. Throws c10::Error where nobody answers in time.
c10::intrusive_ptr<c10d::Store> JoinStore(const std::string& host, uint16_t port, int64_t world_size,
                                          std::chrono::milliseconds timeout);

// The network interface that has this address ("eth0"), for NCCL. Throws std::system_error where none has.
std::string InterfaceOf(const std::string& address);

// The group of all ranks: NCCL for a CUDA device (only in a build with STRATA_CUDA), Gloo over `address` for the CPU,
// and Gloo for CPU tensors beside NCCL.
c10::intrusive_ptr<c10d::ProcessGroup> MakeProcessGroup(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank,
                                                        int64_t world_size, const c10::Device& device,
                                                        const std::string& address, std::chrono::milliseconds timeout);

}  // namespace strata::trainer
