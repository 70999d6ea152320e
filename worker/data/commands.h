// The commands of strata-data, one file each. Each adds itself to the program; it runs when it was chosen.
// They throw model::DataError (exit status 1) and UsageError (2).
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <stdexcept>

namespace strata::data {

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void AddFetch(CLI::App& program);
void AddPrepare(CLI::App& program);
void AddPrepareSpeech(CLI::App& program);
void AddFeatures(CLI::App& program);
void AddInspect(CLI::App& program);
void AddImport(CLI::App& program);
void AddEncode(CLI::App& program);

}  // namespace strata::data
