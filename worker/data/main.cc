// strata-data: from text to datasets that strata-trainer reads. Exit status: 0 done, 1 failed, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "worker/data/commands.h"

int main(int argc, char** argv) {
  CLI::App program("Fetch text, prepare datasets of it, look into them.", "strata-data");
  program.require_subcommand(1);
  program.get_formatter()->column_width(32);
  strata::data::AddFetch(program);
  strata::data::AddPrepare(program);
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
