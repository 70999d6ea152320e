#include "client/commands/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace strata::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ClusterTest, KeepsWhatWasChosenForTheNextTime) {
  std::string folder = (std::filesystem::temp_directory_path() / "strata-cluster-XXXXXX").string();
  const HomePaths paths{mkdtemp(folder.data())};
  EXPECT_THAT(ReadCluster(paths).detokenisers, IsEmpty());
  const std::string command = "moses-de=sacremoses -l de detokenize";
  ASSERT_TRUE(
      WriteCluster(
          paths,
          {.port = 1, .metrics_port = 2, .agent_metrics_port = 3, .slots = 4, .detokenisers = {command, "b=cat"}})
          .ok());
  const Cluster cluster = ReadCluster(paths);
  EXPECT_EQ(cluster.port, 1);
  EXPECT_EQ(cluster.slots, 4);
  EXPECT_THAT(cluster.detokenisers, ElementsAre(command, "b=cat"));
  EXPECT_THAT(AgentArguments(paths, cluster, "local"),
              ElementsAre("--coordinator", "127.0.0.1:1", "--state-dir", paths.agent(), "--name", "local", "--slots",
                          "4", "--metrics-listen", "127.0.0.1:3", "--detokeniser", command, "--detokeniser", "b=cat"));
  std::ofstream(paths.cluster_file()) << R"({"port": 5, "slots": 1})";  // of a version before
  EXPECT_EQ(ReadCluster(paths).port, 5);
  EXPECT_THAT(ReadCluster(paths).detokenisers, IsEmpty());
  std::filesystem::remove_all(paths.home);
}

}  // namespace
}  // namespace strata::client
