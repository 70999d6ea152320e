// What ranks tell each other, and how they fail to meet. In one process by threads where that will do.
#include "worker/trainer/ranks.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "worker/trainer/failure.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/gradient_reducer.h"
#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

using testing::Gang;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(CollectiveLogTest, HoldsNumberAndNameOfTheLastOne) {
  const testing::ScratchFolder folder;
  CollectiveLog log(folder / "collectives");
  log.Enter("first, with a long name");
  log.Enter("second");
  EXPECT_EQ(log.sequence(), 2u);
  const auto read = [&] {
    std::stringstream bytes;
    bytes << std::ifstream(folder / "collectives", std::ios::binary).rdbuf();
    return bytes.str();
  };
  EXPECT_EQ(read(), std::string("\2\0\0\0\0\0\0\0second", 14) + std::string(114, '\0'));
  log.Enter(std::string(500, 'x'));
  EXPECT_EQ(read(), std::string("\3\0\0\0\0\0\0\0", 8) + std::string(120, 'x'));
}

TEST(CollectiveLogTest, AFileThatCannotBeMadeIsNamed) {
  try {
    CollectiveLog log("/nowhere/collectives");
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/collectives"));
  }
}

TEST(GradientBucketsTest, GoFromTheLastParameterToTheFirst) {
  using Buckets = std::vector<std::vector<size_t>>;
  EXPECT_EQ(GradientBuckets({4, 3, 2, 1}, 3), (Buckets{{3, 2}, {1}, {0}}));
  EXPECT_EQ(GradientBuckets({1, 1, 1}, 100), (Buckets{{2, 1, 0}}));
  EXPECT_EQ(GradientBuckets({1, 50, 1}, 10), (Buckets{{2}, {1}, {0}}));  // larger than a bucket: one of its own
}

