#include "model/data/safetensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SafetensorsTest : public ::testing::Test {
 protected:
  SafetensorsTest() : file_(::testing::TempDir() + "safetensors_" + std::to_string(::getpid()) + ".safetensors") {}
  ~SafetensorsTest() override { std::filesystem::remove(file_); }

  std::string Bytes() const {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void PutBytes(const std::string& bytes) const { std::ofstream(file_, std::ios::binary | std::ios::trunc) << bytes; }
  void PutHeader(const std::string& header, const std::string& data) const {
    uint64_t length = header.size();
    PutBytes(std::string(reinterpret_cast<const char*>(&length), 8) + header + data);
  }
  // What the reader says of the file; empty where it reads it.
  std::string Complaint() const {
    try {
      SafetensorsReader reader(file_);
      for (const std::string& name : reader.names()) reader.Get(name);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path file_;
};

TEST_F(SafetensorsTest, GivesBackWhatWasWritten) {
  const at::Tensor weight = at::arange(6, at::kFloat).view({2, 3});
  const at::Tensor step = at::scalar_tensor(7, at::kLong);
  const at::Tensor state = at::arange(5, at::kByte);
  const at::Tensor precise = at::full({2}, 0.1, at::kDouble);
  const at::Tensor empty = at::empty({0, 4}, at::kFloat);
  WriteSafetensors(file_, {{"w", weight.t()}, {"step", step}, {"rng", state}, {"d", precise}, {"none", empty}}, {{"a", "b"}});
  const SafetensorsReader reader(file_);
  EXPECT_THAT(reader.names(), ElementsAre("w", "step", "rng", "d", "none"));
  EXPECT_EQ(reader.metadata().at("a"), "b");
  EXPECT_TRUE(at::equal(reader.Get("w"), weight.t()));
  EXPECT_TRUE(at::equal(reader.Get("step"), step));
  EXPECT_TRUE(at::equal(reader.Get("rng"), state));
  EXPECT_TRUE(at::equal(reader.Get("d"), precise));
  EXPECT_THAT(reader.Shape("none"), ElementsAre(0, 4));
  EXPECT_FALSE(reader.Has("v"));
  EXPECT_THROW(reader.Get("v"), std::runtime_error);
}

TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  WriteSafetensors(file_, {{"w", at::ones({3, 5})}, {"step", at::scalar_tensor(7, at::kLong)}}, {{"a", "b"}});
  const std::string whole = Bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    PutBytes(whole.substr(0, length));
    EXPECT_THAT(Complaint(), HasSubstr(file_.string())) << length;
  }
  PutBytes(whole + "x");
  EXPECT_THAT(Complaint(), HasSubstr("1 bytes behind the last tensor"));
}

TEST_F(SafetensorsTest, RefusesSpoiledHeaders) {
  const std::string data(16, '\0');
  for (const auto& [header, why] : std::vector<std::pair<std::string, std::string>>{
           {"not json", "no JSON object"},
           {"[]", "no JSON object"},
           {R"({"w":{"dtype":"F32","shape":[4]}})", "lacks"},
           {R"({"w":{"dtype":"F99","shape":[4],"data_offsets":[0,16]}})", "unknown type"},
           {R"({"w":{"dtype":7,"shape":[4],"data_offsets":[0,16]}})", "unknown type"},
           {R"({"w":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", "no sound shape"},
           {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}})", "too large"},
           {R"({"w":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}})", "beyond the end"},
           {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}})", "do not fit its shape"},
           {R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", "beyond the end"},
           {R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0]}})", "data_offsets"},
           {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}})", "gap"},
           {R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}})",
            "overlaps"},
           {R"({"__metadata__":{"a":1},"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "no string"}}) {
    PutHeader(header, data);
    EXPECT_THAT(Complaint(), HasSubstr(why)) << header;
    EXPECT_THAT(Complaint(), HasSubstr(file_.string()));
  }
  PutBytes(std::string(8, '\xff') + data);
  EXPECT_THAT(Complaint(), HasSubstr("header claims"));
}

// No flipped bit may crash the reader; many are noticed, flips inside the data cannot be.
TEST_F(SafetensorsTest, SurvivesEveryFlippedHeaderBit) {
  WriteSafetensors(file_, {{"w", at::ones({3})}}, {{"a", "b"}});
  const std::string whole = Bytes();
  for (size_t bit = 0; bit < (whole.size() - 12) * 8; ++bit) {
    std::string spoiled = whole;
    spoiled[bit / 8] = static_cast<char>(spoiled[bit / 8] ^ (1 << (bit % 8)));
    PutBytes(spoiled);
    Complaint();
  }
}

TEST_F(SafetensorsTest, SaysWhyItCannotWriteOrRead) {
  try {
    WriteSafetensors("/dev/full", {{"w", at::ones({3})}});
    FAIL() << "/dev/full took it";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), ENOSPC);
    EXPECT_THAT(error.what(), HasSubstr("/dev/full"));
  }
  EXPECT_THROW(WriteSafetensors(file_, {{"w", at::ones({1})}, {"w", at::ones({1})}}), std::invalid_argument);
  EXPECT_THAT(Complaint(), HasSubstr("cannot be opened"));
}

}  // namespace
}  // namespace strata::model
