#include "client/home.h"

#include <cstdlib>
#include <fstream>

namespace strata::client {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string StrataHome() {
  if (const std::string home = Environment("STRATA_HOME"); !home.empty()) return home;
  if (const std::string data = Environment("XDG_DATA_HOME"); !data.empty()) return data + "/strata";
  return Environment("HOME") + "/.local/share/strata";
}

std::string ResolveAddress(const std::string& given) {
  if (!given.empty()) return given;
  if (const std::string address = Environment("STRATA_ADDRESS"); !address.empty()) return address;
  std::ifstream file(HomePaths{StrataHome()}.address_file());
  std::string address;
  if (file >> address) return address;
  return "localhost:7070";
}

bool IsEmbedded(const std::string& given) {
  return given.empty() && Environment("STRATA_ADDRESS").empty() &&
         std::ifstream(HomePaths{StrataHome()}.address_file()).good();
}

}  // namespace strata::client
