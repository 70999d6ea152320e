#include "server/core/grid.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Axis kScheme{"scheme", {"post_ln", "b2t"}};
const Axis kSeed{"seed", {"1", "2"}};

TEST(GridTest, LastAxisVariesFastest) {
  EXPECT_THAT(ExpandGrid({.axes = {kScheme, kSeed}}).value(),
              ElementsAre(Cell{{"scheme", "post_ln"}, {"seed", "1"}}, Cell{{"scheme", "post_ln"}, {"seed", "2"}},
                          Cell{{"scheme", "b2t"}, {"seed", "1"}}, Cell{{"scheme", "b2t"}, {"seed", "2"}}));
}

TEST(GridTest, NoAxisIsOneCellUnlessCellsAreIncluded) {
  EXPECT_THAT(ExpandGrid({}).value(), ElementsAre(Cell{}));
  EXPECT_THAT(ExpandGrid({.include = {{{"seed", "7"}}}}).value(), ElementsAre(Cell{{"seed", "7"}}));
}

TEST(GridTest, ExcludesThenIncludesThenOverrides) {
  const auto cells = ExpandGrid({.axes = {kScheme, kSeed},
                                 .include = {{{"scheme", "dlcl"}}},
                                 .exclude = {{{"scheme", "post_ln"}, {"seed", "2"}}},
                                 .overrides = {{{{"scheme", "b2t"}}, {{"seed", "9"}, {"warmup", "1"}}},
                                               {{{"seed", "9"}}, {{"dropout", "0"}}},
                                               {{{"ranks", "1"}, {"scheme", "dlcl"}}, {{"ranks", "2"}}}},
                                 .base = {{"ranks", "1"}}});
  EXPECT_THAT(cells.status().message(), HasSubstr("cells 2 and 3 of the grid are the same"));
  EXPECT_THAT(ExpandGrid({.axes = {kScheme, kSeed},
                          .include = {{{"scheme", "dlcl"}}},
                          .exclude = {{{"scheme", "post_ln"}}, {{"seed", "2"}}},
                          .overrides = {{{{"scheme", "b2t"}}, {{"seed", "9"}, {"warmup", "1"}}},
                                        {{{"seed", "9"}}, {{"dropout", "0"}}},
                                        {{{"ranks", "1"}, {"scheme", "dlcl"}}, {{"ranks", "2"}}}},
                          .base = {{"ranks", "1"}}})
                  .value(),
              ElementsAre(Cell{{"scheme", "b2t"}, {"seed", "9"}, {"warmup", "1"}, {"dropout", "0"}},
                          Cell{{"scheme", "dlcl"}, {"ranks", "2"}}));
}

TEST(GridTest, RefusesNamingFieldAndValue) {
  for (const auto& [grid, why] : std::vector<std::pair<GridSpec, std::string>>{
           {{.axes = {kSeed, kSeed}}, "grid.seed stands twice"},
           {{.axes = {{"depth", {}}}}, "grid.depth has no values"},
           {{.axes = {{"seed", {"1", "1"}}}}, "grid.seed: 1 stands twice"},
           {{.axes = {kSeed}, .include = {{{"seed", "2"}}}}, "cells 2 and 3"},
           {{.axes = {kSeed}, .include = {{{"dim", "2"}, {"dim", "4"}}}}, "include 1: dim is set twice"},
           {{.axes = {kSeed}, .exclude = {{{"seed", "3"}}}}, "exclude 1 (seed: 3) takes no cell out"},
           {{.axes = {kSeed}, .exclude = {{{"dim", "3"}}}}, "exclude 1 (dim: 3)"},
           {{.axes = {kSeed}, .exclude = {{}}}, "takes every cell out"},
           {{.axes = {kSeed}, .overrides = {{{{"scheme", "b2t"}}, {{"dim", "4"}}}}},
            "overrides 1.when (scheme: b2t) fits no cell"},
           {{.axes = {kSeed}, .overrides = {{{}, {}}}}, "overrides 1.set is empty"},
           {{.axes = {kSeed}, .overrides = {{{}, {{"seed", "4"}}}}}, "cells 1 and 2"}}) {
    const auto cells = ExpandGrid(grid);
    EXPECT_EQ(cells.status().code(), absl::StatusCode::kInvalidArgument) << why;
    EXPECT_THAT(cells.status().message(), HasSubstr(why));
  }
}

Axis Many(const std::string& field, int count) {
  Axis axis{.field = field};
  for (int i = 0; i < count; ++i) axis.values.push_back(std::to_string(i));
  return axis;
}

TEST(GridTest, RefusesTooManyWithTheCount) {
  EXPECT_EQ(ExpandGrid({.axes = {Many("a", 100), Many("b", 100)}}).value().size(), 10'000u);
  EXPECT_THAT(ExpandGrid({.axes = {Many("a", 100), Many("b", 101)}}).status().message(), HasSubstr("has 10100 trials"));
  EXPECT_EQ(ExpandGrid({.axes = {Many("a", 100), Many("b", 101)}, .exclude = {{{"b", "7"}}}}).value().size(), 10'000u);
  EXPECT_THAT(ExpandGrid({.axes = {Many("a", 3)}}, 2).status().message(),
              HasSubstr("has 3 trials; an experiment may have 2"));
}

TEST(GridTest, CountsWithoutOverflow) {
  GridSpec grid;
  for (int i = 0; i < 30; ++i) grid.axes.push_back(Many("axis" + std::to_string(i), 1000));
  const absl::Status status = ExpandGrid(grid).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("more than 9223372036854775807"));
}

}  // namespace
}  // namespace strata::core
