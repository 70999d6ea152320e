#include "model/diagnostics/layer_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

TEST(LayerVerdictsTest, HoldsEachLayerAgainstTheLast) {
  EXPECT_THAT(LayerVerdicts({0.02, 0.099, 0.101, 9.9, 10.1, 1}), ElementsAre(-1, -1, 0, 0, 1, 0));
  EXPECT_THAT(LayerVerdicts({}), IsEmpty());
}

TEST(LayerVerdictsTest, ZeroVanishesAndNotFiniteExplodes) {
  EXPECT_THAT(LayerVerdicts({0, kNan, kInfinity, 1}), ElementsAre(-1, 1, 1, 0));
  EXPECT_THAT(LayerVerdicts({1, 0}), ElementsAre(1, -1));
  EXPECT_THAT(LayerVerdicts({1, kNan}), ElementsAre(0, 1));
}

TEST(GradientSpreadTest, IsTheLargestDistanceInDecades) {
  EXPECT_NEAR(GradientSpread({0.01, 1000, 1}), 3, 1e-12);
  EXPECT_NEAR(GradientSpread({0.001, 10, 1}), 3, 1e-12);
  EXPECT_EQ(GradientSpread({5, 5}), 0);
  EXPECT_EQ(GradientSpread({0, 1}), kInfinity);
  EXPECT_EQ(GradientSpread({1, kNan}), kInfinity);
}

}  // namespace
}  // namespace strata::model
