// A worker's own program that makes running text of what a model wrote, e.g. of Moses tokens (--detokeniser
// NAME=COMMAND).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace strata::trainer {

// By the name that a dataset's manifest has; the value is a command for /bin/sh.
using Detokenisers = std::map<std::string, std::string>;

// Reads NAME=COMMAND. Failure (bad_spec) for anything else.
Detokenisers ParseDetokenisers(const std::vector<std::string>& arguments);

// The lines, detokenised by `name`'s command, run once: UTF-8 lines on its standard input, as many on its standard
// output. `name` empty: the lines as they are. What it is fed stands in a file in `folder` meanwhile. Failure
// (data_error), with the remedy: this worker has no such detokeniser, or the command fails, writes another number of
// lines or what is not UTF-8.
std::vector<std::string> Detokenised(const Detokenisers& detokenisers, const std::string& name,
                                     const std::filesystem::path& folder, std::vector<std::string> lines);

}  // namespace strata::trainer
