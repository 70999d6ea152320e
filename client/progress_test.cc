#include "client/progress.h"

#include "absl/strings/str_cat.h"
#include "client/table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

v1::Trial MakeTrial(int number, v1::JobState state, int done) {
  v1::Trial trial;
  trial.set_name(absl::StrCat("experiments/e-1/trials/t", number));
  trial.mutable_spec()->mutable_model()->set_scheme("b2t");
  trial.mutable_spec()->mutable_model()->set_depth("18L-18L");
  trial.set_state(state);
  trial.set_updates_done(done);
  trial.set_updates(600);
  v1::Job* job = trial.add_jobs();
  job->set_kind(v1::JOB_KIND_TRAIN);
  job->set_state(state);
  return trial;
}

v1::Experiment MakeExperiment() {
  v1::Experiment experiment;
  experiment.set_name("experiments/e-1");
  experiment.set_trials(2);
  return experiment;
}

TEST(CellLabelTest, NamesWhateverTheGridVaries) {
  v1::Experiment experiment = MakeExperiment();
  v1::Trial trial = MakeTrial(1, v1::JOB_STATE_QUEUED, 0);
  EXPECT_EQ(CellLabel(experiment, trial), "b2t 18L-18L");
  for (const char* field : {"model.depth", "model.rescale_init", "train.seed"}) {
    v1::Axis* axis = experiment.mutable_spec()->add_axes();
    axis->set_field(field);
    axis->add_values("1");
    axis->add_values("2");
  }
  trial.mutable_spec()->mutable_model()->set_rescale_init(true);
  trial.mutable_spec()->mutable_train()->set_seed(2);
  EXPECT_THAT(FurtherSettings(experiment, trial), ElementsAre("model.rescale_init=true"));
  EXPECT_EQ(CellLabel(experiment, trial), "b2t 18L-18L model.rescale_init=true seed 2");
}

TEST(BarTest, FillsByEighthsAndKeepsItsWidth) {
  EXPECT_EQ(Bar(0, 4), "    ");
  EXPECT_EQ(Bar(0.5, 4), "██  ");
  EXPECT_EQ(Bar(1, 4), "████");
  for (double fraction = -0.2; fraction < 1.3; fraction += 0.01)
    EXPECT_EQ(DisplayWidth(Bar(fraction, 10)), 10u) << fraction;
}

TEST(BoardTest, TellsStatesAndTenthsOnce) {
  Board board;
  std::vector<std::string> lines;
  board.Update(MakeExperiment(), {MakeTrial(1, v1::JOB_STATE_RUNNING, 0)}, &lines);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("e-1/t1 b2t 18L-18L: training, update 0 of 600, nll -")));
  lines.clear();
  board.Update(MakeExperiment(), {MakeTrial(1, v1::JOB_STATE_RUNNING, 30)}, &lines);
  EXPECT_THAT(lines, IsEmpty());
  board.Update(MakeExperiment(), {MakeTrial(1, v1::JOB_STATE_RUNNING, 61)}, &lines);
  EXPECT_THAT(lines, ElementsAre(HasSubstr("update 61 of 600")));
}

TEST(BoardTest, DrawsBarAndTimeLeft) {
  Board board;
  v1::Trial trial = MakeTrial(1, v1::JOB_STATE_RUNNING, 300);
  trial.mutable_estimated_end_time()->set_seconds(1065);
  board.Update(MakeExperiment(), {trial}, nullptr);
  const auto lines = board.Draw(absl::FromUnixSeconds(1000), 120, 24, /*color=*/false);
  EXPECT_THAT(lines[1], HasSubstr("██████████          "));
  EXPECT_THAT(lines[1], HasSubstr("300/600"));
  EXPECT_THAT(lines[1], HasSubstr("ETA 1 min 05 s"));
}

TEST(BoardTest, KeepsWithinTheScreen) {
  Board board;
  std::vector<v1::Trial> trials;
  for (int i = 1; i <= 100; ++i) trials.push_back(MakeTrial(i, v1::JOB_STATE_RUNNING, i));
  board.Update(MakeExperiment(), trials, nullptr);
  for (const size_t width : {20, 80, 200}) {
    const auto lines = board.Draw(absl::UnixEpoch(), width, 24, /*color=*/false);
    EXPECT_LE(lines.size(), 24u);
    for (const std::string& line : lines) EXPECT_LE(DisplayWidth(line), width);
    EXPECT_THAT(lines.back(), HasSubstr("more"));
  }
}

TEST(DescribeTest, SaysWhatATrialDoes) {
  v1::Trial diverged = MakeTrial(1, v1::JOB_STATE_DIVERGED, 450);
  diverged.set_evidence(R"({"rule": "vanished", "update": 450})");
  EXPECT_EQ(Describe(diverged), "DIVERGED (vanished at update 450)");
  diverged.set_evidence("not JSON");
  EXPECT_EQ(Describe(diverged), "DIVERGED");
  v1::Trial failed = MakeTrial(1, v1::JOB_STATE_FAILED, 4);
  failed.mutable_jobs(0)->set_cause("out_of_memory");
  EXPECT_EQ(Describe(failed), "FAILED (out_of_memory)");
  v1::Trial queued = MakeTrial(1, v1::JOB_STATE_QUEUED, 0);
  queued.mutable_jobs(0)->set_queue_position(3);
  EXPECT_EQ(Describe(queued), "queued, place 3");
  v1::Trial trained = MakeTrial(1, v1::JOB_STATE_SUCCEEDED, 600);
  v1::Job* evaluate = trained.add_jobs();
  evaluate->set_kind(v1::JOB_KIND_EVALUATE);
  evaluate->set_state(v1::JOB_STATE_RUNNING);
  EXPECT_EQ(Describe(trained), "trained, evaluating");
  trained.mutable_jobs(1)->set_state(v1::JOB_STATE_SUCCEEDED);
  trained.set_reused_from("experiments/e-0/trials/t1");
  EXPECT_EQ(Describe(trained), "SUCCEEDED (trained as e-0/t1)");
}

}  // namespace
}  // namespace strata::client
