// strata score, by the program itself: values, forms and refusals. No coordinator runs.
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

using testing::HasSubstr;

struct Outcome {
  int status = 0;
  std::string out, err;
};

class ScoreTest : public testing::Test {
 protected:
  ScoreTest()
      : folder_(testing::TempDir() + "/strata_score_" + testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    Write("hyp", "the cat sat on the mat today\na dog\n");
    Write("ref", "the cat sat on a mat today\nthe dog barks\n");
  }
  void Write(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }
  std::string Read(const std::string& name) {
    std::ifstream file(folder_ + "/" + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  Outcome Run(const std::string& arguments) {
    const std::string command = "cd " + folder_ + " && STRATA_ADDRESS=127.0.0.1:1 " STRATA_BINARY_DIR "/client/strata score " +
                                arguments + " >out 2>err </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Read("out"), Read("err")};
  }

  std::string folder_;
};

TEST_F(ScoreTest, PrintsUnroundedPercentAsJson) {
  const auto bleu = nlohmann::json::parse(Run("--metric bleu --hyp hyp --ref ref --output json").out);
  EXPECT_NEAR(bleu.at("score").get<double>(), 41.086526590477874, 1e-9);  // sacreBLEU 2.6.0
  EXPECT_EQ(bleu.at("signature"), "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
  EXPECT_EQ(bleu.at("lines"), 2);
  const auto rouge = nlohmann::json::parse(Run("--metric rouge --hyp hyp --ref ref --output json").out);
  EXPECT_NEAR(rouge.at("rouge1").get<double>(), 100 * (6. / 7 + 0.4) / 2, 1e-9);
  EXPECT_NEAR(rouge.at("rouge2").get<double>(), 100 * (4. / 6 + 0) / 2, 1e-9);
  EXPECT_NEAR(rouge.at("rougeL").get<double>(), 100 * (6. / 7 + 0.4) / 2, 1e-9);
  const auto wer = nlohmann::json::parse(Run("--metric wer --hyp hyp --ref ref --output json").out);
  EXPECT_NEAR(wer.at("score").get<double>(), 30, 1e-9);
}

TEST_F(ScoreTest, PrintsATableWithTheSignature) {
  const Outcome outcome = Run("--metric wer --hyp hyp --ref ref");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("wer"));
  EXPECT_THAT(outcome.out, HasSubstr("30.0"));
  EXPECT_THAT(outcome.out, HasSubstr("2 lines, nrefs:1|"));
}

TEST_F(ScoreTest, LinesEndAtLineFeedsOnly) {
  Write("hyp", "a\rb\vc\u2028d\u0085e f\n");
  Write("ref", "a\rb\vc\u2028d\u0085e f");
  EXPECT_EQ(nlohmann::json::parse(Run("--metric bleu --hyp hyp --ref ref --output json").out).at("lines"), 1);
}

TEST_F(ScoreTest, RefusesBadInputWithOneClearError) {
  Write("longer", "a\nb\nc\n");
  Write("empty", "");
  Write("latin1", "gut\nsch\xf6n\n");
  Write("cut", "gut\nsch\xc3\n");
  for (const auto& [arguments, message] : std::vector<std::pair<std::string, std::string>>{
           {"--metric bleu --hyp longer --ref ref", "longer has 3 lines, but ref has 2"},
           {"--metric wer --hyp nowhere --ref ref", "nowhere: there is no such file"},
           {"--metric wer --hyp hyp --ref .", ". is a folder"},
           {"--metric rouge --hyp empty --ref empty", "empty is empty"},
           {"--metric rouge --hyp hyp --ref latin1", "latin1:2: byte 4 of the line is not UTF-8"},
           {"--metric rouge --hyp cut --ref ref", "cut:2: byte 4 of the line is not UTF-8"},
           {"--metric ter --hyp hyp --ref ref", "ter"},
           {"--metric bleu --hyp hyp", "--ref"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
  }
}

}  // namespace
}  // namespace strata::client
