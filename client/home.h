// Where an embedded cluster lives, and where a coordinator is looked for.
#pragma once

#include <string>

namespace strata::client {

// STRATA_HOME, else ${XDG_DATA_HOME:-~/.local/share}/strata.
std::string StrataHome();

// Whether ResolveAddress takes the embedded cluster's.
bool IsEmbedded(const std::string& given);

// `given` (from --address), else STRATA_ADDRESS, else the address file of the embedded cluster, else localhost:7070.
std::string ResolveAddress(const std::string& given);

// Files under STRATA_HOME.
struct HomePaths {
  std::string home;
  std::string coordinator() const { return home + "/coordinator"; }
  std::string agent() const { return home + "/agent"; }
  std::string address_file() const { return coordinator() + "/address"; }
  std::string cluster_file() const { return home + "/cluster.json"; }
};

}  // namespace strata::client
