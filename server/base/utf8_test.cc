#include "server/base/utf8.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace strata::base {
namespace {

TEST(Utf8Test, TellsCharactersFromWhatIsNone) {
  for (const auto& [text, length] : std::vector<std::pair<std::string, int>>{{"a", 1},
                                                                             {"\xC3\xA4", 2},
                                                                             {"\xE2\x82\xAC", 3},
                                                                             {"\xF0\x9F\x98\x80", 4},
                                                                             {"\xC3", -1},
                                                                             {"\xE2\x82", -1},
                                                                             {"\x80", 0},
                                                                             {"\xC0\x80", 0},
                                                                             {"\xE0\x80\x80", 0},
                                                                             {"\xED\xA0\x80", 0},
                                                                             {"\xF4\x90\x80\x80", 0},
                                                                             {"\xE2z", 0},
                                                                             {"\xFF", 0}}) {
    EXPECT_EQ(Utf8Length(text, 0), length) << text;
  }
}

}  // namespace
}  // namespace strata::base
