// /metrics as Prometheus sees it, judged by the real promtool.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "server/service/live_trials.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// The body of GET /metrics at 127.0.0.1:port.
std::string Scrape(const std::string& address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    if (write(fd, request.data(), request.size()) > 0) {
      char buffer[4096];
      for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(n));
    }
  }
  close(fd);
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? "" : answer.substr(body + 4);
}

TEST(MetricsTest, ShowsALiveTrialAndPromtoolFindsNothingWrong) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1", 2);
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(
      cluster
          .Report(
              "w1", attempt,
              {Event(1, "started", R"("job": "train", "resumed_from": null)"),
               Event(
                   2, "measurements",
                   R"("update": 10, "scalars": {"train_loss": 6.5, "learning_rate": 0.001, "valid_nll": "NaN"}, "vectors": [{"name": "gradient_norm_output", "stack": "decoder", "values": [1, 2.5]}])")})
          .ok());
  const std::string text = Scrape(cluster.server().metrics_address());
  EXPECT_THAT(text, HasSubstr(R"(strata_trial_loss{experiment="small-1",trial="t1"} 6.5)"));
  EXPECT_THAT(
      text, HasSubstr(R"(strata_trial_gradient_norm{experiment="small-1",trial="t1",stack="decoder",layer="2"} 2.5)"));
  EXPECT_THAT(text, HasSubstr(R"(strata_jobs{state="RUNNING"} 1)"));
  EXPECT_THAT(text, HasSubstr("strata_slots 2"));
  EXPECT_THAT(text, HasSubstr("strata_slots_busy 1"));
  EXPECT_THAT(text, HasSubstr(R"(method="WorkerService/ReportEvents")"));
  if (std::system("command -v promtool > /dev/null") != 0) GTEST_SKIP() << "promtool is not installed";
  const std::string file = cluster.folder() + "/metrics.txt";
  std::ofstream(file) << text;
  EXPECT_EQ(std::system(absl::StrCat("promtool check metrics < ", file).c_str()), 0);
}

TEST(LiveTrialsTest, AFinishedTrainingStaysForFiveMinutes) {
  LiveTrials live;
  const absl::Time start = absl::FromUnixSeconds(1000);
  live.Apply("experiments/e/trials/t1/jobs/train", true, 10, {}, start);
  live.End("experiments/e/trials/t1/jobs/train", start);
  EXPECT_THAT(live.All(start + absl::Minutes(5)), SizeIs(1));
  EXPECT_THAT(live.All(start + absl::Minutes(5) + absl::Seconds(1)), SizeIs(0));
}

}  // namespace
}  // namespace strata::service
