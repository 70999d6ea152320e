#include "worker/trainer/process_group.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <system_error>
#include <thread>

#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

constexpr std::chrono::seconds kTimeout(20);

TEST(ProcessGroupTest, TwoRanksMeetAndSumOnTheStatedAddressAlone) {
  const OpenedStore opened = OpenStore("127.0.0.1", 2, kTimeout);
  EXPECT_GT(opened.port, 0);
  std::vector<double> sums(2);
  std::multiset<std::string> listening;
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&, rank] {
      const auto store = rank == 0 ? opened.store : JoinStore("127.0.0.1", opened.port, 2, kTimeout);
      const auto group = MakeProcessGroup(store, rank, 2, c10::Device(c10::kCPU), "127.0.0.1", kTimeout);
      std::vector<at::Tensor> tensors = {at::full({3}, rank + 1.0)};
      group->allreduce(tensors)->wait();
      sums[static_cast<size_t>(rank)] = tensors[0].sum().item<double>();
      if (rank == 0) listening = testing::ListeningAddresses(::getpid());
      group->barrier()->wait();
    });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(sums, (std::vector<double>{9, 9}));
  EXPECT_FALSE(listening.empty());
  for (const std::string& address : listening) EXPECT_EQ(address, "0100007F");  // 127.0.0.1
}

TEST(ProcessGroupTest, FindsTheInterfaceOfAnAddress) {
  EXPECT_EQ(InterfaceOf("127.0.0.1"), "lo");
  EXPECT_EQ(InterfaceOf("127.0.0.2"), "lo");
  EXPECT_THROW(InterfaceOf("192.0.2.1"), std::system_error);
}

TEST(ProcessGroupTest, AnAddressOfAnotherMachineIsAClearError) {
  for (const char* address : {"192.0.2.1", "no.such.host.invalid"}) {
    try {
      OpenStore(address, 2, kTimeout);
      FAIL();
    } catch (const std::system_error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(address));
    }
  }
}

}  // namespace
}  // namespace strata::trainer
