#include "server/service/job_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "server/base/ids.h"
#include "server/base/sha256.h"
#include "server/service/events.h"
#include "server/service/manifest.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

using testing::HasSubstr;

class JobLogTest : public testing::Test {
 protected:
  JobLogTest() : path_(testing::TempDir() + "/log_" + base::RandomHex(6) + "/1.log") {}
  ~JobLogTest() override { std::filesystem::remove_all(std::filesystem::path(path_).parent_path()); }
  // All of the log from `offset` on, read in pieces.
  std::string ReadAll(int64_t offset, int64_t piece_bytes) {
    std::string all;
    for (int i = 0; i < 1000; ++i) {
      const auto piece = ReadJobLog(path_, offset, piece_bytes, limits_);
      all += piece->text;
      offset = piece->next_offset;
      if (piece->at_end) return all;
    }
    return "never ends";
  }
  const std::string path_;
  const JobLogLimits limits_{.most = 400, .end = 100};
};

TEST_F(JobLogTest, GivesBackWhatWasAppended) {
  EXPECT_EQ(*AppendJobLog(path_, 0, "one\n", limits_), 4);
  EXPECT_EQ(*AppendJobLog(path_, 4, "zwölf\n", limits_), 11);
  EXPECT_EQ(ReadAll(0, 1000), "one\nzwölf\n");
  EXPECT_EQ(ReadAll(4, 4), "zwölf\n");  // the piece's end lies within a character
  EXPECT_EQ(ReadAll(11, 4), "");
}

TEST_F(JobLogTest, RefusesAnOffsetThatIsNotItsEndAndSaysWhereThatIs) {
  ASSERT_TRUE(AppendJobLog(path_, 0, "one\n", limits_).ok());
  const auto wrong = AppendJobLog(path_, 0, "one\n", limits_);
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(wrong.status().message()), HasSubstr("stands at 4"));
}

TEST_F(JobLogTest, KeepsHeadAndTailOfALogThatIsTooLong) {
  int64_t length = 0;
  for (int i = 0; i < 200; ++i) {
    char line[16];
    std::snprintf(line, sizeof(line), "line %04d\n", i);
    const auto appended = AppendJobLog(path_, length, line, limits_);
    ASSERT_TRUE(appended.ok()) << appended.status();
    length = *appended;
    ASSERT_EQ(length, 10 * (i + 1));
    ASSERT_LE(std::filesystem::file_size(path_), 410u);
  }
  const std::string all = ReadAll(0, 64);
  EXPECT_THAT(all, HasSubstr("line 0000\n"));
  EXPECT_THAT(all, HasSubstr("bytes are left out here"));
  EXPECT_THAT(all, HasSubstr("line 0199\n"));
  EXPECT_EQ(ReadAll(length - 20, 64), "line 0198\nline 0199\n");
  EXPECT_EQ(*JobLogLength(path_, limits_), length);
}

TEST_F(JobLogTest, BytesThatAreNoUtf8AreReplaced) {
  ASSERT_TRUE(AppendJobLog(path_, 0, "a\xff\xc3(b\xe2\x82", limits_).ok());
  EXPECT_EQ(ReadAll(0, 100), "a?\?(b?\?");
}

TEST(NamesTest, TakesNamesApartAndRefusesOthers) {
  EXPECT_EQ((*ParseName("experiments/e/trials/t", "experiments/*/trials/*"))[1], "t");
  for (const char* bad :
       {"", "experiments", "experiments/", "experiments/e/trials", "experiments/../trials/t", "x/e/trials/t"}) {
    EXPECT_FALSE(ParseName(bad, "experiments/*/trials/*").ok()) << bad;
  }
  EXPECT_EQ(ParentOf("experiments/e/trials/t/jobs/j"), "experiments/e/trials/t");
  EXPECT_EQ(LeafOf("experiments/e/trials/t/jobs/j"), "j");
  EXPECT_TRUE(IsId("gpu-1.lab", 63));
  for (const char* bad : {"", "-a", "A", "a b", "a/b", ".."}) EXPECT_FALSE(IsId(bad, 63)) << bad;
}

TEST(EventsTest, ReadsNumbersThatAreNotFinite) {
  const auto event = ParseEvent(
      R"({"seq":1,"attempt":1,"rank":0,"type":"measurements","update":3,"scalars":{"a":"-Infinity","b":1e3},"vectors":[{"name":"n","stack":"encoder","values":["NaN",2]}]})");
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ(event->scalars[0].value, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(event->scalars[1].value, 1000);
  EXPECT_TRUE(std::isnan(event->vectors[0].values[0]));
}

TEST(ManifestTest, ADigestThatIsNotItsFilesIsRefused) {
  const std::string hash(64, 'a');
  const std::string text = R"({"format":1,"name":"d","task":"translation","digest":")" + hash +
                           R"(","files":[{"path":"a","bytes":1,"sha256":")" + hash + "\"}]}";
  EXPECT_THAT(std::string(ParseManifest(text).status().message()), HasSubstr("digest"));
  EXPECT_THAT(std::string(ParseManifest("{\"format\": 2}").status().message()), HasSubstr("format is 2"));
}

}  // namespace
}  // namespace strata::service
