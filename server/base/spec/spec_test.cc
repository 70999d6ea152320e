#include "server/base/spec/spec.h"

#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace strata::base {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kRegistry[] = R"({
  "schemes": [{"name": "post_ln", "tasks": ["translation", "language_model"]},
              {"name": "b2t", "tasks": ["translation"],
               "options": [{"name": "alpha", "summary": "of the branch", "default": "auto", "min": 0, "max": 10},
                           {"name": "inner", "summary": "which", "default": "pre", "choices": ["pre", "post"]}]}],
  "tasks": [{"name": "translation", "metrics": ["bleu"], "depth": "6L-6L", "share_embeddings": ["all", "decoder", "none"]},
            {"name": "language_model", "metrics": [], "depth": "6L", "share_embeddings": ["decoder", "none"]}],
  "metrics": [{"name": "bleu", "tasks": ["translation"]}]})";

v1::TrialSpec Complete() {
  v1::TrialSpec spec;
  spec.add_evaluate()->set_metric("bleu");
  for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{{"task.kind", "translation"},
                                                                                   {"task.dataset", "debian-en-de"},
                                                                                   {"scheme", "b2t"},
                                                                                   {"depth", "3L-3L"},
                                                                                   {"train.updates", "600"}}) {
    EXPECT_TRUE(SetField(spec, path, text).ok()) << path;
  }
  EXPECT_TRUE(ApplyDefaults(spec).ok());
  return spec;
}

TEST(FieldTest, EveryDefaultAndExampleObeysItsRule) {
  for (const Field& field : AllFields()) {
    v1::TrialSpec spec;
    spec.add_evaluate();
    EXPECT_TRUE(!field.rule->default_value().empty() || !field.rule->example().empty())
        << field.path << " has neither default nor example";
    for (const std::string& text : {field.rule->default_value(), field.rule->example()}) {
      if (text.empty()) continue;
      EXPECT_TRUE(SetField(spec, field.path, text).ok()) << field.path << " " << text;
    }
    if (field.rule->has_default_value()) {
      EXPECT_TRUE(SetField(spec, field.path, field.rule->default_value()).ok()) << field.path;
    }
    EXPECT_FALSE(CommentOf(field.descriptor->full_name()).empty()) << field.path;
    EXPECT_TRUE(field.descriptor->has_presence()) << field.path;
  }
}

TEST(FieldTest, FindsByPathAndShorthand) {
  for (const auto& [path, canonical] :
       std::vector<std::pair<std::string, std::string>>{{"scheme", "model.scheme"},
                                                        {"depth", "model.depth"},
                                                        {"seed", "train.seed"},
                                                        {"train.learning_rate", "train.learning_rate"},
                                                        {"evaluate[1].beam", "evaluate[1].beam"}}) {
    const auto field = FindField(path);
    ASSERT_TRUE(field.ok()) << path;
    EXPECT_EQ(field->path, canonical);
  }
}

TEST(FieldTest, SuggestsTheNearestKey) {
  for (const auto& [path, hint] :
       std::vector<std::pair<std::string, std::string>>{{"train.learning_rat", "Do you mean train.learning_rate?"},
                                                        {"trian.updates", "Do you mean train.updates?"},
                                                        {"shceme", "Do you mean scheme?"},
                                                        {"warmup", "Do you mean train.warmup?"},
                                                        {"evaluate.beam", "evaluate[0].beam"},
                                                        {"evaluate[99].beam", "from 0 to 15"},
                                                        {"evaluate[0]beam", "Do you mean evaluate[0].beam?"},
                                                        {"", "strata spec explain"},
                                                        {"model", "no field"},
                                                        {"train[0].updates", "Do you mean train.updates?"},
                                                        {"something.else.entirely", "strata spec explain"}}) {
    EXPECT_THAT(std::string(FindField(path).status().message()), HasSubstr(hint)) << path;
  }
}

