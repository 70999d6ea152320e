// The embedded cluster of STRATA_HOME: one coordinator and one agent on this machine.
#pragma once

#include <string>
#include <vector>

#include "client/commands/daemon.h"
#include "client/home.h"
#include "server/base/file.h"

namespace strata::client {

// STRATA_HOME/cluster.json: what `strata up` chose, kept so that the next one chooses the same.
struct Cluster {
  int port = 0;                // gRPC of the coordinator; 0: not chosen yet
  int metrics_port = 0;        // Prometheus, coordinator
  int agent_metrics_port = 0;  // Prometheus, agent
  int slots = 0;
  std::vector<std::string> detokenisers;  // NAME=COMMAND, for the agent
};

Cluster ReadCluster(const HomePaths& paths);
absl::Status WriteCluster(const HomePaths& paths, const Cluster& cluster);

Daemon CoordinatorDaemon(const HomePaths& paths);
Daemon AgentDaemon(const HomePaths& paths);

// What the agent called `name` is started with.
std::vector<std::string> AgentArguments(const HomePaths& paths, const Cluster& cluster, const std::string& name);

// Holds STRATA_HOME against a second `strata up` or `strata down` at the same time, until the descriptor closes.
absl::StatusOr<base::FileDescriptor> LockCluster(const HomePaths& paths);

}  // namespace strata::client
