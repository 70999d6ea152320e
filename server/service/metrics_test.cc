// /metrics as Prometheus sees it, judged by the real promtool.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "server/service/exported_state.h"
#include "server/service/live_trials.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

// What is answered to a request for `path` at 127.0.0.1:port, head and body.
std::string Ask(const std::string& address, const std::string& path, const std::string& method = "GET") {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string request = absl::StrCat(method, " ", path, " HTTP/1.0\r\nHost: localhost\r\n\r\n");
    if (write(fd, request.data(), request.size()) > 0) {
      char buffer[4096];
      for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<size_t>(n));
    }
  }
  close(fd);
  return answer;
}

std::string BodyOf(const std::string& answer) {
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? "" : answer.substr(body + 4);
}

std::string Scrape(TestCluster& cluster) { return BodyOf(Ask(cluster.server().metrics_address(), "/metrics")); }

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
  const std::string text = Scrape(cluster);
  EXPECT_THAT(text, HasSubstr(R"(strata_trial_loss{experiment="small-1",trial="t1"} 6.5)"));
  EXPECT_THAT(
      text, HasSubstr(R"(strata_trial_gradient_norm{experiment="small-1",trial="t1",stack="decoder",layer="2"} 2.5)"));
  EXPECT_THAT(text,
              HasSubstr(R"(strata_trial_info{experiment="small-1",trial="t1",task="translation",dataset="tiny",)"));
  EXPECT_THAT(text, HasSubstr(R"(strata_trial_silence_seconds{experiment="small-1",trial="t1"} )"));
  EXPECT_THAT(text, HasSubstr(R"(strata_trial_checkpoint_stored_update{experiment="small-1",trial="t1"} -1)"));
  EXPECT_THAT(text, HasSubstr(R"(strata_trial_diverged{experiment="small-1",trial="t1"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(strata_jobs{state="RUNNING"} 1)"));
  EXPECT_THAT(text, HasSubstr("strata_slots 2"));
  EXPECT_THAT(text, HasSubstr("strata_slots_busy 1"));
  EXPECT_THAT(text, HasSubstr(R"(method="WorkerService/ReportEvents")"));
  if (std::system("command -v promtool > /dev/null") != 0) GTEST_SKIP() << "promtool is not installed";
  const std::string file = cluster.folder() + "/metrics.txt";
  std::ofstream(file) << text;
  EXPECT_EQ(std::system(absl::StrCat("promtool check metrics < ", file).c_str()), 0);
}

TEST(MetricsTest, CountsFailuresByCausesThatAreKnown) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1", 1);
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Complete("w1", attempt, "failed", "out_of_memory").ok());
  cluster.Submit(TestCluster::Spec(), "r2");
  const v1::AttemptRef second = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Complete("w1", second, "failed", "invented-by-somebody").ok());
  const std::string text = Scrape(cluster);
  EXPECT_THAT(text, HasSubstr(R"(strata_attempt_failures_total{cause="out_of_memory"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(strata_attempt_failures_total{cause="other"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(strata_attempt_failures_total{cause="stalled"} 0)"));
  EXPECT_THAT(text, Not(HasSubstr("invented")));
}

TEST(MetricsTest, TellsOfAQueueWhatWaitsForRoomOnly) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");  // its EVALUATE job waits for its TRAIN job
  const std::string text = Scrape(cluster);
  EXPECT_THAT(text, HasSubstr(R"(strata_jobs{state="QUEUED"} 2)"));
  EXPECT_THAT(text, HasSubstr("strata_queue_eligible_jobs 1"));
  cluster.Register("w1", 1);
  cluster.Sync("w1");
  EXPECT_THAT(Scrape(cluster), HasSubstr("strata_queue_longest_wait_seconds 0\n"));
}

TEST(MetricsTest, ListsWorkersForServiceDiscoveryWhileTheyAreConnected) {
  TestCluster cluster;
  const auto enter = [&](const std::string& name, const std::string& metrics) {
    grpc::ClientContext context;
    v1::RegisterWorkerRequest request;
    request.set_name("workers/" + name);
    request.set_worker_uid(name);
    request.set_protocol(1);
    request.add_slots();
    request.set_host("a\"host");
    request.set_metrics_address(metrics);
    v1::RegisterWorkerResponse response;
    EXPECT_TRUE(cluster.workers->RegisterWorker(&context, request, &response).ok());
    return response.session();
  };
  enter("w1", "10.0.0.1:7072");
  enter("mute", "");
  const std::string session = enter("w2", "10.0.0.2:7072");
  const auto targets = [&] {
    const auto answer = Ask(cluster.server().metrics_address(), "/sd/workers");
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json"));
    return nlohmann::json::parse(BodyOf(answer));
  };
  const nlohmann::json listed = targets();
  ASSERT_THAT(listed, SizeIs(2)) << listed;
  EXPECT_EQ(listed[0]["targets"], nlohmann::json::array({"10.0.0.1:7072"}));
  EXPECT_EQ(listed[0]["labels"]["worker"], "w1");
  EXPECT_EQ(listed[0]["labels"]["__meta_strata_host"], "a\"host");
  cluster.Restart();  // where they are is stored
  EXPECT_EQ(targets(), listed);
  grpc::ClientContext context;
  v1::DeregisterWorkerRequest leave;
  leave.set_name("workers/w2");
  leave.set_session(session);
  v1::DeregisterWorkerResponse gone;
  ASSERT_TRUE(cluster.workers->DeregisterWorker(&context, leave, &gone).ok());
  EXPECT_THAT(targets(), SizeIs(1));
}

TEST(PagesTest, CanOnlyBeReadAndNameEachOther) {
  TestCluster cluster;
  const std::string address = cluster.server().metrics_address();
  EXPECT_THAT(Ask(address, "/"), AllOf(HasSubstr("404"), HasSubstr("/metrics /sd/workers")));
  EXPECT_THAT(Ask(address, "/metrics/more"), HasSubstr("404"));
  EXPECT_THAT(Ask(address, "/metrics", "POST"), HasSubstr("405"));
  const std::string head = Ask(address, "/metrics", "HEAD");
  EXPECT_THAT(head, HasSubstr("200 OK"));
  EXPECT_EQ(BodyOf(head), "");
}

TEST(ExportedStateTest, ShowsDeepStacksByLayersThatAreEvenlySpread) {
  EXPECT_EQ(ShownLayers(3, 128), (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(ShownLayers(0, 128), std::vector<size_t>());
  EXPECT_EQ(ShownLayers(9, 3), (std::vector<size_t>{0, 4, 8}));
  const std::vector<size_t> shown = ShownLayers(10000, 128);
  EXPECT_THAT(shown, SizeIs(128));
  EXPECT_EQ(shown.front(), 0U);
  EXPECT_EQ(shown.back(), 9999U);
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