TEST(SetFieldTest, RefusesWhatTheFieldDoesNotTake) {
  for (const auto& [path, text, why] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"train.updates", "0", "train.updates: \"0\" is not a whole number from 1 to 100000000."},
           {"train.updates", "1.5", "a whole number"},
           {"train.updates", "6e2", "a whole number"},
           {"train.updates", "", "a whole number"},
           {"train.updates", "99999999999999999999", "a whole number"},
           {"train.learning_rate", "-1", "a number above 0 to 1000"},
           {"train.learning_rate", "0", "a number above 0"},
           {"train.learning_rate", "nan", "a number"},
           {"train.learning_rate", "1e-3x", "a number"},
           {"model.dropout", "1", "from 0 to below 1"},
           {"model.rescale_init", "yes", "true or false"},
           {"model.share_embeddings", "some", "one of all, decoder, none"},
           {"task.dataset", "", "a text"},
           {"evaluate[0].beam", "4", "asks for no score"}}) {
    v1::TrialSpec spec;
    const absl::Status status = SetField(spec, path, text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path << "=" << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << path << "=" << text;
  }
}

TEST(SetFieldTest, BringsTextsOfSeveralValuesToOneForm) {
  for (const auto& [path, text, canonical] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"model.scheme_options", "beta=0.30, alpha = 1e-1", "alpha=0.1,beta=0.3"},
           {"model.scheme_options", "inner=pre", "inner=pre"},
           {"model.scheme_options", "", ""},
           {"model.adaptive_cutoffs", " 020 , 60", "20,60"},
           {"diagnostics.location_layers", "1,last, 9", "1,last,9"},
           {"evaluate[0].split", "newstest2014, newstest2013", "newstest2014,newstest2013"},
           {"evaluate[0].length_penalties", "test=0.60", "test=0.6"}}) {
    v1::TrialSpec spec;
    spec.add_evaluate();
    ASSERT_TRUE(SetField(spec, path, text).ok()) << path << "=" << text;
    EXPECT_EQ(*GetField(spec, path), canonical);
  }
  for (const auto& [path, text, why] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"model.scheme_options", "alpha", "no NAME=VALUE"},
           {"model.scheme_options", "alpha=1,alpha=2", "names alpha twice"},
           {"model.scheme_options", "=1", "no NAME=VALUE"},
           {"model.adaptive_cutoffs", "20,x", "\"x\", which is no whole number"},
           {"model.adaptive_cutoffs", "20,", "no whole number"},
           {"diagnostics.location_layers", "0", "no whole number from 1"},
           {"evaluate[0].split", "test,test", "names test twice"},
           {"evaluate[0].split", "a b", "is no name"}}) {
    v1::TrialSpec spec;
    spec.add_evaluate();
    EXPECT_THAT(std::string(SetField(spec, path, text).message()), HasSubstr(why)) << path << "=" << text;
  }
}

TEST(SetFieldTest, ReadsBackWhatItSet) {
  v1::TrialSpec spec;
  spec.add_evaluate();
  for (const auto& [path, text, read] :
       std::vector<std::tuple<std::string, std::string, std::string>>{{"train.learning_rate", "1e-3", "0.001"},
                                                                      {"train.adam_epsilon", "1e-8", "1e-08"},
                                                                      {"seed", "9007199254740991", "9007199254740991"},
                                                                      {"train.clip_norm", "-0.0", "0"},
                                                                      {"model.rescale_init", "true", "true"},
                                                                      {"depth", "18L-18L", "18L-18L"},
                                                                      {"evaluate[0].length_penalty", "-1", "-1"}}) {
    ASSERT_TRUE(SetField(spec, path, text).ok()) << path;
    EXPECT_EQ(*GetField(spec, path), read);
  }
}

TEST(DefaultsTest, KeepAGivenZeroAndFillTheRest) {
  v1::TrialSpec spec = Complete();
  spec.mutable_model()->clear_heads();
  spec.mutable_model()->set_dropout(0);
  ASSERT_TRUE(ApplyDefaults(spec).ok());
  EXPECT_EQ(spec.model().dropout(), 0);
  EXPECT_EQ(spec.model().heads(), 8);
  EXPECT_EQ(spec.evaluate(0).length_penalty(), 1);
  EXPECT_TRUE(spec.has_diagnostics());
}

TEST(DefaultsTest, NameAllThatIsMissing) {
  v1::TrialSpec spec;
  spec.add_evaluate();
  const std::string message(ApplyDefaults(spec).message());
  for (const char* path : {"task.kind (for example translation)", "task.dataset", "model.scheme", "model.depth",
                           "train.updates", "evaluate[0].metric"}) {
    EXPECT_THAT(message, HasSubstr(path));
  }
}

