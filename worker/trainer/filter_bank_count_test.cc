// The number of filter banks is the dataset's.
#include <gtest/gtest.h>

#include "model/tasks/registry.h"
#include "worker/trainer/job.h"
#include "worker/trainer/plan.h"
#include "worker/trainer/spec.h"
#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

TEST(FilterBankCountTest, IsTheDatasetsInTheModelAndInItsPlan) {
  nlohmann::json json = testing::SmallSpec();
  json["task"]["kind"] = "speech";
  json["model"]["share_embeddings"] = "decoder";
  json["evaluate"] = nlohmann::json::array();
  Job job{.spec = ParseSpec(json)};
  int64_t parameters[2];
  for (int k = 0; k < 2; ++k) {
    model::Manifest manifest{
        .task = "speech", .vocabulary_size = 30, .features = {.bins = k == 0 ? 80 : 40, .cmvn = "utterance"}};
    const auto model = MakeModel(job, manifest);
    EXPECT_EQ(model->config().feature_bins, manifest.features.bins);
    parameters[k] = CountElements(model->Parameters());
    EXPECT_EQ(Plan(job.spec, 30, &manifest)["parameters"], parameters[k]);
  }
  EXPECT_EQ(parameters[0] - parameters[1], 5 * 40 * job.spec.model.convolution_channels);  // a kernel of 5 frames
}

}  // namespace
}  // namespace strata::trainer
