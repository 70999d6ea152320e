// What a training and a probe show of the layers, and what they write down of their beginning. The real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <map>
#include <set>

#include "model/data/file.h"
#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

class DiagnosticsTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteDataset(folder_ / "data"); }

  std::vector<std::string> Arguments(const std::string& job, const std::string& name, int attempt) {
    WriteJson(folder_ / "spec.json", spec_);
    return {"--spec", folder_ / "spec.json", "--job",     job, "--dataset", folder_ / "data", "--out", folder_ / name, "--spool", Spool(name, attempt),
            "--attempt", std::to_string(attempt)};
  }
  fs::path Spool(const std::string& name, int attempt = 1) { return folder_ / (name + "." + std::to_string(attempt)); }
  Ended Run(const std::string& job, const std::string& name) { return RunTrainer(Arguments(job, name, 1)); }
  std::vector<json> Events(const std::string& name, const std::string& type, int attempt = 1) {
    return OfType(ReadEvents(Spool(name, attempt)), type);
  }
  // The file of the artifact `initialisation`, which must be what the event says.
  json Initialisation(const std::string& name) {
    const auto artifacts = Events(name, "artifact");
    if (artifacts.size() != 1 || artifacts[0].at("name") != "initialisation") return {};
    const std::string text = model::ReadFile(folder_ / name / artifacts[0].at("file").get<std::string>());
    EXPECT_EQ(artifacts[0].at("sha256"), model::Sha256(text));
    EXPECT_EQ(artifacts[0].at("bytes"), text.size());
    return json::parse(text);
  }
  // Updates at which a scalar or vector of that name was told.
  std::vector<int64_t> Updates(const std::string& run, const std::string& measurement) {
    std::set<int64_t> updates;
    for (const json& row : Events(run, "measurements")) {
      if (row.at("scalars").contains(measurement)) updates.insert(row.at("update").get<int64_t>());
      for (const json& vector : row.at("vectors")) {
        if (vector.at("name") == measurement) updates.insert(row.at("update").get<int64_t>());
      }
    }
    return {updates.begin(), updates.end()};
  }
  static std::vector<std::string> Schemes() {
    std::vector<std::string> names;
    const json registry = json::parse(RunTrainer({"--describe"}).out);
    for (const json& scheme : registry.at("schemes")) {
      if (scheme.at("tasks").dump().find("\"translation\"") != std::string::npos) names.push_back(scheme.at("name"));
    }
    return names;
  }

  ScratchFolder folder_;
  json spec_ = SmallSpec();
};

TEST_F(DiagnosticsTest, AProbeOfAnySchemeShowsAllOfItsLayers) {
  for (const std::string& scheme : Schemes()) {
    spec_["model"]["scheme"] = scheme;
    const Ended ended = Run("probe", scheme);
    ASSERT_EQ(ended.status, 0) << scheme << ": " << ended.err;
    const auto rows = Events(scheme, "measurements");
    ASSERT_THAT(rows, SizeIs(1)) << scheme;
    EXPECT_EQ(rows[0].at("update"), 0);
    std::set<std::string> scalars, vectors;
    for (const auto& [name, value] : rows[0].at("scalars").items()) scalars.insert(name);
    EXPECT_THAT(scalars, ElementsAre("gradient_ratio", "gradient_ratio_encoder", "gradient_spread")) << scheme;
    for (const json& vector : rows[0].at("vectors")) vectors.insert(vector.at("stack").get<std::string>() + "/" + vector.at("name").get<std::string>());
    EXPECT_THAT(vectors, IsSupersetOf({"decoder/gradient_norm_output", "encoder/gradient_norm_output", "decoder/gradient_norm_parameters",
                                       "decoder/similarity", "encoder/similarity_to_last", "decoder/layer_verdict",
                                       "encoder/variance_ffn", "decoder/variance_cross_attention",
                                       "decoder/gradient_norm_location_4_after_cross_attention_norm",
                                       "encoder/gradient_norm_location_5_before_ffn_norm"}))
        << scheme;
    EXPECT_THAT(Initialisation(scheme).at("tensors"), Not(IsEmpty())) << scheme;
  }
}

