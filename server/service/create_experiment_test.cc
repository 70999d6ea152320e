// What a specification becomes, and what is refused, over a real server and the real store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

grpc::Status Create(TestCluster& cluster, const v1::ExperimentSpec& spec,
                    v1::CreateExperimentResponse* response = nullptr) {
  grpc::ClientContext context;
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id("r");
  v1::CreateExperimentResponse ignored;
  return cluster.experiments->CreateExperiment(&context, request, response == nullptr ? &ignored : response);
}

TEST(CreateExperimentTest, MakesOneTrialACellWithItsJobs) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  v1::ExperimentSpec spec = TestCluster::Spec();
  auto* axis = spec.add_axes();
  axis->set_field("scheme");
  axis->add_values("post_ln");
  axis->add_values("b2t");
  const v1::Experiment experiment = cluster.Submit(spec, "r1");
  EXPECT_EQ(experiment.name(), "experiments/small-1");
  EXPECT_EQ(experiment.trials(), 2);
  const v1::Trial trial = cluster.Trial("experiments/small-1/trials/t1");
  EXPECT_EQ(trial.spec().model().scheme(), "post_ln");
  EXPECT_EQ(trial.spec().train().max_tokens(), 3584);
  ASSERT_THAT(trial.jobs(), SizeIs(2));
  EXPECT_EQ(trial.jobs(0).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(trial.jobs(0).queue_position(), 1);
  EXPECT_NE(trial.jobs(1).waiting_for(), "");
}

TEST(CreateExperimentTest, ARepeatedRequestIsTheSameExperiment) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  EXPECT_EQ(cluster.Submit(TestCluster::Spec(), "r1").name(), "experiments/small-1");
  cluster.Restart();
  EXPECT_EQ(cluster.Submit(TestCluster::Spec(), "r1").name(), "experiments/small-1");
  EXPECT_EQ(cluster.Submit(TestCluster::Spec(), "r2").name(), "experiments/small-2");
}

TEST(CreateExperimentTest, CallsOfOneRequestAtOnceMakeOneExperiment) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  std::vector<std::string> names(8);
  std::vector<std::thread> threads;
  for (std::string& name : names)
    threads.emplace_back([&] { name = cluster.Submit(TestCluster::Spec(), "same").name(); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& name : names) EXPECT_EQ(name, names[0]);
}

TEST(CreateExperimentTest, RefusesBadInputNamingTheField) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  struct Case {
    std::function<void(v1::ExperimentSpec&)> spoil;
    grpc::StatusCode code;
    std::string says;
  };
  using S = v1::ExperimentSpec;
  const auto axis = [](S& s, const char* field, const char* value) {
    auto* a = s.add_axes();
    a->set_field(field);
    a->add_values(value);
  };
  const std::vector<Case> cases = {
      {[](S& s) { s.set_experiment("No Name"); }, grpc::INVALID_ARGUMENT, "experiment"},
      {[](S& s) { s.mutable_base()->mutable_model()->set_scheme("b3t"); }, grpc::INVALID_ARGUMENT, "b2t"},
      {[](S& s) { s.mutable_base()->mutable_model()->set_depth("0L-3L"); }, grpc::INVALID_ARGUMENT, "depth"},
      {[](S& s) { s.mutable_base()->mutable_train()->set_learning_rate(-1); }, grpc::INVALID_ARGUMENT,
       "train.learning_rate"},
      {[](S& s) { s.mutable_base()->mutable_model()->set_heads(5); }, grpc::INVALID_ARGUMENT, "heads"},
      {[](S& s) { s.mutable_base()->mutable_task()->set_dataset("other"); }, grpc::FAILED_PRECONDITION,
       "strata data add"},
      {[](S& s) { s.mutable_base()->mutable_resources()->set_min_ranks(2); }, grpc::INVALID_ARGUMENT,
       "resources.min_ranks is 2, but resources.ranks is 1"},
      {[](S& s) {
         s.mutable_base()->mutable_resources()->set_ranks(4);
         s.mutable_base()->mutable_resources()->set_min_ranks(3);
       },
       grpc::INVALID_ARGUMENT, "does not divide the global batch of 4"},
      {[](S& s) { s.set_priority(101); }, grpc::INVALID_ARGUMENT, "priority: 101"},
      {[](S& s) { s.set_priority(-101); }, grpc::INVALID_ARGUMENT, "-100 to 100"},
      {[](S& s) { s.mutable_base()->mutable_evaluate(0)->set_split("dev"); }, grpc::INVALID_ARGUMENT, "split"},
      {[](S& s) { s.mutable_base()->mutable_evaluate(0)->set_split("test,newstest2013"); }, grpc::INVALID_ARGUMENT,
       "evaluate[0].split: newstest2013 is no split of the dataset tiny. It has test, train, valid."},
      {[](S& s) { s.mutable_base()->mutable_train()->set_validation_split("dev"); }, grpc::INVALID_ARGUMENT,
       "train.validation_split: dev is no split"},
      {[](S& s) { s.mutable_base()->mutable_model()->set_scheme_options("gamma=1"); }, grpc::INVALID_ARGUMENT,
       "\"gamma\" is no option of the scheme b2t"},
      {[](S& s) { s.mutable_base()->mutable_train()->set_frequency_masks(2); }, grpc::INVALID_ARGUMENT,
       "belongs to speech"},
      {[](S& s) { s.mutable_base()->mutable_evaluate(0)->set_metric("rouge"); }, grpc::INVALID_ARGUMENT, "metric"},
      {[&](S& s) { axis(s, "train.lerning_rate", "1"); }, grpc::INVALID_ARGUMENT, "learning_rate"},
      {[&](S& s) { axis(s, "train.updates", "many"); }, grpc::INVALID_ARGUMENT, "train.updates"},
      {[&](S& s) {
         axis(s, "seed", "1");
         axis(s, "train.seed", "2");
       },
       grpc::INVALID_ARGUMENT, "train.seed"},
      {[&](S& s) {
         auto* a = s.add_axes();
         a->set_field("seed");
         for (int i = 0; i < 10001; ++i) a->add_values(absl::StrCat(i));
       },
       grpc::RESOURCE_EXHAUSTED, "10001"},
  };
  for (const Case& one : cases) {
    v1::ExperimentSpec spec = TestCluster::Spec();
    one.spoil(spec);
    const grpc::Status status = Create(cluster, spec);
    EXPECT_EQ(status.error_code(), one.code) << one.says << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(one.says));
  }
  grpc::ClientContext context;
  v1::ListExperimentsResponse list;
  ASSERT_TRUE(cluster.experiments->ListExperiments(&context, {}, &list).ok());
  EXPECT_THAT(list.experiments(), SizeIs(0));
}

}  // namespace
}  // namespace strata::service
