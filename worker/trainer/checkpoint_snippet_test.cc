// The Python lines of docs/CHECKPOINTS.md, run for real on a checkpoint, in a throw-away environment.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

namespace fs = std::filesystem;

// Standard output and exit status of a shell command.
std::string Shell(const std::string& command, int* status) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  char buffer[512];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) out += buffer;
  const int ended = ::pclose(pipe);
  *status = WEXITSTATUS(ended);
  return out;
}

std::string Snippet() {
  std::stringstream text;
  text << std::ifstream(STRATA_SOURCE_DIR "/docs/CHECKPOINTS.md").rdbuf();
  const std::string page = text.str(), fence = "```python\n";
  const size_t begin = page.find(fence) + fence.size();
  return page.substr(begin, page.find("```", begin) - begin);
}

// What finished.weights_sha256 is made of, in Python.
constexpr char kHash[] = R"(
import hashlib
digest = hashlib.sha256()
for name in sorted(weights):
    digest.update(name.encode() + b"\0" + weights[name].tobytes())
print(digest.hexdigest())
)";

TEST(CheckpointSnippetTest, PythonReadsTheWeightsThatWereTrained) {
  int status = 0;
  std::string python =
      Shell(STRATA_SOURCE_DIR "/tests/python_environment safetensors safetensors==0.8.0 numpy==2.4.6", &status);
  if (status == 77) GTEST_SKIP() << "the package index cannot be reached";
  ASSERT_EQ(status, 0);
  python = python.substr(0, python.find('\n')) + "/bin/python";
  const ScratchFolder folder;
  WriteDataset(folder / "data");
  WriteJson(folder / "spec.json", SmallSpec());
  ASSERT_EQ(RunTrainer({"--spec", folder / "spec.json", "--job", "train", "--dataset", folder / "data", "--out",
                        folder / "out", "--spool", folder / "spool"})
                .status,
            0);
  const fs::path checkpoints = folder / "out/checkpoints";
  fs::copy_file(checkpoints / "final.safetensors", checkpoints / "best.safetensors",
                fs::copy_options::overwrite_existing);
  std::ofstream(folder / "out/snippet.py") << Snippet() << kHash;
  const std::string out = Shell("cd '" + (folder / "out").string() + "' && '" + python + "' snippet.py", &status);
  ASSERT_EQ(status, 0) << out;
  const std::string hash = ReadEvents(folder / "spool").back().at("weights_sha256");
  EXPECT_NE(out.find(hash), std::string::npos) << out;
  EXPECT_NE(out.find("(40, 16) float32"), std::string::npos) << out;
}

}  // namespace
}  // namespace strata::trainer::testing
