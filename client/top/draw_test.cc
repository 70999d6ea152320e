// Golden screens: what a page looks like to a person. STRATA_REWRITE_SCREENS=1 writes them anew; read the difference.
#include "client/top/draw.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "absl/strings/str_split.h"
#include "client/top/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::client::top {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

void ExpectScreen(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(STRATA_SOURCE_DIR, "/client/top/screens/", name, ".txt");
  if (std::getenv("STRATA_REWRITE_SCREENS") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  EXPECT_EQ(text, std::string(std::istreambuf_iterator<char>(file), {})) << path;
}

View BoardView() {
  View view;
  view.experiment = "experiments/grid-1";
  return view;
}

View TrialView(const std::string& trial) {
  View view = BoardView();
  view.page = Page::kTrial;
  view.trial = absl::StrCat("experiments/grid-1/trials/", trial);
  return view;
}

TEST(DrawTest, Board) { ExpectScreen("board", Draw(MakeKnowledge(), BoardView(), TestLight(), 24, 80).Text()); }

TEST(DrawTest, BoardInAscii) {
  const std::string text = Draw(MakeKnowledge(), BoardView(), TestLight(/*unicode=*/false), 24, 80).Text();
  ExpectScreen("board_ascii", text);
  for (const char c : text) ASSERT_LT(static_cast<unsigned char>(c), 0x80);
}

TEST(DrawTest, BoardOfSeeds) {
  Knowledge known = MakeKnowledge();
  for (const v1::Trial& trial : std::vector<v1::Trial>(known.trials)) {
    v1::Trial& second = known.trials.emplace_back(trial);
    second.set_name(absl::StrCat("experiments/grid-1/trials/t", known.trials.size()));
    second.mutable_spec()->mutable_train()->set_seed(2);
    if (known.scores.contains(trial.name())) known.scores[second.name()] = {"bleu", 27.5};
  }
  View view = BoardView();
  view.depth = 1;
  view.seed = 1;
  ExpectScreen("board_seeds", Draw(known, view, TestLight(), 24, 80).Text());
  view.folded = true;
  ExpectScreen("board_folded", Draw(known, view, TestLight(), 24, 80).Text());
}

TEST(DrawTest, BoardWiderAndHigherThanTheScreen) {
  Knowledge known = MakeKnowledge();
  known.trials.clear();
  for (int row = 1; row <= 30; ++row) {
    for (int depth = 1; depth <= 9; ++depth) {
      known.trials.push_back(
          MakeTrial(row * 9 + depth, absl::StrCat("scheme_", row), absl::StrCat(depth, "L-", depth, "L")));
    }
  }
  View view = BoardView();
  view.row = 20;
  view.depth = 7;
  const Screen screen = Draw(known, view, TestLight(), 24, 80);
  ExpectScreen("board_large", screen.Text());
  EXPECT_THAT(screen.Text(), HasSubstr("grid-1/t197"));  // the one under the cursor
}

TEST(DrawTest, Trial) {
  Knowledge known = MakeKnowledge();
  AddMeasured(known);
  ExpectScreen("trial", Draw(known, TrialView("t4"), TestLight(), 24, 80).Text());
  ExpectScreen("trial_ascii", Draw(known, TrialView("t4"), TestLight(/*unicode=*/false), 24, 80).Text());
  ExpectScreen("trial_large", Draw(known, TrialView("t4"), TestLight(), 40, 120).Text());
}

TEST(DrawTest, TrialWithoutMeasurementsSaysSo) {
  Knowledge known = MakeKnowledge();
  EXPECT_THAT(Draw(known, TrialView("t4"), TestLight(), 24, 80).Text(), HasSubstr("Asking for its measurements."));
  known.measured.job = "experiments/grid-1/trials/t4/jobs/train";
  const std::string text = Draw(known, TrialView("t4"), TestLight(), 24, 80).Text();
  EXPECT_THAT(text, HasSubstr("Nothing measured yet."));
  EXPECT_THAT(text, HasSubstr("Not measured (diagnostics.gradient_norms_every)"));
}

TEST(DrawTest, Workers) {
  View view = BoardView();
  view.page = Page::kWorkers;
  ExpectScreen("workers", Draw(MakeKnowledge(), view, TestLight(), 24, 80).Text());
}

TEST(DrawTest, LogFollowsItsEndAndScrolls) {
  Knowledge known = MakeKnowledge();
  View view = TrialView("t4");
  view.page = Page::kLogs;
  known.log.job = "experiments/grid-1/trials/t4/jobs/train";
  known.log.attempt = 1;
  for (int i = 1; i <= 100; ++i) known.log.Append(absl::StrCat("[rank 0] line ", i, "\n"));
  const std::string end = Draw(known, view, TestLight(), 24, 80).Text();
  ExpectScreen("log", end);
  view.log_up = 30;
  const std::string up = Draw(known, view, TestLight(), 24, 80).Text();
  EXPECT_THAT(up, HasSubstr("line 70\n"));
  EXPECT_THAT(up, Not(HasSubstr("line 71\n")));
}

TEST(DrawTest, Experiments) {
  Knowledge known = MakeKnowledge();
  known.experiments_known = true;
  known.experiments.push_back(known.experiment);
  known.experiments.push_back(known.experiment);
  known.experiments[1].set_name("experiments/a-grid-with-a-name-of-forty-letters-12");
  known.experiments[1].set_done(true);
  for (v1::Experiment& experiment : known.experiments) experiment.mutable_create_time()->set_seconds(1'699'000'000);
  View view;
  view.page = Page::kExperiments;
  ExpectScreen("experiments", Draw(known, view, TestLight(), 24, 80).Text());
}

TEST(DrawTest, Help) {
  View view = BoardView();
  view.help = true;
  ExpectScreen("help", Draw(MakeKnowledge(), view, TestLight(), 24, 80).Text());
}

TEST(DrawTest, ACoordinatorThatIsAwayIsNamedAndWhatIsKnownStays) {
  Knowledge known = MakeKnowledge();
  known.away_since = TestTime() - absl::Seconds(20);
  const std::string text = Draw(known, BoardView(), TestLight(), 24, 80).Text();
  EXPECT_THAT(text, HasSubstr("The coordinator does not answer since 22:13:00; trying again."));
  EXPECT_THAT(text, HasSubstr("bleu 26.53"));
}

TEST(DrawTest, WhyACallerIsRefusedStandsOnEveryPage) {
  Knowledge known = MakeKnowledge();
  known.refused = "The token vera was revoked at 2023-11-14 22:13:00Z. Ask an admin for a new one.";
  known.refused_since = TestTime() - absl::Seconds(20);
  for (const Page page : {Page::kExperiments, Page::kBoard, Page::kTrial, Page::kWorkers, Page::kLogs}) {
    View view = TrialView("t4");
    view.page = page;
    const std::string text = Draw(known, view, TestLight(), 24, 80).Text();
    EXPECT_THAT(text, HasSubstr("The coordinator lets you in no more since 22:13:00; trying again."));
    EXPECT_THAT(text, HasSubstr("The token vera was revoked at 2023-11-14 22:13:00Z."));
  }
}

TEST(DrawTest, ASmallTerminalGetsOneLine) {
  const std::string text = Draw(MakeKnowledge(), BoardView(), TestLight(), 20, 79).Text();
  EXPECT_THAT(text, StartsWith("strata top needs 80x24, this is 79x20; q quits\n\n"));
  EXPECT_EQ(Draw(MakeKnowledge(), BoardView(), TestLight(), 1, 10).Text(), "strata top\n");
}

// Every page at every size, with everything known and with nothing: whatever is drawn stays within the screen.
TEST(DrawTest, NoSizeBreaksAPage) {
  Knowledge full = MakeKnowledge();
  AddMeasured(full);
  full.measured.gradient_norms["encoder"].values[2] = {0, NAN, INFINITY};
  full.log.job = "experiments/grid-1/trials/t4/jobs/train";
  full.log.Append("wide 日本語の行, broken \xff\xc3, and control \x1b[31m\n");
  for (const Knowledge& known : {full, Knowledge{}}) {
    for (const Page page : {Page::kExperiments, Page::kBoard, Page::kTrial, Page::kWorkers, Page::kLogs}) {
      for (const size_t columns : {1, 79, 80, 81, 133, 300}) {
        for (const size_t rows : {1, 23, 24, 25, 60}) {
          View view = TrialView("t4");
          view.page = page;
          const Screen screen = Draw(known, view, TestLight(), rows, columns);
          const std::vector<std::string> lines = absl::StrSplit(screen.Text(), '\n');
          ASSERT_EQ(lines.size(), rows + 1);
          for (const std::string& line : lines) ASSERT_LE(WidthOf(line), columns);
        }
      }
    }
  }
}

TEST(BoardTextTest, PrintsEveryBoardWhole) {
  Knowledge known = MakeKnowledge();
  v1::Trial& other = known.trials.emplace_back(MakeTrial(10, "pre_ln", "16L"));
  other.mutable_spec()->mutable_task()->set_kind("language_model");
  other.mutable_spec()->mutable_task()->set_dataset("austen");
  ExpectScreen("board_text", BoardText(known, TestLight()));
}

}  // namespace
}  // namespace strata::client::top
