#include "client/top/view.h"

#include "client/top/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::client::top {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ViewTest : public testing::Test {
 protected:
  ViewTest() : known_(MakeKnowledge()) { view_.experiment = "experiments/grid-1"; }

  std::optional<Command> Type(std::vector<int> keys) {
    std::optional<Command> command;
    for (const int key : keys) command = Press({key}, known_, view_);
    return command;
  }
  std::string Trial() const {
    const v1::Trial* trial = Selected(view_, known_);
    return trial == nullptr ? "" : trial->name().substr(trial->name().rfind('/') + 1);
  }

  Knowledge known_;
  View view_;
};

TEST_F(ViewTest, ArrowsAndLettersMoveOverTheBoardAndStopAtItsEdges) {
  EXPECT_EQ(Trial(), "t2");  // shallow depths come first
  Type({'l'});
  EXPECT_EQ(Trial(), "t3");
  Type({Key::kDown, Key::kRight});
  EXPECT_EQ(Trial(), "t4");
  Type({'j', 'j', 'j', Key::kRight});
  EXPECT_EQ(Trial(), "t7");
  Type({'h', 'k', Key::kUp, Key::kUp, Key::kLeft, Key::kLeft});
  EXPECT_EQ(Trial(), "t2");
  Type({'G'});
  EXPECT_EQ(Trial(), "t8");
}

TEST_F(ViewTest, DownGoesThroughTheSeedsOfACell) {
  v1::Trial& second = known_.trials.emplace_back(MakeTrial(10, "post_ln", "3L-3L", 2));
  EXPECT_EQ(Arrange(known_.experiment, known_.trials)[0].most_seeds, 2u);
  Type({'j'});
  EXPECT_EQ(Trial(), "t10");
  EXPECT_EQ(Selected(view_, known_), &second);
  Type({'j'});
  EXPECT_EQ(Trial(), "t5");
  Type({'k'});
  EXPECT_EQ(Trial(), "t10");
  Type({'s', 'j'});  // folded: a cell is one line
  EXPECT_EQ(Trial(), "t5");
}

TEST_F(ViewTest, TabGoesFromBoardToBoardAndEnterOpensATrial) {
  known_.trials.push_back(MakeTrial(10, "pre_ln", "16L"));
  known_.trials.back().mutable_spec()->mutable_task()->set_dataset("other");
  Type({Key::kTab});
  EXPECT_EQ(Trial(), "t10");
  Type({Key::kEnter});
  EXPECT_EQ(view_.page, Page::kTrial);
  EXPECT_EQ(Trial(), "t10");
  Type({Key::kTab});
  EXPECT_EQ(Trial(), "t1");
  Type({Key::kBackTab});
  EXPECT_EQ(Trial(), "t10");
  Type({Key::kEscape});
  EXPECT_EQ(view_.page, Page::kBoard);
  Type({Key::kTab});
  EXPECT_EQ(Trial(), "t2");
}

TEST_F(ViewTest, CancelAsksFirst) {
  EXPECT_FALSE(Type({'j', 'l', 'l', 'c'}).has_value());
  ASSERT_TRUE(view_.asks.has_value());
  EXPECT_EQ(QuestionOf(*view_.asks, known_), "Cancel grid-1/t4 (train, evaluate-1)? y/n");
  EXPECT_FALSE(Type({'n'}).has_value());
  EXPECT_FALSE(view_.asks.has_value());
  EXPECT_FALSE(Type({'c', 'q'}).has_value());  // any other key is no, and nothing else
  EXPECT_FALSE(view_.quit);
  const auto command = Type({'c', 'y'});
  ASSERT_TRUE(command.has_value());
  EXPECT_EQ(command->kind, Command::kCancelTrial);
  EXPECT_EQ(command->name, "experiments/grid-1/trials/t4");
}

TEST_F(ViewTest, WhatHasEndedIsNotCancelled) {
  EXPECT_FALSE(Type({'c'}).has_value());  // t2 is done
  EXPECT_FALSE(view_.asks.has_value());
  EXPECT_EQ(view_.says, "grid-1/t2 has ended: nothing is left to cancel.");
  Type({'j'});
  EXPECT_EQ(view_.says, "");
}

TEST_F(ViewTest, RetryNeedsNoQuestion) {
  const auto command = Type({'j', 'r'});
  ASSERT_TRUE(command.has_value());
  EXPECT_EQ(command->kind, Command::kRetryTrial);
  EXPECT_EQ(command->name, "experiments/grid-1/trials/t5");
}

TEST_F(ViewTest, LogsAreOfTheJobInViewAndTabGoesToTheNextJob) {
  Type({'l', 'L'});  // t3 is being evaluated
  EXPECT_EQ(view_.page, Page::kLogs);
  EXPECT_EQ(LogJob(view_, known_), "experiments/grid-1/trials/t3/jobs/evaluate-1");
  Type({Key::kTab});
  EXPECT_EQ(LogJob(view_, known_), "experiments/grid-1/trials/t3/jobs/train");
  known_.log.Append("1\n2\n3\n4\n");
  Type({'k', 'k'});
  EXPECT_EQ(view_.log_up, 2u);
  Type({'G'});
  EXPECT_EQ(view_.log_up, 0u);
  Type({Key::kEscape, Key::kEnter, 'l'});
  EXPECT_EQ(view_.page, Page::kLogs);
}