TEST_F(DiagnosticsTest, SchemesOfASeedStartFromTheSameBatchesAndShareEveryTensorOfOneInitialiser) {
  std::map<std::string, json> first;  // name, shape and initialiser -> tensor
  std::string batches;
  for (const std::string& scheme : Schemes()) {
    spec_["model"]["scheme"] = scheme;
    ASSERT_EQ(Run("probe", scheme).status, 0) << scheme;
    const json initialisation = Initialisation(scheme);
    EXPECT_EQ(initialisation.at("seed"), 1);
    if (batches.empty()) batches = initialisation.at("batches_sha256");
    EXPECT_EQ(initialisation.at("batches_sha256"), batches) << scheme;
    for (const json& tensor : initialisation.at("tensors")) {
      if (tensor.at("initialiser") == "profile") continue;
      const json key = {tensor.at("name"), tensor.at("shape"), tensor.at("initialiser")};
      const auto [other, is_new] = first.emplace(key.dump(), tensor);
      EXPECT_EQ(other->second.at("sha256"), tensor.at("sha256")) << scheme << " " << key;
    }
  }
  spec_["model"]["scheme"] = "b2t";
  spec_["train"]["seed"] = "2";
  ASSERT_EQ(Run("probe", "other seed").status, 0);
  const json other = Initialisation("other seed");
  EXPECT_NE(other.at("batches_sha256"), batches);
  EXPECT_NE(other.at("tensors")[0].at("sha256"), Initialisation("b2t").at("tensors")[0].at("sha256"));
}

TEST_F(DiagnosticsTest, ATrainingStartsFromWhatItsProbeShowed) {
  ASSERT_EQ(Run("probe", "probe").status, 0);
  ASSERT_EQ(Run("train", "train").status, 0);
  EXPECT_EQ(Initialisation("train"), Initialisation("probe"));
}

TEST_F(DiagnosticsTest, ATrainingMeasuresAtItsIntervalsAndAtTheEnd) {
  spec_["diagnostics"] = {{"gradient_norms_every", 9}, {"location_layers", "1,last"}, {"locations_every", 10},
                          {"similarity_every", 11},    {"variances_every", 7}};
  ASSERT_EQ(Run("train", "out").status, 0);
  EXPECT_THAT(Updates("out", "gradient_norm_output"), ElementsAre(0, 9, 18, 24));
  EXPECT_THAT(Updates("out", "gradient_norm_parameters"), ElementsAre(9, 18, 24));
  EXPECT_THAT(Updates("out", "gradient_norm_location_1_before_self_attention_norm"), ElementsAre(0, 10, 20, 24));
  EXPECT_THAT(Updates("out", "similarity"), ElementsAre(0, 11, 22, 24));
  EXPECT_THAT(Updates("out", "variance_ffn"), ElementsAre(0, 7, 14, 21, 24));
  std::set<int64_t> updates;
  for (const json& row : Events("out", "measurements")) EXPECT_TRUE(updates.insert(row.at("update").get<int64_t>()).second) << "two rows at " << row.at("update");
}

TEST_F(DiagnosticsTest, MeasuringChangesNothingOfTheTraining) {
  ASSERT_EQ(Run("train", "plain").status, 0);
  spec_["diagnostics"] = {{"gradient_norms_every", 1}, {"location_layers", "1,2"}, {"locations_every", 2},
                          {"similarity_every", 3},     {"variances_every", 4}};
  ASSERT_EQ(Run("train", "watched").status, 0);
  EXPECT_EQ(Events("watched", "finished")[0].at("weights_sha256"), Events("plain", "finished")[0].at("weights_sha256"));
}

