// What the comparisons with the standard tools are run on: real lines with what a middling model might write, and lines
// that are made to be nasty. And how a tool is run on them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace strata::model::testing {

struct Corpus {
  std::vector<std::string> hypotheses, references;
};

// Whole files of Debian's descriptions, thousands of lines each, and their first lines one by one; fetched once a build
// folder. Empty, with a reason, where there is no way to them.
std::vector<Corpus> RealCorpora(std::string* why_not);

// 6,000 of one to three lines: empty, one token, Unicode, repeated words, markup, odd white space.
std::vector<Corpus> NastyCorpora();

// Runs tests/metrics/SCRIPT in an environment called `environment` of these packages: its results, one a corpus. Null,
// with a reason, where the packages cannot be reached; fails the test where the script does.
nlohmann::json RunTool(const std::string& script, const std::string& environment,
                       const std::vector<std::string>& packages, const std::vector<Corpus>& corpora,
                       std::string* why_not);

}  // namespace strata::model::testing