TEST_F(ViewTest, AWorkersSlotLeadsToItsTrial) {
  Type({'w', 'j', Key::kEnter});
  EXPECT_EQ(view_.page, Page::kTrial);
  EXPECT_EQ(Trial(), "t4");
  Type({Key::kEscape, Key::kTab});
  EXPECT_EQ(SlotLines(known_)[view_.slot].worker->name(), "workers/w2");
  known_.workers[0].mutable_slots(0)->set_holder("experiments/other-2/trials/t1/jobs/evaluate-1#1");
  Type({'g', 'j', Key::kEnter});
  EXPECT_EQ(view_.experiment, "experiments/other-2");
  EXPECT_EQ(view_.trial, "experiments/other-2/trials/t1");
}

TEST_F(ViewTest, AnExperimentIsChosenFromTheListAndCancelledWhole) {
  View fresh;
  fresh.page = Page::kExperiments;
  view_ = fresh;
  known_.experiments.resize(3);
  for (int i = 0; i < 3; ++i) known_.experiments[static_cast<size_t>(i)].set_name(absl::StrCat("experiments/e-", i));
  Type({'j', 'j', 'j', 'k', Key::kEnter});
  EXPECT_EQ(view_.experiment, "experiments/e-1");
  EXPECT_EQ(view_.page, Page::kBoard);
  Type({Key::kEscape});
  const auto command = Type({'c', 'y'});
  ASSERT_TRUE(command.has_value());
  EXPECT_EQ(command->kind, Command::kCancelExperiment);
  EXPECT_EQ(command->name, "experiments/e-1");
}

TEST_F(ViewTest, KeysMeanNothingWhereNothingIsKnown) {
  known_ = Knowledge{};
  for (const Page page : {Page::kExperiments, Page::kBoard, Page::kTrial, Page::kWorkers, Page::kLogs}) {
    for (int key = 0; key < 128; ++key) {
      view_.page = page;
      EXPECT_FALSE(Press({key}, known_, view_).has_value());
    }
    for (int key = Key::kUp; key <= Key::kEscape; ++key) {
      view_.page = page;
      EXPECT_FALSE(Press({key}, known_, view_).has_value());
    }
  }
}

TEST(ArrangeTest, OneBoardForEachTaskAndARowForWhateverElseVaries) {
  Knowledge known = MakeKnowledge();
  v1::Axis* axis = known.experiment.mutable_spec()->add_axes();
  axis->set_field("model.rescale_init");
  for (v1::Trial& trial : known.trials) trial.mutable_spec()->mutable_model()->set_rescale_init(false);
  known.trials[1].mutable_spec()->mutable_model()->set_rescale_init(true);
  known.trials[8].mutable_spec()->mutable_task()->set_dataset("other");
  const std::vector<Board> boards = Arrange(known.experiment, known.trials);
  ASSERT_EQ(boards.size(), 2u);
  EXPECT_EQ(boards[1].title, "translation other");
  EXPECT_THAT(boards[0].depths, ElementsAre("3L-3L", "6L-6L", "18L-18L"));
  std::vector<std::string> labels;
  for (const BoardRow& row : boards[0].rows) labels.push_back(row.label);
  EXPECT_THAT(labels, ElementsAre("post_ln rescale_init=false", "post_ln rescale_init=true",
                                  "pre_ln rescale_init=false", "b2t rescale_init=false"));
}

TEST(TellTest, SaysWhatACellIs) {
  const Signs signs = Signs::Ascii();
  Knowledge known = MakeKnowledge();
  const MainScore score{"bleu", 26.534};
  const auto tell = [&](size_t i, size_t width, const MainScore* s = nullptr) {
    return Tell(known.trials[i], s, TestTime(), signs, width).first;
  };
  EXPECT_EQ(tell(0, 12), "X DIVERGED");
  EXPECT_EQ(tell(1, 12, &score), "+ bleu 26.53");
  EXPECT_EQ(tell(1, 12), "+ nll 5.800");
  EXPECT_EQ(tell(2, 12), "E evaluating");
  EXPECT_EQ(tell(3, 12), "> 38% 3m05");
  EXPECT_EQ(tell(3, 28), "> 230/600 38% ETA 3m05");
  EXPECT_EQ(tell(4, 12), "! FAILED");
  EXPECT_EQ(tell(4, 28), "! FAILED out_of_memory");
  EXPECT_EQ(tell(5, 12), "- cancelled");
  EXPECT_EQ(tell(6, 12), ". queued 1");
  EXPECT_EQ(tell(8, 12), ". held");
  EXPECT_EQ(Tell(known.trials[0], nullptr, TestTime(), signs, 12).second, "vanished at 450");
  EXPECT_EQ(TellFolded({0, 1, 2}, known, signs).first, "2+ 1X 26.53");
}

TEST(ShortDurationTest, TakesFewCells) {
  for (const auto& [seconds, text] : std::vector<std::pair<double, std::string>>{
           {0, "0s"}, {59.4, "59s"}, {65, "1m05"}, {3600, "1h00"}, {100000, "1d3h"}, {-1, ""}, {NAN, ""}, {1e12, ""}})
    EXPECT_EQ(ShortDuration(seconds), text) << seconds;
}

TEST(LogTailTest, KeepsTheLastLinesAndJoinsWhatCameInPieces) {
  LogTail log;
  log.Append("one\ntw");
  log.Append("o\n");
  EXPECT_THAT(log.lines, ElementsAre("one", "two", ""));
  for (size_t i = 0; i < LogTail::kMostLines; ++i) log.Append("more\n");
  EXPECT_EQ(log.lines.size(), LogTail::kMostLines);
  EXPECT_EQ(log.dropped, 3);
}

}  // namespace
}  // namespace strata::client::top
