// strata-data: from text to datasets that strata-trainer reads. Exit status: 0 done, 1 failed, 2 wrong usage.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>
#include <thread>

#include "worker/data/commands.h"
#include "worker/data/output_folder.h"

namespace {

// Ctrl-C and SIGTERM end the program at once, but leave nothing half-made behind.
void StopCleanlyOnSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    std::cerr << "strata-data: stopped; nothing was left behind.\n";
    strata::data::RemoveUnfinishedOutput();
    ::_exit(128 + signal);
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  StopCleanlyOnSignals();
  CLI::App program("Fetch text, prepare datasets of it, look into them.", "strata-data");
  program.require_subcommand(1);
  program.get_formatter()->column_width(32);
  strata::data::AddFetch(program);
  strata::data::AddImport(program);
  strata::data::AddPrepare(program);
  strata::data::AddEncode(program);
  strata::data::AddPrepareSpeech(program);
  strata::data::AddFeatures(program);
  strata::data::AddInspect(program);
  program.footer(
      "Example:\n  strata-data fetch debian-en-de --output text\n"
      "  strata-data prepare --input text --output datasets/debian-en-de --name debian-en-de --vocabulary 4000\n"
      "  strata-data inspect datasets/debian-en-de");
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return program.exit(e) == 0 ? 0 : 2;
  } catch (const strata::data::UsageError& e) {
    std::cerr << "strata-data: " << e.what() << "\n";
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "strata-data: " << e.what() << "\n";
    return 1;
  }
  return 0;
}