TEST(JsonTest, WritesEveryFieldAndReadsItBack) {
  const v1::TrialSpec spec = Complete();
  const auto json = ToCanonicalJson(spec);
  ASSERT_TRUE(json.ok()) << json.status();
  const auto parsed = nlohmann::json::parse(*json);
  for (const Field& field : AllFields()) {
    const auto& section = parsed.at(field.section);
    EXPECT_TRUE((field.item < 0 ? section : section.at(0)).contains(field.descriptor->name())) << field.path;
  }
  EXPECT_EQ(parsed["train"]["seed"], "1");  // 64 bits travel as text
  EXPECT_EQ(parsed["model"]["rescale_init"], false);
  EXPECT_EQ(FromJson(*json)->SerializeAsString(), spec.SerializeAsString());
}

TEST(JsonTest, RefusesASpecWithGaps) {
  v1::TrialSpec spec = Complete();
  spec.mutable_train()->clear_warmup();
  EXPECT_THAT(std::string(ToCanonicalJson(spec).status().message()), HasSubstr("train.warmup is not set"));
  EXPECT_FALSE(FromJson(R"({"train": {"wramup": 3}})").ok());
}

TEST(DepthTest, ReadsBothForms) {
  EXPECT_EQ(ParseDepth("18L-6L")->encoder, 18);
  EXPECT_EQ(ParseDepth("18L-6L")->decoder, 6);
  EXPECT_EQ(ParseDepth("16L")->encoder, 0);
  EXPECT_EQ(ParseDepth("16L")->decoder, 16);
}

TEST(DepthTest, RefusesWhatIsNoDepth) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{{"", "18L-18L"},
                                                                                  {"18L18L", "\"18L18L\" is no depth"},
                                                                                  {"0L-6L", "at least one layer"},
                                                                                  {"0L", "at least one layer"},
                                                                                  {"6L-", "18L-18L"},
                                                                                  {"6-6", "18L-18L"},
                                                                                  {"-6L", "18L-18L"},
                                                                                  {"6l-6l", "18L-18L"},
                                                                                  {"6L-6L-6L", "18L-18L"},
                                                                                  {" 6L", "18L-18L"},
                                                                                  {"99999999999L", "too deep"}}) {
    EXPECT_THAT(std::string(ParseDepth(text).status().message()), HasSubstr(why)) << text;
  }
}

TEST(ValidateTest, AcceptsACompleteSpec) {
  EXPECT_TRUE(ValidateFields(Complete(), kRegistry).ok()) << ValidateFields(Complete(), kRegistry);
  EXPECT_TRUE(ValidateFields(Complete(), "").ok());
}

TEST(ValidateTest, NamesFieldValueAndRemedy) {
  for (const auto& [settings, why] :
       std::vector<std::pair<std::vector<std::pair<std::string, std::string>>, std::string>>{
           {{{"scheme", "post-ln"}},
            "model.scheme: \"post-ln\" is none of the trainer's schemes. Do you mean post_ln?"},
           {{{"scheme", "zzzzzz"}}, "There are post_ln, b2t."},
           {{{"task.kind", "translate"}}, "Do you mean translation?"},
           {{{"evaluate[0].metric", "blue"}}, "evaluate[0].metric: \"blue\""},
           {{{"depth", "16L"}}, "needs one"},
           {{{"depth", "x"}}, "is no depth"},
           {{{"model.heads", "3"}}, "model.dim is 512 but model.heads is 3"},
           {{{"train.warmup_init_learning_rate", "1"}}, "Lower the one or raise the other"},
           {{{"task.kind", "language_model"}}, "b2t cannot be used with task language_model"},
           {{{"task.kind", "language_model"}, {"scheme", "post_ln"}}, "model.share_embeddings: all"},
           {{{"task.kind", "language_model"}, {"scheme", "post_ln"}, {"model.share_embeddings", "none"}},
            "does not score"},
           {{{"model.scheme_options", "alfa=1"}}, "\"alfa\" is no option of the scheme b2t. Do you mean alpha?"},
           {{{"model.scheme_options", "alpha=11"}},
            "alpha is \"11\", but the scheme b2t takes a number from 0 to 10, or auto."},
           {{{"model.scheme_options", "inner=in"}}, "takes one of pre, post."},
           {{{"scheme", "post_ln"}, {"model.scheme_options", "alpha=1"}},
            "It has none: leave model.scheme_options out."},
           {{{"model.adaptive_cutoffs", "20"}}, "model.adaptive_cutoffs is 20, but it belongs to language_model"},
           {{{"train.time_masks", "2"}}, "train.time_masks is 2, but it belongs to speech"},
           {{{"diagnostics.location_layers", "1,4"}},
            "there is no layer 4 in the depth 3L-3L. Write layers from 1 to 3"},
           {{{"evaluate[0].checkpoint", "average"}}, "train.keep_epoch_checkpoints is 0"},
           {{{"evaluate[0].checkpoint", "average"}, {"train.keep_epoch_checkpoints", "5"}},
            "evaluate[0].average_last is 10, but train.keep_epoch_checkpoints is 5"},
           {{{"evaluate[0].n_best", "5"}}, "evaluate[0].n_best is 5, but evaluate[0].beam is 4"},
           {{{"evaluate[0].length_penalties", "valid=1"}}, "names the split valid, but evaluate[0].split is test"},
           {{{"evaluate[0].length_penalties", "test=11"}}, "not a number from -10 to 10"}}) {
    v1::TrialSpec spec = Complete();
    for (const auto& [path, text] : settings) ASSERT_TRUE(SetField(spec, path, text).ok()) << path;
    EXPECT_THAT(std::string(ValidateFields(spec, kRegistry).message()), HasSubstr(why));
  }
}