TEST_F(DiagnosticsTest, EpochsLeaveTheirWeightsTheLastOfThemStayAndAResumeWritesTheSame) {
  spec_["train"]["keep_epoch_checkpoints"] = 2;
  spec_["train"]["checkpoint_every"] = 5;
  spec_["train"]["update_frequency"] = 8;
  ASSERT_EQ(Run("train", "whole").status, 0);
  const auto epochs = [&](const std::string& name, int attempt, std::map<std::string, json>* files) {
    for (const json& event : Events(name, "checkpoint", attempt)) {
      if (event.at("kind") != "epoch") continue;
      const json what = {event.at("update"), event.at("sha256")};
      const auto [known, is_new] = files->emplace(event.at("file"), what);
      EXPECT_EQ(known->second, what) << "written otherwise after the resume";
    }
  };
  std::map<std::string, json> whole, resumed;
  epochs("whole", 1, &whole);
  ASSERT_GE(whole.size(), 3u);
  EXPECT_EQ(whole.begin()->first, "checkpoints/epoch-00000001.safetensors");
  const auto there = [&](const std::string& name) {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_ / name / "checkpoints")) {
      if (entry.path().filename().string().starts_with("epoch-")) found.insert("checkpoints/" + entry.path().filename().string());
    }
    return found;
  };
  EXPECT_THAT(there("whole"), ElementsAre(std::prev(whole.end(), 2)->first, std::prev(whole.end())->first));

  const pid_t pid = StartTrainer(Arguments("train", "torn", 1), folder_ / "log");
  while (Events("torn", "checkpoint").size() < 6) usleep(500);
  ::kill(pid, SIGKILL);
  WaitFor(pid);
  auto arguments = Arguments("train", "torn", 2);
  arguments.push_back("--resume");
  ASSERT_EQ(RunTrainer(arguments).status, 0);
  epochs("torn", 1, &resumed);
  epochs("torn", 2, &resumed);
  EXPECT_EQ(resumed, whole);
  EXPECT_EQ(there("torn"), there("whole"));
  EXPECT_THAT(Events("torn", "artifact", 2), IsEmpty());  // the initialisation is told once
}

TEST_F(DiagnosticsTest, ScheduleWithoutWarmUpStartsAtThePeak) {
  spec_["train"]["schedule"] = "inverse_sqrt_no_warmup";
  spec_["train"]["decay_offset"] = 4;
  spec_["train"]["log_every"] = 1;
  ASSERT_EQ(Run("train", "out").status, 0);
  std::vector<double> rates;
  for (const json& row : Events("out", "measurements")) {
    if (row.at("scalars").contains("learning_rate")) rates.push_back(row.at("scalars").at("learning_rate"));
  }
  ASSERT_THAT(rates, SizeIs(24));
  EXPECT_EQ(rates[0], 0.005);
  EXPECT_NEAR(rates[12], 0.0025, 1e-15);
}

TEST_F(DiagnosticsTest, WhatCannotBeMeasuredIsOneErrorAtTheStart) {
  const auto refuse = [&](const std::string& pointer, const json& value, int status, const std::string& why) {
    spec_ = SmallSpec();
    spec_[json::json_pointer(pointer)] = value;
    for (const char* job : {"probe", "train"}) {
      fs::remove_all(folder_ / "out");
      const Ended ended = Run(job, "out");
      EXPECT_EQ(ended.status, status) << pointer;
      EXPECT_THAT(ended.err, HasSubstr(why));
    }
  };
  refuse("/train/validation_split", "dev", 1, "train.validation_split is \"dev\", but dataset reversed has only the splits test, train, valid");
  refuse("/diagnostics/location_layers", "1,3", 2, "Choose layers from 1 to 2");
  refuse("/diagnostics/location_layers", "first", 2, "neither a number from 1 nor \"last\"");
}

TEST_F(DiagnosticsTest, AThousandLayersAreProbed) {
  spec_["model"].update({{"depth", "1000L-1000L"}, {"dim", 4}, {"ffn_dim", 4}, {"heads", 1}});
  const Ended ended = Run("probe", "out");
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(Updates("out", "similarity"), IsEmpty());
  EXPECT_THAT(Updates("out", "similarity_to_last"), ElementsAre(0));
}

}  // namespace
}  // namespace strata::trainer::testing
