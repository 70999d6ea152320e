// The reference cases pass, and spoiled ones fail: neither crash nor skip.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "model/layers/device_path.h"
#include "tests/golden/golden_check.h"

namespace strata::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Threads that wait for each other gain nothing on models this small.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

const fs::path kData = STRATA_SOURCE_DIR "/tests/golden/data";

class GoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, AgreesWithTheAuthorsCode) {
  const Outcome outcome = CheckCase(kData / (GetParam() + ".safetensors"));
  EXPECT_EQ(outcome.skipped_because, "");
  EXPECT_TRUE(outcome.passed()) << outcome.ToJson() << (outcome.failures.empty() ? "" : outcome.failures[0]);
}
// By the operations that devices compute with.
TEST_P(GoldenTest, AgreesOnTheDevicesPath) {
  const model::ForcedDevicePath forced;
  const Outcome outcome = CheckCase(kData / (GetParam() + ".safetensors"));
  EXPECT_TRUE(outcome.passed()) << outcome.ToJson() << (outcome.failures.empty() ? "" : outcome.failures[0]);
}
std::vector<std::string> Cases() {
  std::vector<std::string> cases;
  for (const auto& entry : fs::directory_iterator(kData)) {
    if (entry.path().extension() == ".safetensors") cases.push_back(entry.path().stem());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, ::testing::ValuesIn(Cases()), [](const auto& info) { return info.param; });

using Tensors = std::map<std::string, at::Tensor>;

// A copy of a case that `spoil` has changed.
class SpoiledCase {
 public:
  SpoiledCase(const std::string& name, const std::function<void(Tensors&, json&)>& spoil)
      : folder_(fs::path(::testing::TempDir()) / ("golden_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
    const Case whole = Case::Open(kData / (name + ".safetensors"));
    Tensors tensors;
    for (const std::string& tensor : whole.tensors.names()) tensors[tensor] = whole.tensors.Get(tensor);
    json facts = whole.facts;
    spoil(tensors, facts);
    model::WriteSafetensors(file(), {tensors.begin(), tensors.end()});
    std::ofstream(folder_ / "case.json") << facts;
  }
  ~SpoiledCase() { fs::remove_all(folder_); }

  fs::path file() const { return folder_ / "case.safetensors"; }
  fs::path facts() const { return folder_ / "case.json"; }

 private:
  fs::path folder_;
};

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void Nudge(Tensors& tensors, const std::string& name, double by) {
  at::Tensor first = tensors.at(name).view({-1}).narrow(0, 0, 1);
  first.add_(by);
}

struct Spoiling {
  std::string what, reference;
  std::function<void(Tensors&, json&)> spoil;
};

std::vector<Spoiling> Spoilings() {
  const auto nudge = [](const std::string& name, double by) { return [=](Tensors& t, json&) { Nudge(t, name, by); }; };
  const auto drop = [](const std::string& name) { return [=](Tensors& t, json&) { t.erase(name); }; };
  return {
      {"parameter", "mt_post", nudge("param.decoder.layers.1.fc1.weight", 0.5)},
      {"parameter_of_the_encoder", "mt_b2t", nudge("param.encoder.layers.0.self_attn.v_proj.weight", 0.5)},
      {"logits", "mt_post", nudge("out.logits", 1e-3)},
      {"layer_output", "mt_post", nudge("out.decoder.layer0.output", 1e-3)},
      {"gradient", "mt_pre", nudge("grad.encoder.layers.1.fc2.weight", 0.1)},
      {"gradient_nan", "mt_pre", nudge("grad.encoder.layers.1.fc2.weight", kNan)},
      {"gradient_nan_where_it_is_not_compared", "mt_pre", nudge("grad.encoder.layers.1.self_attn.k_proj.bias", kNan)},
      {"loss", "mt_post", [](Tensors& t, json&) { t.at("out.loss").mul_(1.0001); }},
      {"loss_nan", "mt_post", [](Tensors& t, json&) { t.at("out.loss").fill_(kNan); }},
      {"nll", "mt_post", [](Tensors& t, json&) { t.at("out.nll").mul_(1.0001); }},
      {"trajectory_loss", "mt_b2t", [](Tensors& t, json&) { t.at("traj.loss").narrow(0, 19, 1).mul_(1.001); }},
      {"trajectory_norm", "mt_b2t", [](Tensors& t, json&) { t.at("traj.gnorm").narrow(0, 3, 1).mul_(1.01); }},
      {"final_weight", "mt_b2t", nudge("traj.final.decoder.layers.0.fc1.weight", 0.05)},
      {"missing_parameter", "mt_post", drop("param.decoder.layers.1.fc1.weight")},
      {"missing_gradient", "mt_post", drop("grad.decoder.layers.1.fc1.weight")},
      {"missing_logits", "mt_post", drop("out.logits")},
      {"missing_layer_output", "mt_post", drop("out.encoder.layer1.output")},
      {"missing_trajectory_loss", "mt_post", drop("traj.loss")},
      {"missing_final_weight", "mt_b2t", drop("traj.final.decoder.layers.0.fc1.weight")},
      {"missing_source", "beam_b2t", drop("in.src_tokens")},
      {"surplus_parameter", "mt_post",
       [](Tensors& t, json&) { t["param.decoder.layers.9.fc1.weight"] = at::zeros({2}); }},
      {"wrong_shape", "mt_post",
       [](Tensors& t, json&) {
         t["param.encoder.layers.0.fc1.weight"] = t["param.encoder.layers.0.fc1.weight"].t().contiguous();
       }},
      {"wrong_type", "mt_post", [](Tensors& t, json&) { t["out.logits"] = t["out.logits"].to(at::kDouble); }},
      {"swapped_parameters", "mt_post",
       [](Tensors& t, json&) {
         std::swap(t.at("param.encoder.layers.0.self_attn.q_proj.weight"),
                   t.at("param.encoder.layers.0.self_attn.v_proj.weight"));
       }},
      {"ids_outside", "mt_post",
       [](Tensors& t, json&) { t.at("in.src_tokens").select(0, 0).select(0, 8).fill_(4000); }},
      {"padding_inside", "mt_post",
       [](Tensors& t, json&) { t.at("in.src_tokens").select(0, 0).select(0, 7).fill_(1); }},
      {"scheme_of_the_json", "mt_b2t", [](Tensors&, json& f) { f["args"]["residual_bottom_to_top"] = false; }},
      {"heads_of_the_json", "mt_post",
       [](Tensors&, json& f) { f["args"]["decoder_attention_heads"] = f["args"]["encoder_attention_heads"] = 2; }},
      {"smoothing_of_the_json", "mt_post",
       [](Tensors&, json& f) { f["label_smoothing"] = f["args"]["label_smoothing"] = 0.2; }},
      {"vocabulary_of_the_json", "mt_post", [](Tensors&, json& f) { f["vocab"] = 41; }},
      {"layers_of_the_json", "mt_post", [](Tensors&, json& f) { f["args"]["decoder_layers"] = 1; }},
      {"repository_of_the_json", "mt_post", [](Tensors&, json& f) { f["repo"] = "somewhere"; }},
      {"task_of_the_json", "mt_post", [](Tensors&, json& f) { f["args"].erase("task"); }},
      {"rate_of_the_json", "mt_post", [](Tensors&, json& f) { f["traj"]["base_lr"] = 0.004; }},
      {"adam_of_the_json", "mt_post",
       [](Tensors&, json& f) {
         f["traj"]["adam"]["betas"] = {0.9, 0.999};
       }},
      {"ratio", "mt_admin", [](Tensors& t, json&) { t.at("param.decoder.layers.1.encoder_ratio_change").mul_(1.01); }},
      {"profile", "mt_admin", [](Tensors&, json& f) { f["profile_file"][6] = "3 1.2613"; }},
      {"profile_too_short", "mt_admin", [](Tensors&, json& f) { f["profile_file"].erase(9); }},
      {"initialiser_of_the_json", "mt_admin", [](Tensors&, json& f) { f["args"]["init_type"] = "deepnet"; }},
      {"joint_projection", "mt_admin",
       [](Tensors& t, json&) { t.at("param.encoder.layers.0.self_attn.in_proj_weight").narrow(0, 70, 1).add_(0.1); }},
      {"joint_gradient", "mt_admin",
       [](Tensors& t, json&) { t.at("grad.encoder.layers.0.self_attn.in_proj_bias").narrow(0, 70, 1).add_(0.1); }},
      {"separate_projection", "mt_deepnet_clinic", nudge("param.decoder.layers.0.self_attn.v_proj_weight", 0.5)},
      {"trajectory_of_deepnet", "mt_deepnet_clinic",
       [](Tensors& t, json&) { t.at("traj.loss").narrow(0, 19, 1).mul_(1.001); }},
      {"torchscale_name", "mt_deepnet_torchscale", drop("param.encoder.layers.0.ffn.fc1.weight")},
      {"torchscale_without_alpha", "mt_deepnet_torchscale", [](Tensors&, json& f) { f["config"]["deepnorm"] = false; }},
      {"history", "mt_dlcl_post", nudge("param.decoder.history.weight", 0.01)},
      {"history_above_the_diagonal_gradient", "mt_dlcl_post",
       [](Tensors& t, json&) { t.at("grad.decoder.history.weight").select(0, 0).select(0, 2).fill_(0.1); }},
      {"history_norm", "mt_dlcl_pre", nudge("param.encoder.history.layer_norms.1.bias", 0.1)},
      {"inner_of_the_json", "mt_dlcl_pre",
       [](Tensors&, json& f) {
         f["args"]["decoder_normalize_before"] = f["args"]["encoder_normalize_before"] = false;
       }},
      {"layer_norms", "mt_dlcl_post",
       [](Tensors& t, json&) {
         std::swap(t.at("param.decoder.layers.0.layer_norms.1.bias"),
                   t.at("param.decoder.layers.0.layer_norms.2.bias"));
       }},
      {"restated_loss", "mt_tfixup",
       [](Tensors& t, json&) { t.at("traj.loss_restated_adam").narrow(0, 19, 1).mul_(1.001); }},
      {"norm_that_is_not_unused", "mt_tfixup",
       [](Tensors& t, json&) { t.at("grad.decoder.layers.0.encoder_attn_layer_norm.bias").fill_(1.0); }},
      {"bypass_without_norms", "mt_b2t_noln", [](Tensors&, json& f) { f["args"]["residual_bottom_to_top"] = false; }},
      {"alias", "mt_admin",
       [](Tensors&, json& f) { f["alias"]["decoder.layers.0.fc1.weight"] = "encoder.layers.0.fc1.weight"; }},
      {"beam_tokens", "beam_b2t", [](Tensors&, json& f) { f["runs"][3]["hyps"][2][1]["tokens"][0] = 9; }},
      {"beam_score", "beam_b2t", [](Tensors&, json& f) { f["runs"][0]["hyps"][0][0]["score"] = -0.4737; }},
      {"beam_penalty", "beam_b2t", [](Tensors&, json& f) { f["runs"][1]["lenpen"] = 0.9; }},
      {"beam_limit", "beam_b2t", [](Tensors&, json& f) { f["runs"][1]["max_len_b"] = 1; }},
  };
}

TEST(SpoiledGoldenTest, EverySpoiledCaseFails) {
  for (const Spoiling& spoiling : Spoilings()) {
    const SpoiledCase spoiled(spoiling.reference, spoiling.spoil);
    const Outcome outcome = CheckCase(spoiled.file());
    EXPECT_EQ(outcome.skipped_because, "") << spoiling.what;
    EXPECT_FALSE(outcome.passed()) << spoiling.what;
  }
}

TEST(SpoiledGoldenTest, AnUntouchedCopyPasses) {
  const SpoiledCase copy("mt_b2t_deep", [](Tensors&, json&) {});
  EXPECT_TRUE(CheckCase(copy.file()).passed());
}

// Where the padding stands changes nothing: the same case with its sources padded on the right.
TEST(GoldenTest, PaddingOnTheRightPasses) {
  for (const char* name : {"mt_dlcl_pre", "mt_admin"}) {
    const SpoiledCase padded(name, [](Tensors& tensors, json&) {
      const at::Tensor padding = tensors.at("in.src_tokens").eq(model::kPad).sum(1);
      for (auto& [key, tensor] : tensors) {
        const bool source = key == "in.src_tokens" || key.rfind("out.encoder.", 0) == 0;
        if (key.rfind("traj.", 0) == 0 || !source) continue;
        at::Tensor rolled = tensor.clone();
        for (int64_t b = 0; b < rolled.size(0); ++b)
          rolled[b].copy_(at::roll(tensor[b], {-padding[b].item<int64_t>()}, {0}));
        tensor = rolled;
      }
    });
    const Outcome outcome = CheckCase(padded.file());
    EXPECT_TRUE(outcome.passed()) << outcome.ToJson() << (outcome.failures.empty() ? "" : outcome.failures[0]);
  }
}

TEST(SpoiledGoldenTest, BrokenFilesFail) {
  const SpoiledCase copy("mt_b2t_deep", [](Tensors&, json&) {});
  const auto size = fs::file_size(copy.file());
  for (const auto length : {size - 1, size / 2, std::uintmax_t{100}, std::uintmax_t{4}, std::uintmax_t{0}}) {
    fs::resize_file(copy.file(), length);
    EXPECT_FALSE(CheckCase(copy.file()).passed()) << length;
  }
  const SpoiledCase no_facts("mt_b2t_deep", [](Tensors&, json&) {});
  std::ofstream(no_facts.facts()) << "{\"repo\": ";
  EXPECT_FALSE(CheckCase(no_facts.file()).passed());
  fs::remove(no_facts.facts());
  const Outcome outcome = CheckCase(no_facts.file());
  ASSERT_FALSE(outcome.passed());
  EXPECT_NE(outcome.failures[0].find("case.json is missing"), std::string::npos);
}

}  // namespace
}  // namespace strata::golden
