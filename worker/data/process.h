// Runs another program to its end.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace strata::data {

struct ProcessResult {
  int status = 0;      // exit status; 128 + n after signal n
  std::string output;  // standard output
  std::string errors;  // standard error
};

// Standard input is empty; messages are English (LC_ALL=C.UTF-8). `folder` is the working folder, if not empty.
// It ends when this program does. Throws model::DataError when it cannot be started or is silent for 15 minutes.
ProcessResult RunProcess(const std::vector<std::string>& command, const std::filesystem::path& folder = {});

}  // namespace strata::data
