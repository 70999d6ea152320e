// bf16 by the spec: trained, resumed and scored by the real program, and refused where the processor lacks it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

bool HasInstructions() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512bf16") && std::getenv("ATEN_CPU_CAPABILITY") == nullptr;
#else
  return false;
#endif
}

class PrecisionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteDataset(folder_ / "data");
    spec_ = SmallSpec();
    spec_["train"]["updates"] = 50;
    spec_["train"]["log_every"] = 1;
    spec_["train"]["validate_every"] = 50;
    spec_["diagnostics"]["gradient_norms_every"] = 0;
  }

  Ended Run(const std::string& job, const std::string& name, std::vector<std::string> more = {}) {
    WriteJson(folder_ / "spec.json", spec_);
    std::vector<std::string> arguments = {
        "--spec", folder_ / "spec.json", "--job",   job,        "--dataset", folder_ / "data",
        "--out",  folder_ / name,        "--spool", Spool(name)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTrainer(arguments);
  }
  std::filesystem::path Spool(const std::string& name) { return folder_ / (name + ".jsonl"); }

  std::vector<double> Losses(const std::string& name) {
    std::vector<double> losses;
    for (const json& event : OfType(ReadEvents(Spool(name)), "measurements")) {
      if (event.at("scalars").contains("train_loss")) losses.push_back(event["scalars"]["train_loss"]);
    }
    return losses;
  }
  std::string WeightsHash(const std::string& name) {
    const auto finished = OfType(ReadEvents(Spool(name)), "finished");
    return finished.empty() ? "" : finished.back().at("weights_sha256").get<std::string>();
  }

  std::string Hypotheses(const std::string& name) {
    std::stringstream content;
    content << std::ifstream(folder_ / name / "hypotheses.txt").rdbuf();
    return content.str();
  }

  const ScratchFolder folder_;
  json spec_;
};

TEST_F(PrecisionTest, Bf16FollowsFp32AndResumesInTheSameBits) {
  if (!HasInstructions()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  ASSERT_EQ(Run("train", "fp32").status, 0);
  spec_["train"]["precision"] = "bf16";
  const Ended ended = Run("train", "bf16");
  ASSERT_EQ(ended.status, 0) << ended.err;
  const std::vector<double> fp32 = Losses("fp32"), bf16 = Losses("bf16");
  ASSERT_THAT(bf16, SizeIs(fp32.size()));
  EXPECT_NE(fp32, bf16);
  for (size_t i = 0; i < fp32.size(); ++i) EXPECT_NEAR(bf16[i], fp32[i], 0.02 * fp32[0]) << "update " << i;

  spec_["train"]["updates"] = 21;
  ASSERT_EQ(Run("train", "resumed").status, 0);
  spec_["train"]["updates"] = 50;
  ASSERT_EQ(Run("train", "resumed", {"--resume", "--attempt", "2"}).status, 0);
  EXPECT_EQ(WeightsHash("resumed"), WeightsHash("bf16"));
  EXPECT_NE(WeightsHash("bf16"), WeightsHash("fp32"));
}

TEST_F(PrecisionTest, CheckpointsHoldFp32Alone) {
  if (!HasInstructions()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  spec_["train"]["precision"] = "bf16";
  spec_["train"]["updates"] = 3;
  ASSERT_EQ(Run("train", "bf16").status, 0);
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_ / "bf16/checkpoints")) {
    if (file.path().extension() != ".safetensors") continue;
    std::stringstream content;
    content << std::ifstream(file.path()).rdbuf();
    EXPECT_THAT(content.str(), HasSubstr("\"F32\"")) << file.path();
    EXPECT_THAT(content.str(), ::testing::Not(HasSubstr("\"BF16\""))) << file.path();
    ++files;
  }
  EXPECT_GE(files, 2);
}

TEST_F(PrecisionTest, ResumeInAnotherPrecisionIsRefused) {
  if (!HasInstructions()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  spec_["train"]["updates"] = 3;
  ASSERT_EQ(Run("train", "mixed").status, 0);
  spec_["train"]["precision"] = "bf16";
  const Ended ended = Run("train", "mixed", {"--resume", "--attempt", "2"});
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.err, HasSubstr("train.precision"));
}

TEST_F(PrecisionTest, ScoresAsTheEvaluationSays) {
  if (!HasInstructions()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  spec_["train"]["updates"] = 30;
  ASSERT_EQ(Run("train", "trained").status, 0);
  const std::string weights = folder_ / "trained/checkpoints/final.safetensors";
  for (const char* precision : {"fp32", "bf16"}) {
    spec_["evaluate"][0]["precision"] = precision;
    for (const char* name : {"one", "two"}) {
      const Ended ended =
          Run("evaluate", std::string(precision) + name, {"--evaluation", "0", "--checkpoint", weights});
      ASSERT_EQ(ended.status, 0) << ended.err;
    }
    const std::string once = Hypotheses(std::string(precision) + "one");
    EXPECT_EQ(std::count(once.begin(), once.end(), '\n'), 12) << precision;
    EXPECT_EQ(once, Hypotheses(std::string(precision) + "two")) << precision;
  }
}

TEST_F(PrecisionTest, IsRefusedBeforeItTrainsWhereTheInstructionsAreMissing) {
  spec_["train"]["updates"] = 2;
  ASSERT_EQ(Run("train", "trained").status, 0);
  ASSERT_EQ(::setenv("ATEN_CPU_CAPABILITY", "avx2", 1), 0);  // computes with AVX2 alone, on any processor
  spec_["train"]["precision"] = "bf16";
  const Ended trained = Run("train", "refused");
  spec_["train"]["precision"] = "fp32";
  spec_["evaluate"][0]["precision"] = "bf16";
  const std::vector<std::string> weights = {"--evaluation", "0", "--checkpoint",
                                            folder_ / "trained/checkpoints/final.safetensors"};
  const Ended scored = Run("evaluate", "unscored", weights);
  ::unsetenv("ATEN_CPU_CAPABILITY");
  EXPECT_EQ(trained.status, 2);
  EXPECT_THAT(trained.err, HasSubstr("train.precision is bf16"));
  EXPECT_THAT(trained.err, HasSubstr("AVX512_BF16"));
  EXPECT_THAT(trained.err, HasSubstr("Set train.precision: fp32"));
  EXPECT_EQ(scored.status, 2);
  EXPECT_THAT(scored.err, HasSubstr("Set evaluate[0].precision: fp32"));
  for (const char* name : {"refused", "unscored"}) {
    const auto events = ReadEvents(Spool(name));
    ASSERT_THAT(events, SizeIs(1)) << "nothing began";
    EXPECT_EQ(events[0].at("type"), "failed");
    EXPECT_EQ(events[0].at("cause"), "bad_spec");
  }
}

}  // namespace
}  // namespace strata::trainer::testing
