#include "worker/trainer/detokeniser.h"

#include <sys/wait.h>

#include <cstdio>

#include "model/data/file.h"
#include "model/data/utf8.h"
#include "model/metrics/text.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

namespace fs = std::filesystem;

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string How(int status) {
  return WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                             : "ended with status " + std::to_string(WEXITSTATUS(status));
}

// What `command` writes to its standard output when it reads `input`.
std::string RunOn(const fs::path& input, const std::string& command, const std::string& called) {
  // A file feeds it, so that neither side can wait for the other.
  FILE* out = ::popen(("exec <" + Quoted(input.string()) + "\n" + command).c_str(), "re");
  if (out == nullptr) throw Failure(Cause::kInternal, called + " cannot be started.");
  std::string text;
  char buffer[1 << 16];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, out)) > 0;) text.append(buffer, got);
  const int status = ::pclose(out);
  if (status != 0) {
    throw Failure(Cause::kDataError, called + " " + How(status) + ". Its own words are on standard error. Mend the " +
                                         "command that the agent was given by --detokeniser.");
  }
  return text;
}

void CheckUtf8(const std::string& line, size_t number, const std::string& called) {
  for (size_t at = 0; at < line.size();) {
    const size_t length = model::CharacterLength(std::string_view(line).substr(at));
    if (length == 0) {
      throw Failure(Cause::kDataError, called + " writes what is not UTF-8 in line " + std::to_string(number + 1) +
                                           ". Run it in a UTF-8 locale.");
    }
    at += length;
  }
}

}  // namespace

Detokenisers ParseDetokenisers(const std::vector<std::string>& arguments) {
  Detokenisers detokenisers;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == argument.size()) {
      throw Failure(Cause::kBadSpec, "--detokeniser: \"" + argument +
                                         "\" is not NAME=COMMAND, e.g. moses-de=\"sacremoses -l de detokenize\".");
    }
    detokenisers[argument.substr(0, equals)] = argument.substr(equals + 1);
  }
  return detokenisers;
}

std::vector<std::string> Detokenised(const Detokenisers& detokenisers, const std::string& name, const fs::path& folder,
                                     std::vector<std::string> lines) {
  if (name.empty() || lines.empty()) return lines;
  const auto found = detokenisers.find(name);
  if (found == detokenisers.end()) {
    throw Failure(Cause::kDataError,
                  "The dataset names the detokeniser \"" + name +
                      "\", which this worker does not have. Start the agent (strata-trainer, strata generate) with --detokeniser " +
                      name + "=COMMAND.");
  }
  const std::string called = "The detokeniser \"" + name + "\" (" + found->second + ")";
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  const fs::path input = folder / "detokenise.in";
  model::WriteFileAtomically(input, text);
  text = RunOn(input, found->second, called);
  fs::remove(input);
  const std::vector<std::string_view> read = model::Lines(text);
  if (read.size() != lines.size()) {
    throw Failure(Cause::kDataError, called + " read " + std::to_string(lines.size()) + " lines and wrote " +
                                         std::to_string(read.size()) +
                                         ". It must write one line for each, empty ones too.");
  }
  for (size_t i = 0; i < read.size(); ++i) {
    lines[i] = read[i];
    CheckUtf8(lines[i], i, called);
  }
  return lines;
}

}  // namespace strata::trainer
