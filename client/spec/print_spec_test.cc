// Every field of a spec, from YAML through the proto and its JSON to what the trainer understood.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/spec/read_spec.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/registry.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

// A scheme that has options, and one of them; any scheme and none where no scheme has.
std::pair<std::string, std::string> SchemeWithOptions() {
  const auto registry = nlohmann::json::parse(base::BuiltInRegistry(), nullptr, false);
  if (!registry.is_object()) return {"b2t", ""};
  for (const auto& scheme : registry["schemes"]) {
    for (const auto& option : scheme.value("options", nlohmann::json::array())) {
      const std::string value = option.contains("choices")
                                    ? option["choices"].back().get<std::string>()
                                    : absl::StrCat(std::clamp(0.5, option.value("min", 0.0), option.value("max", 1.0)));
      return {scheme["name"], absl::StrCat(option["name"].get<std::string>(), "=", value)};
    }
  }
  return {"b2t", ""};
}

// A value that is not the field's default, and within its bounds.
std::string Unusual(const base::Field& field) {
  if (field.path == "model.scheme" || field.path == "model.scheme_options") {
    const auto [scheme, options] = SchemeWithOptions();
    return field.path == "model.scheme" ? scheme : options;
  }
  static const std::map<std::string, std::string> kBound = {// what fields ask of each other, or of the registry
                                                            {"task.kind", "translation"},
                                                            {"model.depth", "5L-4L"},
                                                            {"model.dim", "96"},
                                                            {"model.heads", "6"},
                                                            {"evaluate[0].metric", "bleu"},
                                                            {"model.adaptive_cutoffs", "20,60"},
                                                            {"diagnostics.location_layers", "1,last"},
                                                            {"evaluate[0].length_penalties", "test=0.5"},
                                                            {"train.warmup_init_learning_rate", "0.125"},
                                                            {"train.seed", "9007199254740991"}};
  if (const auto bound = kBound.find(field.path); bound != kBound.end()) return bound->second;
  const v1::FieldRule& rule = *field.rule;
  switch (field.descriptor->cpp_type()) {
    case google::protobuf::FieldDescriptor::CPPTYPE_BOOL:
      return rule.default_value() == "true" ? "false" : "true";
    case google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE:
      return "0.375";
    case google::protobuf::FieldDescriptor::CPPTYPE_STRING:
      for (const std::string& choice : rule.choices()) {
        if (choice != rule.default_value()) return choice;
      }
      return absl::StrCat("some-", field.descriptor->name());
    default:
      return absl::StrCat(20 + field.descriptor->number());  // another one for each field of a section
  }
}

std::map<std::string, std::string> TrainerSays(const std::string& trainer, const std::string& spec_file) {
  std::map<std::string, std::string> said;
  FILE* pipe = popen((trainer + " --print-spec " + spec_file).c_str(), "r");
  char buffer[4096];
  while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) {
    const std::string line(buffer);
    const size_t equals = line.find('=');
    if (equals != std::string::npos)
      said[line.substr(0, equals)] = line.substr(equals + 1, line.find_last_not_of('\n') - equals);
  }
  EXPECT_TRUE(pipe != nullptr && pclose(pipe) == 0);
  return said;
}

TEST(PrintSpecTest, EveryFieldReachesTheTrainer) {
  const std::string trainer = STRATA_BINARY_DIR "/worker/strata-trainer";
  if (access(trainer.c_str(), X_OK) != 0) GTEST_SKIP() << "this build has no strata-trainer";
  std::string yaml = "experiment: walk\n", section;
  for (const base::Field& field : base::AllFields()) {
    if (field.section != section) absl::StrAppend(&yaml, field.section, ":\n");
    const bool first = field.section != section;
    section = field.section;
    absl::StrAppend(&yaml,
                    field.item < 0 ? "  "
                    : first        ? "  - "
                                   : "    ",
                    field.descriptor->name(), ": ", Unusual(field).empty() ? "\"\"" : Unusual(field), "\n");
  }
  const auto experiment = ReadSpec(yaml, "walk.yaml", {}, "");
  ASSERT_TRUE(experiment.ok()) << experiment.status() << "\n" << yaml;
  const auto json = base::ToCanonicalJson(experiment->base());
  ASSERT_TRUE(json.ok()) << json.status();
  const std::string file = testing::TempDir() + "/strata_print_spec.json";
  std::ofstream(file) << *json;
  const auto said = TrainerSays(trainer, file);
  EXPECT_EQ(said.size(), base::AllFields().size());
  for (const base::Field& field : base::AllFields()) {
    ASSERT_TRUE(said.count(field.path) > 0) << field.path;
    const std::string& text = said.at(field.path);
    if (field.descriptor->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE) {
      EXPECT_EQ(std::stod(text), std::stod(Unusual(field))) << field.path;
    } else {
      EXPECT_EQ(text, Unusual(field)) << field.path;
    }
  }
}

}  // namespace
}  // namespace strata::client
