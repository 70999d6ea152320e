#include "model/diagnostics/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::model {
namespace {
TEST(DivergenceTest, Placeholder) {}
}  // namespace
}  // namespace strata::model
