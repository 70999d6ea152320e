// strata-golden [--device cpu|cuda] FOLDER: compares our model with every reference case of a folder. Prints one JSON line a
// case on standard output and the reasons of failures on standard error; exit status 1 if any case fails, 2 for wrong usage
// or where there is no such device.
#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "tests/golden/golden_check.h"

namespace {

int RunFolder(const std::filesystem::path& folder, const at::Device& device) {
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
    const strata::golden::Outcome outcome = strata::golden::CheckCase(file, device);
    std::cout << outcome.ToJson().dump() << std::endl;
    for (const std::string& why : outcome.failures) std::cerr << outcome.name << ": " << why << "\n";
    failed |= !outcome.passed();
  }
  return failed ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::string> words(arguments + 1, arguments + count);
  std::string device = "cpu";
  if (words.size() == 3 && words[0] == "--device") {
    device = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.size() != 1 || !std::filesystem::is_directory(words[0]) || (device != "cpu" && device != "cuda")) {
    std::cerr << "Usage: strata-golden [--device cpu|cuda] FOLDER, a folder of .safetensors cases with their .json files.\n";
    return 2;
  }
  if (device == "cuda" && !at::hasCUDA()) {
    std::cerr << "strata-golden: no GPU answers, or this build has no CUDA. Give --device cpu.\n";
    return 2;
  }
  at::set_num_threads(1);
  at::globalContext().setFloat32MatmulPrecision("highest");
  return RunFolder(words[0], at::Device(device));
}
