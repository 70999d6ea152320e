#include "client/commands/cluster.h"

#include <fcntl.h>
#include <sys/file.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace strata::client {

Cluster ReadCluster(const HomePaths& paths) {
  std::ifstream file(paths.cluster_file());
  const auto json = nlohmann::json::parse(file, nullptr, false);
  Cluster cluster;
  if (!json.is_object()) return cluster;
  const auto number = [&json](const char* key) {
    return json.contains(key) && json[key].is_number_integer() ? json[key].get<int>() : 0;
  };
  cluster.port = number("port");
  cluster.metrics_port = number("metrics_port");
  cluster.agent_metrics_port = number("agent_metrics_port");
  cluster.slots = number("slots");
  if (json.contains("detokenisers") && json["detokenisers"].is_array()) {
    for (const auto& each : json["detokenisers"]) {
      if (each.is_string()) cluster.detokenisers.push_back(each.get<std::string>());
    }
  }
  return cluster;
}

absl::Status WriteCluster(const HomePaths& paths, const Cluster& cluster) {
  const nlohmann::ordered_json json = {{"port", cluster.port},
                                       {"metrics_port", cluster.metrics_port},
                                       {"agent_metrics_port", cluster.agent_metrics_port},
                                       {"slots", cluster.slots},
                                       {"detokenisers", cluster.detokenisers}};
  return base::WriteFileAtomically(paths.cluster_file(), json.dump(2) + "\n");
}

Daemon CoordinatorDaemon(const HomePaths& paths) {
  return {"strata-coordinator", paths.coordinator() + "/pid.json", paths.coordinator() + "/coordinator.log"};
}

Daemon AgentDaemon(const HomePaths& paths) {
  return {"strata-agent", paths.agent() + "/pid.json", paths.agent() + "/agent.log"};
}

std::vector<std::string> AgentArguments(const HomePaths& paths, const Cluster& cluster, const std::string& name) {
  const auto local = [](int port) { return absl::StrCat("127.0.0.1:", port); };
  std::vector<std::string> arguments = {"--coordinator",    local(cluster.port),
                                        "--state-dir",      paths.agent(),
                                        "--name",           name,
                                        "--slots",          absl::StrCat(cluster.slots),
                                        "--metrics-listen", local(cluster.agent_metrics_port)};
  for (const std::string& detokeniser : cluster.detokenisers)
    arguments.insert(arguments.end(), {"--detokeniser", detokeniser});
  return arguments;
}

absl::StatusOr<base::FileDescriptor> LockCluster(const HomePaths& paths) {
  const auto not_there = [](const absl::Status& status) {
    return absl::Status(status.code(),
                        absl::StrCat(status.message(), " Name a folder that you may write to: STRATA_HOME=FOLDER."));
  };
  if (const absl::Status status = base::MakeFolders(paths.home); !status.ok()) return not_there(status);
  auto lock = base::OpenFile(paths.home + "/cluster.lock", O_RDWR | O_CREAT | O_CLOEXEC);
  if (!lock.ok()) return not_there(lock.status());
  if (flock(lock->get(), LOCK_EX) != 0)
    return absl::InternalError(absl::StrCat(paths.home, "/cluster.lock cannot be locked."));
  return lock;
}

}  // namespace strata::client
