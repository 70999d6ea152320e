#include "client/top/screen.h"

#include "client/top/plot.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::client::top {
namespace {

TEST(ScreenTest, WritesWhatFitsAndNothingElsewhere) {
  Screen screen(2, 6);
  EXPECT_EQ(screen.Put(0, 1, "abc"), 4u);
  EXPECT_EQ(screen.Put(1, 4, "abc"), 6u);
  screen.Put(2, 0, "no");
  screen.Put(0, 9, "no");
  EXPECT_EQ(screen.Text(), " abc\n    ab\n");
}

TEST(ScreenTest, FitEndsWithAnEllipsis) {
  Screen screen(1, 8);
  screen.PutFit(0, 0, "abcdefghij", Style::kText, 6, Signs::Unicode(true));
  EXPECT_EQ(screen.Text(), "abcde…\n");
  screen.PutFit(0, 0, "abcdef", Style::kText, 6, Signs::Ascii());
  EXPECT_EQ(screen.Text(), "abcdef\n");
}

TEST(ScreenTest, WideCharactersTakeTwoCellsAndAreNotHalved) {
  Screen screen(1, 5);
  EXPECT_EQ(screen.Put(0, 0, "日本語"), 4u);
  EXPECT_EQ(screen.Text(), "日本\n");
  EXPECT_EQ(screen.at(0, 1).glyph, char32_t{0});
  EXPECT_EQ(WidthOf("e\xcc\x81"), 1u);  // a combining accent
}

TEST(ScreenTest, ControlCharactersAndBrokenTextDoNotReachTheTerminal) {
  Screen screen(1, 20);
  screen.Put(0, 0, "a\x1b[2Jb\tc\xff\xe2\x82z\xc2\x9b");
  EXPECT_EQ(screen.Text(), "a [2Jb c??z\n");
}

TEST(ScreenTest, Utf8GoesThereAndBack) {
  const std::string text = "aé€𝄞";
  std::string back;
  for (size_t at = 0; at < text.size();) AppendUtf8(NextCharacter(text, &at), &back);
  EXPECT_EQ(back, text);
}

TEST(CurveTest, RunsFromTheFirstToTheLastValue) {
  Measured::Curve line;
  for (int i = 0; i <= 100; ++i) {
    line.updates.push_back(i);
    line.values.push_back(10 - i * 0.05);
  }
  line.values[50] = NAN;
  Screen screen(7, 30);
  DrawCurve(line, {}, Signs::Ascii(), {0, 0, 7, 30}, screen);
  EXPECT_EQ(screen.Text(),
            " 10.000|':..\n"
            "       |   '':..\n"
            "  8.000|       '':..\n"
            "       |           '':..\n"
            "       |               '':..\n"
            "  5.000|                   '':\n"
            "        0           update 100\n");
}

TEST(CurveTest, ConstantAndEmptyCurvesAreNoTrouble) {
  Screen screen(6, 30);
  DrawCurve({{5}, {1.0}}, {}, Signs::Ascii(), {0, 0, 6, 30}, screen);
  EXPECT_THAT(screen.Text(), testing::HasSubstr("1.000"));
  Screen empty(6, 30);
  DrawCurve({{1, 2}, {NAN, INFINITY}}, {}, Signs::Ascii(), {0, 0, 6, 30}, empty);
  EXPECT_EQ(empty, Screen(6, 30));
}

TEST(HeatTest, FirstLayerStandsLowestAndOddValuesHaveSigns) {
  Measured::Rows rows;
  rows.updates = {0, 10};
  rows.values = {{1e-4, 1, 0}, {1e-2, 100, NAN}};
  const LogRange range = RangeOf({&rows});
  EXPECT_DOUBLE_EQ(range.low, -4);
  EXPECT_DOUBLE_EQ(range.high, 2);
  Screen screen(5, 20);
  DrawHeat("decoder", rows, range, Signs::Ascii(), {0, 0, 5, 20}, screen);
  EXPECT_EQ(screen.Text(),
            "decoder\n"
            "  3 0000!!!!\n"
            "  2 ####@@@@\n"
            "  1 ....====\n"
            "    0     10\n");
}

TEST(HeatTest, ManyLayersAndUpdatesShareCells) {
  Measured::Rows rows;
  for (int i = 0; i < 500; ++i) {
    rows.updates.push_back(i * 100);
    rows.values.emplace_back(100, std::pow(10, i / 100.0));
  }
  Screen screen(8, 24);
  DrawHeat("encoder", rows, RangeOf({&rows}), Signs::Ascii(), {0, 0, 8, 24}, screen);
  EXPECT_THAT(screen.Text(), testing::HasSubstr("100 ..::---==++**###%%@@"));
  EXPECT_THAT(screen.Text(), testing::HasSubstr("    0              49900\n"));
}

}  // namespace
}  // namespace strata::client::top
