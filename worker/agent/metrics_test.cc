// What /metrics says of the GPUs.
#include "worker/agent/metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace strata::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Scrape(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(::write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string text(1 << 16, '\0');
  size_t size = 0;
  for (ssize_t n; (n = ::read(fd, text.data() + size, text.size() - size)) > 0;) size += static_cast<size_t>(n);
  ::close(fd);
  text.resize(size);
  return text;
}

TEST(MetricsTest, EachGpuHasItsSeriesAndWhatItDoesNotTellHasNone) {
  const Stats stats;
  auto server = ServeMetrics("127.0.0.1:0", stats, ::testing::TempDir());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT(Scrape((*server)->port()), Not(HasSubstr("strata_worker_gpu")));
  (*server)->ShowGpus("w1", [] {
    GpuView view{.gpu = {.index = 3, .uuid = "GPU-abc"},
                 .reading = {.utilisation = 0.5, .memory_used = 1024, .memory_total = 4096, .watts = 512.5},
                 .last_xid = 79,
                 .usable = false};
    return std::vector<GpuView>{view};
  });
  const std::string text = Scrape((*server)->port());
  const std::string labels = R"({worker="w1",gpu="3",uuid="GPU-abc"} )";
  EXPECT_THAT(text, HasSubstr("strata_worker_gpu_utilisation_ratio" + labels + "0.5"));
  EXPECT_THAT(text, HasSubstr("strata_worker_gpu_memory_used_bytes" + labels + "1024"));
  EXPECT_THAT(text, HasSubstr("strata_worker_gpu_memory_total_bytes" + labels + "4096"));
  EXPECT_THAT(text, HasSubstr("strata_worker_gpu_power_watts" + labels + "512.5"));
  EXPECT_THAT(text, HasSubstr("strata_worker_gpu_last_xid" + labels + "79"));
  EXPECT_THAT(text, HasSubstr("strata_worker_gpu_offered" + labels + "0"));
  EXPECT_THAT(text, Not(HasSubstr("strata_worker_gpu_temperature_celsius{")));
}

}  // namespace
}  // namespace strata::agent
