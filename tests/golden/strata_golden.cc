// strata-golden FOLDER: compares our model with every reference case of a folder. Prints one JSON line a case on
// standard output and the reasons of failures on standard error; exit status 1 if any case fails, 2 for wrong usage.
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include "tests/golden/golden_check.h"

namespace {

int RunFolder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::cerr << folder.string() << " holds no .safetensors file.\n";
    return 1;
  }
  bool failed = false;
  for (const auto& file : files) {
    const strata::golden::Outcome outcome = strata::golden::CheckCase(file);
    std::cout << outcome.ToJson().dump() << std::endl;
    for (const std::string& why : outcome.failures) std::cerr << outcome.name << ": " << why << "\n";
    failed |= !outcome.passed();
  }
  return failed ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2 || !std::filesystem::is_directory(arguments[1])) {
    std::cerr << "Usage: strata-golden FOLDER, a folder of .safetensors cases with their .json files.\n";
    return 2;
  }
  at::set_num_threads(1);
  return RunFolder(arguments[1]);
}
