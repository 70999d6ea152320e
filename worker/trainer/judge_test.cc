#include "worker/trainer/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kCurves = STRATA_SOURCE_DIR "/tests/curves";

TEST(JudgeTest, EveryRecordedTrainingComesOutAsExpected) {
  const auto expected = nlohmann::json::parse(std::ifstream(kCurves / "expected.json"));
  ASSERT_EQ(expected.size(), 18u);
  for (const auto& [name, verdict] : expected.items()) {
    EXPECT_EQ(nlohmann::json(JudgeCurve(kCurves / (name + ".jsonl"))), verdict) << name;
  }
}

class JudgeFileTest : public ::testing::Test {
 protected:
  fs::path Write(const std::string& text) {
    const fs::path file = fs::path(::testing::TempDir()) / ("curve" + std::to_string(::getpid()) + ".jsonl");
    std::ofstream(file) << text;
    return file;
  }
  std::string Verdict(const std::string& text) { return JudgeCurve(Write(text)).dump(); }
  std::string Error(const std::string& text) {
    try {
      return "no error: " + JudgeCurve(Write(text)).dump();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.cause(), Cause::kBadSpec);
      return failure.what();
    }
  }
};

std::string Record(int update, const std::string& fields) {
  return "{\"update\": " + std::to_string(update) + ", " + fields + "}\n";
}
const char kHeader[] = "{\"unigram_nll\": 6.7, \"warmup\": 100, \"judge_after\": 200}\n";
const char kFine[] =
    R"("val_nll": 6.1, "train_loss": 6, "train_nll": 6, "grad_norm": 1, "grad_norm_max": 2, "enc": [1, 2], "dec": [1, 2])";

TEST_F(JudgeFileTest, NullIsNotFinite) {
  const std::string start = kHeader + Record(0, R"("val_nll": 8.7, "train_loss": 8, "grad_norm": 1)");
  const std::string non_finite = R"({"verdict":"DIVERGED","rule":"non_finite","update":50})";
  for (const char* field : {"val_nll", "train_loss", "train_nll", "grad_norm", "grad_norm_max"}) {
    for (const char* value : {"null", "\"NaN\"", "\"Infinity\""}) {
      std::string record = kFine;
      const size_t begin = record.find(std::string("\"") + field + "\": ") + std::string(field).size() + 4;
      record.replace(begin, record.find(',', begin) - begin, value);
      EXPECT_EQ(Verdict(start + Record(50, record)), non_finite) << field << " " << value;
    }
  }
  // In layers' norms it makes the ratio 0, and elsewhere it says nothing.
  EXPECT_EQ(Verdict(start + Record(50, std::string(kFine) + R"(, "seconds": null, "lr": null)")),
            R"({"verdict":"TOO_SHORT","rule":null,"update":null})");
  std::string dead = start;
  for (int update = 50; update <= 200; update += 50) dead += Record(update, R"("val_nll": 6.4, "dec": [null, 5, 3])");
  EXPECT_EQ(Verdict(dead), R"({"verdict":"TRAINS","rule":null,"update":null})");  // four ratios
  EXPECT_EQ(Verdict(dead + Record(201, R"("val_nll": 6.4, "dec": null)")),
            R"({"verdict":"DIVERGED","rule":"vanished","update":201})");
}

TEST_F(JudgeFileTest, AOnlyStackMayBeCalledEitherWay) {
  std::string curve = kHeader;
  for (int update = 0; update <= 400; update += 100) curve += Record(update, R"("val_nll": 6.4, "enc": [0.00001, 5])");
  EXPECT_EQ(Verdict(curve), R"({"verdict":"DIVERGED","rule":"vanished","update":400})");
}

TEST_F(JudgeFileTest, WithoutLayersRuleThreeIsSilent) {
  std::string curve = kHeader;
  for (int update = 0; update <= 300; update += 50)
    curve += Record(update, R"("val_nll": )" + std::to_string(8.7 - 0.01 * update));
  EXPECT_EQ(Verdict(curve), R"({"verdict":"TRAINS","rule":null,"update":null})");
}

TEST_F(JudgeFileTest, HeaderSaysWhenJudgingBegins) {
  std::string records;
  for (int update = 0; update <= 2000; update += 50) records += Record(update, R"("val_nll": 6.7, "dec": [1, 1])");
  EXPECT_EQ(Verdict("{\"unigram_nll\": 6.7, \"warmup\": 100}\n" + records),
            R"({"verdict":"DIVERGED","rule":"flat","update":400})");
  EXPECT_EQ(Verdict("{\"unigram_nll\": 6.7, \"warmup\": 1000}\n" + records),
            R"({"verdict":"DIVERGED","rule":"flat","update":1000})");
  EXPECT_EQ(Verdict("{\"unigram_nll\": 6.7, \"warmup\": 3000}\n" + records),
            R"({"verdict":"TOO_SHORT","rule":null,"update":null})");
  EXPECT_EQ(Verdict(kHeader + records), R"({"verdict":"DIVERGED","rule":"flat","update":200})");
}

TEST_F(JudgeFileTest, ABadFileIsOneClearError) {
  const std::string start = kHeader + Record(0, kFine);
  for (const auto& [text, why] :
       std::vector<std::pair<std::string, std::string>>{{"", "header line"},
                                                        {kHeader, "at least one validation"},
                                                        {"nonsense\n", ":1: is no JSON"},
                                                        {"[1]\n", ":1: is no JSON object"},
                                                        {"{\"warmup\": 1}\n", "lacks \"unigram_nll\""},
                                                        {"{\"unigram_nll\": 6.7}\n", "lacks \"warmup\""},
                                                        {"{\"unigram_nll\": null, \"warmup\": 1}\n", "not finite"},
                                                        {"{\"unigram_nll\": 6.7, \"warmup\": -1}\n", "no whole number"},
                                                        {start + "{\"update\": 50}\n", ":3: lacks \"val_nll\""},
                                                        {start + "{\"val_nll\": 5}\n", ":3: lacks \"update\""},
                                                        {start + Record(0, kFine), "must ascend"},
                                                        {kHeader + Record(50, kFine), "update 0"},
                                                        {start + Record(50, R"("val_nll": "six")"), "no number"},
                                                        {start + Record(50, R"("val_nll": 6, "dec": 5)"), "no list"},
                                                        {start + R"({"update": 50, "val_n)", ":3: is no JSON"}}) {
    EXPECT_THAT(Error(text), HasSubstr(why)) << text;
  }
  EXPECT_THROW(JudgeCurve("/no/such/file"), Failure);
}

}  // namespace
}  // namespace strata::trainer