// Runs `body` on as many threads as ranks, each with ranks that have met.
void OnRanks(int size, const std::function<void(Ranks&)>& body) {
  const testing::ScratchFolder folder;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      const std::string socket = folder / ("control-" + std::to_string(rank));
      EventLog events(folder / ("events-" + std::to_string(rank)), 1, rank);
      Control control(socket);
      Ranks ranks({.rank = rank, .size = size, .address = "127.0.0.1", .meeting_timeout = std::chrono::seconds(20)});
      ASSERT_TRUE(ranks.Meet(c10::Device(c10::kCPU), &events, control));
      body(ranks);
      ranks.FromFirst("end", at::zeros({1}));  // nobody leaves while another still sends
    });
  }
  while (testing::OfType(testing::ReadEvents(folder / "events-0"), "rendezvous").empty()) std::this_thread::yield();
  const auto event = testing::OfType(testing::ReadEvents(folder / "events-0"), "rendezvous")[0];
  for (int rank = 1; rank < size; ++rank) {
    testing::Ask(folder / ("control-" + std::to_string(rank)),
                 "rendezvous 127.0.0.1 " + std::to_string(event.at("port").get<int>()));
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(RanksTest, SumGatherAndWhatTheFirstHas) {
  OnRanks(3, [](Ranks& ranks) {
    const auto me = static_cast<double>(ranks.rank());
    at::Tensor values = at::full({2}, me + 0.5, at::kDouble);
    ranks.Sum("sum", values);
    EXPECT_EQ(values[1].item<double>(), 4.5);
    EXPECT_EQ(ranks.FromFirst("text", ranks.first() ? std::string("a\0b", 3) : "mine"), std::string("a\0b", 3));
    EXPECT_EQ(ranks.FromFirst("nothing", ranks.first() ? std::string() : "mine"), "");
    const auto all = ranks.Gather("names", std::string(static_cast<size_t>(ranks.rank()), 'x'));
    EXPECT_EQ(all, (std::vector<std::string>{"", "x", "xx"}));
    const std::vector<model::NamedParameter> weights = {{"a", at::full({2, 2}, me)}, {"b", at::full({3}, me + 1)}};
    ranks.FromFirst("weights", weights);
    EXPECT_EQ(weights[0].tensor.sum().item<double>(), 0);
    EXPECT_EQ(weights[1].tensor.sum().item<double>(), 3);
  });
}

TEST(RanksTest, AloneEveryCollectiveIsNothing) {
  Ranks ranks;
  at::Tensor values = at::ones({2});
  ranks.Sum("sum", values);
  EXPECT_EQ(values.sum().item<double>(), 2);
  EXPECT_EQ(ranks.Gather("names", "x"), std::vector<std::string>{"x"});
  EXPECT_EQ(ranks.FromFirst("text", "x"), "x");
}

// --- the real program ---

class MeetingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::WriteDataset(folder_ / "data");
    spec_ = testing::SmallSpec();
    spec_["train"]["updates"] = 4;
    spec_["resources"]["ranks"] = 2;
  }
  std::vector<std::string> Arguments(std::vector<std::string> more = {}) {
    testing::WriteJson(folder_ / "spec.json", spec_);
    std::vector<std::string> all = {"--spec", folder_ / "spec.json", "--job", "train", "--dataset", folder_ / "data"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // Of a rank that ended badly.
  static void ExpectFailed(const Gang& gang, int rank, const std::string& cause, const std::string& message) {
    EXPECT_EQ(gang.Last(rank).value("cause", ""), cause) << gang.Log(rank);
    EXPECT_THAT(gang.Last(rank).value("message", ""), HasSubstr(message));
  }

  testing::ScratchFolder folder_;
  nlohmann::json spec_;
};

TEST_F(MeetingTest, TwoRanksTrainAndListenOnTheStatedAddressAlone) {
  spec_["train"]["updates"] = 100000;
  Gang gang(folder_ / "gang", Arguments(), 2, "127.0.0.2");
  ASSERT_TRUE(gang.Introduce());
  ASSERT_TRUE(gang.Await(1, "started")) << gang.Log(1);
  for (const int rank : {0, 1}) {
    const auto addresses = testing::ListeningAddresses(gang.pid(rank));
    EXPECT_FALSE(addresses.empty()) << rank;
    EXPECT_THAT(addresses, ::testing::Each("0200007F")) << rank;
  }
  EXPECT_EQ(testing::Ask(folder_ / "gang" / "control-1", "stop"), "ok\n");
  EXPECT_EQ(gang.WaitAll(), (std::vector<int>{0, 0})) << gang.Log(0);
  EXPECT_EQ(gang.Last(0).at("type"), "stopped");
  EXPECT_EQ(gang.Last(0).at("update"), gang.Last(1).at("update"));
}

TEST_F(MeetingTest, AddressesThatNobodyAnswersAtAreClearErrors) {
  const auto arguments = Arguments({"--rendezvous-seconds", "1", "--arrival-seconds", "2"});
  Gang elsewhere(folder_ / "a", arguments, 2, "192.0.2.1");  // no address of this machine
  Gang waiting(folder_ / "b", arguments, 2);                 // nobody tells rank 1
  Gang wrong(folder_ / "c", arguments, 2);                   // rank 1 is sent to where nobody listens
  ASSERT_EQ(testing::Ask(folder_ / "c" / "control-1", "rendezvous 127.0.0.1 1"), "ok\n");
  EXPECT_EQ(elsewhere.WaitAll(), (std::vector<int>{1, 1}));
  ExpectFailed(elsewhere, 0, "rendezvous_failed", "192.0.2.1");
  EXPECT_EQ(waiting.WaitAll(), (std::vector<int>{1, 1}));
  ExpectFailed(waiting, 0, "rendezvous_failed", "within 2 s these ranks did not come: 1");
  ExpectFailed(waiting, 1, "rendezvous_failed", "was not told within 2 s where rank 0 listens");
  EXPECT_EQ(wrong.WaitAll(), (std::vector<int>{1, 1}));
  ExpectFailed(wrong, 1, "rendezvous_failed", "127.0.0.1:1");
}

TEST_F(MeetingTest, ARankMayStartLongAfterTheOthers) {
  spec_["train"]["updates"] = 2;
  Gang gang(folder_ / "gang", Arguments({"--rendezvous-seconds", "1"}), 2);
  ASSERT_TRUE(gang.Await(0, "rendezvous"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  ASSERT_TRUE(gang.Introduce());
  EXPECT_EQ(gang.WaitAll(), (std::vector<int>{0, 0})) << gang.Log(0) << gang.Log(1);
}

TEST_F(MeetingTest, AStopEndsTheWaitingForTheOthers) {
  Gang gang(folder_ / "gang", Arguments(), 2);
  for (const int rank : {1, 0}) {
    EXPECT_EQ(testing::Ask(folder_ / "gang" / ("control-" + std::to_string(rank)), "stop"), "ok\n");
    EXPECT_EQ(gang.Wait(rank), 0);
    EXPECT_EQ(gang.Last(rank).at("type"), "stopped");
    EXPECT_TRUE(gang.Last(rank).at("file").is_null());
  }
}

TEST_F(MeetingTest, RefusesNumbersOfRanksThatDoNotFit) {
  Gang three(folder_ / "three", Arguments(), 3);
  EXPECT_EQ(three.WaitAll(), (std::vector<int>{2, 2, 2}));
  ExpectFailed(three, 2, "bad_spec", "--world-size is 3, which does not divide the 4 batches of an update");
  auto arguments = Arguments({"--out", folder_ / "out", "--world-size", "2"});
  testing::Ended ended = testing::RunTrainer(arguments);
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.err, HasSubstr("--advertise-address"));
  arguments[3] = "probe";
  ended = testing::RunTrainer(arguments);
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.err, HasSubstr("--job probe runs on one rank"));
}

}  // namespace
}  // namespace strata::trainer
