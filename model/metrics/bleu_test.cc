#include "model/metrics/bleu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/metrics/text.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Tokenize13aTest, x) { EXPECT_EQ(Tokenize13a("a.b 1.5, x"), "a . b 1.5 , x"); }

}  // namespace
}  // namespace strata::model