TEST(ValidateTest, HoldsALanguageModelToItsBands) {
  for (const auto& [settings, why] :
       std::vector<std::pair<std::vector<std::pair<std::string, std::string>>, std::string>>{
           {{{"model.adaptive_cutoffs", "60,20"}}, "does not ascend at 20"},
           {{{"model.adaptive_cutoffs", "20,60"}, {"train.label_smoothing", "0.1"}}, "Set train.label_smoothing to 0."},
           {{{"train.block_tokens", "64"}, {"evaluate[0].context_tokens", "64"}},
            "evaluate[0].context_tokens is 64, but the window has 64 tokens (train.block_tokens)"},
           {{{"evaluate[0].context_tokens", "9"}, {"evaluate[0].window_tokens", "8"}}, "(evaluate[0].window_tokens)"},
           {{{"model.adaptive_cutoffs", "20,60"}, {"train.label_smoothing", "0"}}, ""}}) {
    v1::TrialSpec spec = Complete();
    for (const auto& [path, text] : settings) ASSERT_TRUE(SetField(spec, path, text).ok()) << path;
    for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{
             {"task.kind", "language_model"}, {"scheme", "post_ln"}, {"depth", "4L"}}) {
      ASSERT_TRUE(SetField(spec, path, text).ok()) << path;
    }
    const absl::Status status = ValidateFields(spec, "");
    EXPECT_EQ(status.ok(), why.empty()) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }
}

TEST(ValidateTest, HoldsBoundsOfValuesThatCameAsProto) {
  v1::TrialSpec spec = Complete();
  spec.mutable_train()->set_learning_rate(-1);
  EXPECT_THAT(std::string(ValidateFields(spec, "").message()), HasSubstr("train.learning_rate: \"-1\""));
  spec = Complete();
  for (int i = 0; i < kMaxEvaluations; ++i) *spec.add_evaluate() = spec.evaluate(0);
  EXPECT_THAT(std::string(ValidateFields(spec, "").message()), HasSubstr("at most 16"));
}

TEST(NearestTest, StaysSilentWhereNothingIsNear) {
  EXPECT_EQ(Nearest("Post-LN", {"post_ln", "pre_ln"}), "post_ln");
  EXPECT_EQ(Nearest("xyz", {"post_ln", "pre_ln"}), "");
  EXPECT_EQ(Nearest("", {"a", "b"}), "");
}

TEST(CommentTest, ComesFromTheProto) {
  EXPECT_EQ(CommentOf("strata.v1.TrainSpec.updates"), "Updates of the weights.");
  EXPECT_THAT(CommentOf("strata.v1.TrainSpec"), HasSubstr("How the model is trained."));
  EXPECT_EQ(CommentOf("strata.v1.Nothing"), "");
}

TEST(RegistryTest, ListsNames) {
  EXPECT_THAT(RegisteredNames(kRegistry, "schemes"), ElementsAre("post_ln", "b2t"));
  EXPECT_THAT(RegisteredNames("", "schemes"), IsEmpty());
}

}  // namespace
}  // namespace strata::base
