#include "client/report/paper.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/report/compare.h"
#include "client/report/figures.h"
#include "client/report/paper_document.h"
#include "client/report/testing.h"
#include "client/report/write.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/metrics/sentence_scores.h"

namespace strata::client {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A trial of `scheme` with a BLEU for each of some splits and their average.
TrialResult Scored(int number, const std::string& scheme, const std::string& depth, int seed, double bleu,
                   std::vector<std::string> splits = {"newstest2013", "newstest2014"}) {
  TrialResult result = MakeTrial(number, scheme, depth, seed, /*fails=*/false);
  v1::EvaluateSpec* evaluation = result.trial.mutable_spec()->add_evaluate();
  evaluation->set_metric("bleu");
  evaluation->set_split(absl::StrCat(splits[0], splits.size() > 1 ? "," + splits[1] : ""));
  EXPECT_TRUE(base::ApplyDefaults(*result.trial.mutable_spec()).ok());
  for (const std::string& split : splits) result.scores.push_back({"bleu", "evaluate-1", bleu, split});
  if (splits.size() > 1) result.scores.push_back({"bleu", "evaluate-1", bleu, ""});
  return result;
}

Report ReportOf(std::vector<TrialResult> trials) {
  Report report;
  report.experiment.set_name("experiments/quickstart-1");
  report.trials = std::move(trials);
  Arrange(report);
  return report;
}

// The cells' texts of the row that begins with these; each empty one of a span is left out.
std::vector<std::string> Row(const DocumentTable& table, const std::vector<std::string>& begin) {
  for (const auto& row : table.rows) {
    std::vector<std::string> texts;
    for (const DocumentCell& cell : row) texts.push_back(cell.text);
    if (texts.size() >= begin.size() && std::equal(begin.begin(), begin.end(), texts.begin())) return texts;
  }
  return {};
}

TEST(PaperTest, HoldsWhatThePaperPrints) {
  EXPECT_EQ(PaperNames().size(), 18u);
  EXPECT_FALSE(CheckPaperName("table11").ok());
  const PaperTable table = FindPaperTable("table1");
  EXPECT_EQ(table.metric, "bleu");
  EXPECT_EQ(table.columns.size(), 8u);
  EXPECT_EQ(table.rows.size(), 9u);
  EXPECT_TRUE(table.rows[3].failed);
  EXPECT_EQ(PaperHours("translation", "18L-18L"), "1664 (128 × 13 h)");
  EXPECT_EQ(PaperHours("translation", "60L-12L"), "");
}

TEST(PaperTest, EveryTableAndFigureIsDrawnOfAnyExperimentInEveryForm) {
  const Report report = MakeReport(2);
  for (const Report& drawn : {report, Report()}) {
    for (const std::string& name : PaperNames()) {
      const Document document =
          name[0] == 't' ? PaperTableDocument(name, drawn) : PaperFigureDocument(name, drawn, false).document;
      for (const Form form : {Form::kTerminal, Form::kMarkdown, Form::kLatex, Form::kHtml}) {
        EXPECT_THAT(Print(document, form), HasSubstr(name[0] == 't' ? "Table" : "Figure")) << name;
        EXPECT_EQ(Print(document, form), Print(document, form));
      }
      for (const DocumentTable& table : document.tables) {
        for (const auto& row : table.rows) {
          int width = 0;
          for (const DocumentCell& cell : row) width += cell.span;
          EXPECT_EQ(width, static_cast<int>(table.columns.size())) << name << " " << table.title;
        }
      }
    }
  }
}

TEST(PaperTableTest, SetsOurCellsBesideThePapers) {
  const Document document =
      PaperTableDocument("table1", ReportOf({Scored(1, "b2t", "18L-18L", 1, 27), Scored(2, "b2t", "18L-18L", 2, 28),
                                             MakeTrial(3, "post_ln", "18L-18L", 1, true)}));
  const DocumentTable& table = document.tables[0];
  EXPECT_THAT(Row(table, {"18L-18L", "b2t", "paper"}),
              ElementsAre("18L-18L", "b2t", "paper", "24.62", "22.51", "22.86", "26.74", "28.48", "30.99", "34.93",
                          "27.30", "1664 (128 × 13 h)"));
  EXPECT_THAT(Row(table, {"18L-18L", "b2t", "ours, 2 seeds"}),
              ElementsAre("18L-18L", "b2t", "ours, 2 seeds", "", "", "", "27.50 ± 0.71", "27.50 ± 0.71", "", "",
                          "27.50 ± 0.71", ""));
  EXPECT_THAT(Row(table, {"18L-18L", "post_ln", "ours"}),
              ElementsAre("18L-18L", "post_ln", "ours", "Training failed", ""));
  EXPECT_THAT(Row(table, {"18L-18L", "post_ln", "paper"}),
              ElementsAre("18L-18L", "post_ln", "paper", "Training failed", "1664 (128 × 13 h)"));
}

TEST(PaperTableTest, OtherTestSetsHaveColumnsOfTheirOwn) {
  const Document document = PaperTableDocument("table1", ReportOf({Scored(1, "b2t", "3L-3L", 1, 3.5, {"test"})}));
  EXPECT_EQ(document.tables[0].columns.back(), "Device-hours");
  EXPECT_EQ(document.tables[0].columns[document.tables[0].columns.size() - 2], "test");
  EXPECT_THAT(Print(document, Form::kTerminal),
              AllOf(HasSubstr("too short a training"), HasSubstr("debian-en-de"), HasSubstr("paper, but updates")));
}

TEST(PaperTableTest, WhatIsNotInSourceIsNeverFilledIn) {
  for (const char* name : {"table6", "table10"}) {
    const Document document = PaperTableDocument(name, MakeReport());
    for (const auto& row : document.tables[0].rows) {
      if (row[2].text != "paper") continue;
      EXPECT_EQ(row[3].text, "not in source") << name;
    }
  }
}

TEST(PaperTableTest, TheSuspectRowIsShownAsSuspect) {
  const std::string text = Print(PaperTableDocument("table9", Report()), Form::kTerminal);
  EXPECT_THAT(
      text, AllOf(HasSubstr("paper, suspect†"), HasSubstr("24.75†"), HasSubstr("repeats the 60L-12L row of Table 1")));
}

TEST(PaperTableTest, SaysWhereOptionsDiffer) {
  TrialResult rescaled = Scored(2, "b2t", "18L-18L", 1, 28);
  rescaled.trial.mutable_spec()->mutable_model()->set_rescale_init(true);
  const std::string text =
      Print(PaperTableDocument("table1", ReportOf({Scored(1, "b2t", "18L-18L", 1, 27), rescaled})), Form::kTerminal);
  EXPECT_THAT(text, AllOf(HasSubstr("b2t, rescale_init=true"), HasSubstr("b2t, rescale_init=false")));
}

TEST(PaperTableTest, ComparesSchemesOfOneDepthOnTheSameSentences) {
  std::vector<TrialResult> trials = {Scored(1, "pre_ln", "18L-18L", 1, 20, {"test"}),
                                     Scored(2, "b2t", "18L-18L", 1, 30, {"test"})};
  for (size_t i = 0; i < trials.size(); ++i) {
    model::SentenceScores scores{.metric = "bleu", .splits = {{.split = "test", .rows = {}}}};
    for (int sentence = 0; sentence < 50; ++sentence)
      scores.splits[0].rows.push_back(
          {8.0 + static_cast<double>(i), 6.0 + static_cast<double>(i), 4, 3, 10, 9, 8, 7, 10, 10});
    trials[i].sentence_scores["evaluate-1"] = model::ToJsonLines(scores);
  }
  const Document document = PaperTableDocument("table1", ReportOf(trials));
  const std::vector<std::string> row = Row(document.tables[1], {"18L-18L", "b2t", "pre_ln", "bleu"});
  ASSERT_EQ(row.size(), 8u);
  EXPECT_EQ(row[4][0], '+');
  EXPECT_EQ(row.back(), "yes");
  trials[0].sentence_scores.clear();
  EXPECT_THAT(Print(PaperTableDocument("table1", ReportOf(trials)), Form::kTerminal),
              HasSubstr("kept no sentence scores"));
}

TEST(PaperFigureTest, LocationsAndSimilarityBecomePlots) {
  Report report = MakeReport();
  for (TrialResult& result : report.trials) {
    result.trial.mutable_spec()->mutable_diagnostics()->set_location_layers("1,last");
    for (int place = 1; place <= 5; ++place)
      result.vectors[absl::StrCat("gradient_norm_location_", place, "_somewhere")]["decoder"] = {
          {0}, {{1.0 * place, 2.0 * place}}};
    result.vectors["similarity"]["decoder"] = {{0}, {{1, 0.5, 0.5, 1}}};
  }
  const FigureDocument last = PaperFigureDocument("figure4", report, false),
                       others = PaperFigureDocument("figure7", report, false);
  ASSERT_EQ(last.figures.size(), 1u);
  ASSERT_EQ(last.figures[0].panels.size(), 1u);
  EXPECT_EQ(last.figures[0].panels[0].title, "Decoder, layer 18");
  EXPECT_THAT(last.figures[0].panels[0].lines[0].y, ElementsAre(2, 4, 6, 8, 10));
  EXPECT_EQ(others.figures[0].panels[0].title, "Decoder, layer 1");
  const FigureDocument similarity = PaperFigureDocument("figure5", report, false);
  ASSERT_EQ(similarity.figures.size(), 2u) << "the paper's depth is not there, so both of ours";
  EXPECT_EQ(similarity.figures[0].panels[0].map, (HeatMap{{1, 0.5}, {0.5, 1}}));
  EXPECT_THAT(Script(similarity.figures[0], "svg"), HasSubstr("with image"));
}

TEST(PaperFigureTest, DrawsThePageAndItsPlots) {
  if (!CheckGnuplot().ok()) GTEST_SKIP() << "gnuplot is not installed";
  Report report = MakeReport();
  for (TrialResult& result : report.trials) {
    if (result.trial.spec().model().depth() != "3L-3L") continue;
    result.trial.mutable_spec()->mutable_model()->set_depth("6L-6L");
    for (const char* stack : {"encoder", "decoder"}) {
      std::vector<double> similarity;
      for (int cell = 0; cell < 36; ++cell)
        similarity.push_back(1 - 0.02 * std::abs(cell / 6 - cell % 6) * (1 + result.label.size() % 5));
      result.vectors["similarity"][stack] = {{600}, {similarity}};
    }
  }
  Arrange(report);
  const FigureDocument figure = PaperFigureDocument("figure5", report, false);
  const std::string folder = testing::TempDir() + "/strata_paper_figure";
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(WriteDocument(figure.document, figure.figures, folder).ok());
  for (const char* file : {"index.html", "figure5-similarity-6L-6L.png", "figure5-similarity-6L-6L.svg"})
    EXPECT_GT(std::filesystem::file_size(folder + "/" + file), 1000u) << file;
}

TEST(PaperFigureTest, SaysWhatToMeasure) {
  const FigureDocument figure = PaperFigureDocument("figure5", MakeReport(), false);
  EXPECT_TRUE(figure.figures.empty());
  EXPECT_THAT(Print(figure.document, Form::kTerminal), HasSubstr("Set diagnostics.similarity_every"));
}

TEST(CompareTest, ShowsWhatDiffersAndDifferences) {
  Report first = MakeReport(), second = MakeReport();
  second.experiment.set_name("experiments/quickstart-2");
  for (TrialResult& result : second.trials) {
    result.trial.mutable_spec()->mutable_train()->set_warmup(200);
    result.trial.set_best_nll(result.trial.best_nll() - 0.25);
  }
  Arrange(second);
  const Document document = CompareDocument({first, second});
  EXPECT_THAT(Row(document.tables[0], {"train.warmup"}), ElementsAre("train.warmup", "4000", "200"));
  EXPECT_EQ(document.tables[0].rows.size(), 1u) << "only what differs";
  const std::vector<std::string> row = Row(document.tables[1], {"b2t", "18L-18L", "best NLL"});
  ASSERT_EQ(row.size(), 6u);
  EXPECT_EQ(row[5], "-0.250");
  EXPECT_EQ(Row(document.tables[1], {"post_ln", "18L-18L", "best NLL"})[3], "Training failed");
}

TEST(CellsTest, SeedsOfOneConfigurationAreOneCell) {
  Report report = MakeReport(3);
  EXPECT_EQ(Cells(report).size(), 6u);
  report.trials.push_back(report.trials[0]);  // the same seed again
  EXPECT_EQ(Cells(report)[0].seeds.size(), 3u);
  report.trials[0].trial.mutable_spec()->mutable_train()->set_log_every(7);
  EXPECT_EQ(Cells(report).size(), 6u) << "what is measured does not tell cells apart";
  report.trials[0].trial.mutable_spec()->mutable_train()->set_clip_norm(1);
  EXPECT_EQ(Cells(report).size(), 7u);
}

TEST(DocumentTest, EachFormEscapesItsOwn) {
  Document document;
  document.title = "T";
  document.tables.push_back({"A & B",
                             {"a_b", "x"},
                             {{{"1 | 2"}, {"50 %", CellKind::kNumber}}, {{"say \"so\", please", CellKind::kText, 2}}},
                             {}});
  EXPECT_THAT(Print(document, Form::kMarkdown), HasSubstr("1 \\| 2"));
  EXPECT_THAT(Print(document, Form::kLatex), AllOf(HasSubstr("A \\& B"), HasSubstr("50 \\%"),
                                                   HasSubstr("\\multicolumn{2}{l}"), Not(HasSubstr("a_b"))));
  EXPECT_EQ(Print(document, Form::kCsv), "a_b,x\n1 | 2,50 %\n\"say \"\"so\"\", please\",\n");
  EXPECT_THAT(Print(document, Form::kHtml), AllOf(HasSubstr("A &amp; B"), HasSubstr("colspan=\"2\"")));
  EXPECT_EQ(ParseForm("pdf").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace strata::client
