#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace strata::model {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(DepthTest, ReadsTwoStacksAndOne) {
  EXPECT_EQ(ParseDepth("18L-3L").encoder, 18);
  EXPECT_EQ(ParseDepth("18L-3L").decoder, 3);
  EXPECT_EQ(ParseDepth("16L").encoder, 0);
  EXPECT_EQ(ParseDepth("16L").decoder, 16);
}

TEST(DepthTest, RefusesWhatIsNoDepth) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "empty"},
           {"0L-6L", "encoder needs at least one layer"},
           {"6L-0L", "decoder needs at least one layer"},
           {"0L", "at least one layer"},
           {"6L-", "decoder is missing"},
           {"-6L", "encoder is missing"},
           {"6-6", "write 6L-6L"},
           {"18L18L", "\"18L18L\" is no depth"},
           {"6L--6L", "no number"},
           {"6L-6L-6L", "stands where one L belongs"},
           {"6l-6l", "stands where one L belongs"},
           {"six", "no number"},
           {" 6L-6L", "no number"},
           {"99999999999999999999L", "too many"},
           {"20000L", "more than 10000"}}) {
    EXPECT_THAT(Refusal([&] { ParseDepth(text); }), HasSubstr(why)) << text;
    EXPECT_THAT(Refusal([&] { ParseDepth(text); }), HasSubstr("18L-18L")) << text;
  }
}

TEST(ModelConfigTest, RefusesWhatCannotBeBuilt) {
  using Change = std::function<void(ModelConfig&)>;
  for (const auto& [field, change] : std::vector<std::pair<std::string, Change>>{
           {"model.dim is 510", [](ModelConfig& c) { c.dim = 510; }},
           {"model.dim is 9", [](ModelConfig& c) { c.dim = c.heads = 9; }},
           {"model.heads is 0", [](ModelConfig& c) { c.heads = 0; }},
           {"model.ffn_dim is -1", [](ModelConfig& c) { c.ffn_dim = -1; }},
           {"model.vocabulary is 4", [](ModelConfig& c) { c.vocabulary = 4; }},
           {"model.decoder_layers is 0", [](ModelConfig& c) { c.decoder_layers = 0; }},
           {"model.dropout is -0.1", [](ModelConfig& c) { c.dropout = -0.1; }},
           {"model.attention_dropout is 1.0", [](ModelConfig& c) { c.attention_dropout = 1; }},
           {"model.share_embeddings is \"some\"", [](ModelConfig& c) { c.share_embeddings = "some"; }}}) {
    ModelConfig config;
    config.vocabulary = 100;
    EXPECT_NO_THROW(Validate(config));
    change(config);
    EXPECT_THAT(Refusal([&] { Validate(config); }), HasSubstr(field));
  }
}

}  // namespace
}  // namespace strata::model
