#include "worker/data/books.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "model/data/shard.h"

namespace strata::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Number(uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xff);
  return bytes;
}

// As R serialises them: flags of a string say how it is encoded, too.
std::string Serialised(const std::vector<std::string>& strings, uint32_t flags = 16) {
  std::string value = "X\n" + Number(3) + Number(0x40201) + Number(0x30500) + Number(5) + "UTF-8" + Number(flags) +
                      Number(strings.size());
  for (const std::string& text : strings) value += Number(0x40009) + Number(text.size()) + text;
  return value;
}

std::string Stored(const std::string& value) {
  uLongf length = ::compressBound(value.size());
  std::string packed(length, '\0');
  ::compress(reinterpret_cast<Bytef*>(packed.data()), &length, reinterpret_cast<const Bytef*>(value.data()),
             value.size());
  return Number(value.size()) + packed.substr(0, length);
}

TEST(StringVectorsOfRdbTest, ReadsOneVectorAfterAnother) {
  std::string with_na = Serialised({"a", ""});
  with_na.replace(with_na.size() - 4, 4, Number(UINT32_MAX));
  EXPECT_THAT(StringVectorsOfRdb(Stored(Serialised({"Dogs", "", "wölfe"})) + Stored(with_na), "x.rdb"),
              ElementsAre(ElementsAre("Dogs", "", "wölfe"), ElementsAre("a", "")));
  EXPECT_THAT(StringVectorsOfRdb("", "x.rdb"), IsEmpty());
}

TEST(StringVectorsOfRdbTest, RefusesWhatIsCutOffOrOfAnotherKind) {
  const std::string value = Serialised({"Dogs"}), stored = Stored(value);
  std::string version = value, element = value;
  version[5] = 9;
  element[element.size() - 9] = 13;
  for (const auto& [bytes, why] : std::vector<std::pair<std::string, std::string>>{
           {stored.substr(0, 3), "cut off"},
           {stored.substr(0, stored.size() - 1), "zlib"},
           {Stored(value.substr(0, value.size() - 1)), "cut off"},
           {Stored(value + "x"), "more behind"},
           {Stored(Serialised({"Dogs"}, 13)), "another type"},
           {Stored(Serialised({"Dogs"}, 16 | 0x200)), "another type"},
           {Stored(Serialised({"\xff"})), "UTF-8"},
           {Stored("A\n" + value.substr(2)), "XDR"},
           {Stored(version), "version 9"},
           {Stored(element), "element"},
           {Number(0xffffffff) + stored.substr(4), "4294967295 bytes"},
       }) {
    try {
      StringVectorsOfRdb(bytes, "x.rdb");
      ADD_FAILURE() << why;
    } catch (const model::DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("x.rdb is no database")) << why;
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  }
}

TEST(ChaptersTest, AreDocumentsOfParagraphs) {
  const auto chapters = Chapters({"DOGS", "", "By a cat", "VOLUME I", "", "CHAPTER I", "", "A _very_ good",
                                  "dog--it was!", "", "Chapter by chapter", "", "Chapter 2", "It barked."});
  ASSERT_EQ(chapters.size(), 2u);
  EXPECT_EQ(chapters[1].name, "DOGS/2");
  EXPECT_THAT(chapters[0].paragraphs,
              ElementsAre("= DOGS, chapter 1 =", "A very good dog -- it was!", "Chapter by chapter"));
  EXPECT_THAT(chapters[1].paragraphs, ElementsAre("= DOGS, chapter 2 =", "It barked."));
  EXPECT_THAT(Chapters({}), IsEmpty());
}

}  // namespace
}  // namespace strata::data
