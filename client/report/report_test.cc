#include "client/report/report.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "client/report/figures.h"
#include "client/report/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(ArrangeTest, OrdersDepthsAndNamesWhatDiffers) {
  Report report = MakeReport();
  EXPECT_THAT(report.depths, ElementsAre("3L-3L", "18L-18L"));
  EXPECT_THAT(report.labels, ElementsAre("post_ln", "pre_ln", "b2t"));
  Report differing;
  differing.trials = {MakeTrial(1, "b2t", "3L-3L", 1, false), MakeTrial(2, "b2t", "3L-3L", 1, false)};
  differing.trials[1].trial.mutable_spec()->mutable_model()->set_rescale_init(true);
  Arrange(differing);
  EXPECT_THAT(differing.labels, ElementsAre("b2t, rescale_init=false", "b2t, rescale_init=true"));
}

TEST(CellTest, SaysWhatCameOut) {
  Report report = MakeReport();
  EXPECT_EQ(NllCell(report, "post_ln", "18L-18L"), "Training failed (DIVERGED: vanished)");
  EXPECT_THAT(NllCell(report, "b2t", "18L-18L"), testing::MatchesRegex("[0-9.]+"));
  EXPECT_EQ(NllCell(report, "b2t", "9L-9L"), "");
  Report seeds = MakeReport(3);
  EXPECT_EQ(NllCell(seeds, "post_ln", "18L-18L"), "Training failed (DIVERGED: vanished) in 3 of 3 seeds");
  EXPECT_THAT(NllCell(seeds, "b2t", "3L-3L"), HasSubstr(" (3 seeds)"));
  report.trials[2].trial.set_state(v1::JOB_STATE_RUNNING);
  EXPECT_EQ(NllCell(report, "pre_ln", "18L-18L"), "RUNNING");
}

TEST(CellTest, MarksScoresOfShortTrainings) {
  Report report = MakeReport();
  EXPECT_FALSE(ScoresAreEarly(report));
  report.trials[3].scores.push_back({"bleu", "evaluate-1", 0.314});
  EXPECT_EQ(ScoreCell(report, "pre_ln", "3L-3L"), "bleu 0.31");
  EXPECT_TRUE(ScoresAreEarly(report));
  EXPECT_THAT(ReportPage(report, {}), HasSubstr("too short a training to mean anything"));
  EXPECT_THAT(Print(ReportDocument(report), Form::kTerminal), HasSubstr("too short a training to mean anything"));
}

TEST(ReportJsonTest, HasItsContract) {
  Report report = MakeReport();
  report.trials[1].trial.set_final_nll(NAN);
  const auto json = nlohmann::json::parse(ReportJson(report));
  EXPECT_EQ(json["experiment"], "quickstart-1");
  ASSERT_EQ(json["trials"].size(), 6u);
  for (const auto& trial : json["trials"]) {
    for (const char* key : {"id", "scheme", "depth", "task", "seed", "state", "updates", "best_nll", "final_nll",
                            "unigram_nll", "evidence", "jobs"}) {
      EXPECT_TRUE(trial.contains(key)) << key;
    }
    for (const char* key : {"id", "kind", "state", "attempts"}) EXPECT_TRUE(trial["jobs"][0].contains(key)) << key;
  }
  EXPECT_EQ(json["trials"][0]["state"], "DIVERGED");
  EXPECT_EQ(json["trials"][0]["evidence"]["rule"], "vanished");
  EXPECT_TRUE(json["trials"][1]["evidence"].is_null());
  EXPECT_TRUE(json["trials"][1]["final_nll"].is_null()) << "NaN has no place in JSON";
  EXPECT_EQ(json["trials"][1]["jobs"][0],
            nlohmann::json({{"id", "train"}, {"kind", "TRAIN"}, {"state", "SUCCEEDED"}, {"attempts", 1}}));
}

TEST(PageTest, NeedsNoNetworkAndEscapes) {
  Report report = MakeReport();
  report.trials[0].trial.set_evidence(R"({"rule": "<script>"})");
  const std::string page = ReportPage(report, {{"validation-nll", "Caption"}});
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("Training failed (DIVERGED"));
  EXPECT_THAT(page, HasSubstr("src=\"validation-nll.svg\""));
  EXPECT_THAT(page, HasSubstr("rescale_init: false"));
}

TEST(FiguresTest, ThereIsOneForEachQuestion) {
  std::vector<std::string> stems;
  for (const Figure& figure : MakeFigures(MakeReport())) stems.push_back(figure.stem);
  EXPECT_THAT(stems, ElementsAre("validation-nll", "training-loss", "best-nll-by-depth", "gradient-norm-by-layer-3L-3L",
                                 "gradient-norm-by-layer-18L-18L", "gradient-norm-over-time-t1"));
  EXPECT_TRUE(MakeFigures(Report()).empty());
}

TEST(FiguresTest, ScriptLeavesOutWhatCannotBeDrawn) {
  Figure figure;
  figure.stem = "x";
  figure.panels.push_back({});
  figure.panels[0].log_y = true;
  figure.panels[0].lines.push_back({"it's", 0, true, false, false, {1, 2, 3, 4}, {1, 0, NAN, 5}});
  const std::string script = Script(figure, "svg");
  EXPECT_THAT(script, HasSubstr("$d0_0 << EOD\n1 1\n4 5\nEOD"));
  EXPECT_THAT(script, HasSubstr("title 'it''s'"));
}

TEST(WriteReportTest, DrawsTheSameBytesTwice) {
  if (!CheckGnuplot().ok()) GTEST_SKIP() << "gnuplot is not installed";
  const std::string first = testing::TempDir() + "/strata_report_1", second = testing::TempDir() + "/strata_report_2";
  std::filesystem::remove_all(first);
  std::filesystem::remove_all(second);
  ASSERT_TRUE(WriteReport(MakeReport(), first).ok());
  ASSERT_TRUE(WriteReport(MakeReport(), second).ok());
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(first)) {
    const std::string name = entry.path().filename();
    EXPECT_GT(entry.file_size(), 1000u) << name;
    EXPECT_EQ(ReadWhole(entry.path()), ReadWhole(second + "/" + name)) << name;
    ++files;
  }
  EXPECT_EQ(files, 14u) << "page, data, six plots twice";
}

TEST(WriteReportTest, MissingGnuplotIsOneClearError) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const absl::Status status = WriteReport(MakeReport(), testing::TempDir() + "/strata_report_3");
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("apt install gnuplot-nox"));
}

}  // namespace
}  // namespace strata::client
