#include "client/table.h"

#include "gtest/gtest.h"

namespace strata::client {
namespace {

TEST(TableTest, AlignsColumnsByWhatATerminalShows) {
  Table table({"NAME", ">COUNT", "NOTE"});
  table.Add({"b2t", "7", "lässt"});
  table.Add({"post_ln", "1,200", "two\nlines"});
  table.Add({"x"});
  EXPECT_EQ(table.Text(),
            "NAME     COUNT  NOTE\n"
            "b2t          7  lässt\n"
            "post_ln  1,200  two lines\n"
            "x\n");
}

TEST(TableTest, FitsTextIntoAWidth) {
  EXPECT_EQ(Fit("short", 5), "short");
  EXPECT_EQ(Fit("longer", 5), "long…");
  EXPECT_EQ(Fit("äöüäöü", 3), "äö…");
  EXPECT_EQ(Fit("x", 0), "");
}

}  // namespace
}  // namespace strata::client
