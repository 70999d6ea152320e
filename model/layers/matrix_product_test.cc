// Products in bf16 against plain sums in double precision over factors rounded by another way.
#include "model/layers/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "model/decode/packed_linear.h"
#include "model/layers/bf16_kernels.h"

namespace strata::model {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

// The matrix in double, each number rounded to bf16 by LibTorch.
at::Tensor RoundedDouble(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kDouble); }

// |y - expected| within the rounding of a float32 sum over the absolute products, whatever its order.
void ExpectProduct(const at::Tensor& y, const at::Tensor& left, const at::Tensor& right, const at::Tensor& added,
                   const std::string& what) {
  const at::Tensor a = RoundedDouble(left), b = RoundedDouble(right);
  at::Tensor expected = at::mm(a, b), scale = at::mm(a.abs(), b.abs());
  if (added.defined()) {
    expected = expected + added.to(at::kDouble);
    scale = scale + added.to(at::kDouble).abs();
  }
  const double bound = 6e-8 * (static_cast<double>(left.size(1)) + 4);
  const at::Tensor error = (y.to(at::kDouble) - expected).abs() - bound * scale;
  EXPECT_LE(error.max().item<double>(), 1e-30) << what;
}

struct Shape {
  int64_t rows, depth, columns;
};
std::string Text(const Shape& s) {
  return std::to_string(s.rows) + " x " + std::to_string(s.depth) + " x " + std::to_string(s.columns);
}

std::vector<Shape> OddShapes() {
  std::vector<Shape> shapes;
  for (int64_t rows = 1; rows <= 13; ++rows) shapes.push_back({rows, 7 + rows, 33});
  for (const int64_t depth : {1, 2, 31, 33, 64, 97}) shapes.push_back({5, depth, 40});
  for (const int64_t columns : {1, 15, 31, 32, 64, 65, 100}) shapes.push_back({25, 35, columns});
  shapes.push_back({70, 1024, 32});
  shapes.push_back({3, 2051, 34});  // several blocks of the depth
  return shapes;
}

TEST(Bf16ProductTest, IsTheSumOfRoundedFactorsInEveryLayout) {
  for (const Shape& s : OddShapes()) {
    at::manual_seed(static_cast<uint64_t>(s.rows + s.depth + s.columns));
    const at::Tensor left = at::randn({s.rows, s.depth}), right = at::randn({s.depth, s.columns}),
                     bias = at::randn({s.columns});
    const at::Tensor left_columns = left.t().contiguous().t(), right_columns = right.t().contiguous().t();
    for (const at::Tensor& a : {left, left_columns}) {
      for (const at::Tensor& b : {right, right_columns}) {
        ExpectProduct(Product(a, b, Precision::kBfloat16), left, right, {}, Text(s));
        ExpectProduct(Product(bias, a, b, Precision::kBfloat16), left, right, bias, Text(s) + " and bias");
        const at::Tensor wide = at::randn({s.rows, s.columns + 3}), before = wide.clone();
        ProductInto(wide.narrow(1, 1, s.columns), a, b, /*accumulate=*/true, Precision::kBfloat16);
        ExpectProduct(wide.narrow(1, 1, s.columns), left, right, before.narrow(1, 1, s.columns), Text(s) + " added");
        EXPECT_TRUE(wide.select(1, 0).equal(before.select(1, 0))) << "columns beside it stay";
        EXPECT_TRUE(wide.narrow(1, s.columns + 1, 2).equal(before.narrow(1, s.columns + 1, 2)));
      }
    }
  }
}

TEST(Bf16ProductTest, OfNothingIsNothingButItsBias) {
  const at::Tensor bias = at::arange(4, at::kFloat);
  EXPECT_TRUE(Product(bias, at::empty({3, 0}), at::empty({0, 4}), Precision::kBfloat16).equal(bias.expand({3, 4})));
  EXPECT_EQ(Product(at::empty({0, 5}), at::randn({5, 4}), Precision::kBfloat16).numel(), 0);
}

TEST(Bf16ProductTest, RefusesWhatItCannotMultiply) {
  const at::Tensor a = at::randn({2, 3}), b = at::randn({4, 5});
  EXPECT_ANY_THROW(Product(a, b, Precision::kBfloat16));
  EXPECT_ANY_THROW(Product(a.to(at::kDouble), at::randn({3, 2}), Precision::kBfloat16));
  EXPECT_ANY_THROW(
      Product(at::randn({4, 6}).slice(1, 0, 6, 2).slice(0, 0, 4, 2), at::randn({3, 2}), Precision::kBfloat16));
}

TEST(Bf16ProductTest, RoundsToTheNearestAndTiesToEven) {
  struct Case {
    float value, rounded;
    const char* why;
  };
  const at::Tensor one = at::ones({1, 32});
  for (const Case& c : std::vector<Case>{{1.0f, 1.0f, "exact"},
                                         {FromBits(0x3f808000), FromBits(0x3f800000), "a tie goes down to even"},
                                         {FromBits(0x3f818000), FromBits(0x3f820000), "a tie goes up to even"},
                                         {FromBits(0x3f808001), FromBits(0x3f810000), "above a tie"},
                                         {FromBits(0x3f817fff), FromBits(0x3f810000), "below a tie"},
                                         {FromBits(0xbf808000), FromBits(0xbf800000), "negative tie"},
                                         {FromBits(0x7f7fffff), kInfinity, "the largest number rounds to infinity"},
                                         {kInfinity, kInfinity, "infinity"},
                                         {-kInfinity, -kInfinity, "minus infinity"},
                                         {-0.0f, 0.0f, "zero"}}) {
    for (const int64_t rows : {1, 40}) {  // alone and in a vector
      const at::Tensor x = at::full({rows, 1}, c.value);
      EXPECT_TRUE(Product(x, one, Precision::kBfloat16).eq(c.rounded).all().item<bool>()) << c.why;
      EXPECT_TRUE(Product(one.t(), x.t(), Precision::kBfloat16).eq(c.rounded).all().item<bool>()) << c.why << ", right";
    }
    const at::Tensor deep = at::zeros({1, 64});
    deep.select(1, 37).fill_(c.value);
    const float sum = Product(deep.isinf().any().item<bool>() ? deep.clone().narrow(1, 37, 1) : deep,
                              at::ones({deep.isinf().any().item<bool>() ? 1 : 64, 1}), Precision::kBfloat16)
                          .item<float>();
    EXPECT_EQ(sum, c.rounded) << c.why << ", deep";
  }
}

TEST(Bf16ProductTest, KeepsNotANumber) {
  for (const float value : {kNan, -kNan, FromBits(0x7f800001), FromBits(0xff80ffff)}) {
    at::Tensor x = at::zeros({3, 70});
    x.select(0, 1).select(0, 33).fill_(value);
    const at::Tensor y = Product(x, at::ones({70, 37}), Precision::kBfloat16);
    EXPECT_TRUE(y.select(0, 1).isnan().all().item<bool>());
    EXPECT_TRUE(y.select(0, 0).eq(0).all().item<bool>());
    EXPECT_TRUE(Product(at::ones({37, 70}), x.t(), Precision::kBfloat16).select(1, 1).isnan().all().item<bool>());
  }
  const at::Tensor both = at::tensor({kInfinity, -kInfinity}).view({1, 2});
  EXPECT_TRUE(Product(both, at::ones({2, 3}), Precision::kBfloat16).isnan().all().item<bool>());
}

TEST(Bf16ProductTest, IsTheSameForEveryNumberOfThreads) {
  const int threads = at::get_num_threads();
  const at::Tensor left = at::randn({130, 1100}), right = at::randn({1100, 200});
  std::vector<at::Tensor> rows, columns;
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    rows.push_back(Product(left, right, Precision::kBfloat16));
    columns.push_back(Product(left.t().contiguous().t(), right, Precision::kBfloat16));
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(rows[0].equal(rows[1]));
  EXPECT_TRUE(columns[0].equal(columns[1]));
}

TEST(LinearTest, HasTheGradientsOfItsRoundedFactors) {
  const at::Tensor x = at::randn({9, 35}).requires_grad_(), weight = at::randn({17, 35}).requires_grad_(),
                   d_y = at::randn({9, 17});
  Linear(x, weight, Precision::kBfloat16).backward(d_y);
  ExpectProduct(x.grad(), d_y, weight.detach(), {}, "with respect to x");
  ExpectProduct(weight.grad(), d_y.t(), x.detach(), {}, "with respect to the weight");
}

TEST(PackedLinearTest, InBf16IsTheSumOfRoundedFactors) {
  for (const Shape& s : OddShapes()) {
    const at::Tensor x = at::randn({s.rows, s.depth}), weight = at::randn({s.columns, s.depth}),
                     bias = at::randn({s.columns});
    const PackedLinear plain(weight, {}, Precision::kBfloat16), biased(weight, bias, Precision::kBfloat16);
    ExpectProduct(plain(x), x, weight.t(), {}, Text(s));
    ExpectProduct(biased(x), x, weight.t(), bias, Text(s) + " and bias");
    EXPECT_TRUE(biased(x, /*relu=*/true).equal(at::relu(biased(x)))) << Text(s);
    const at::Tensor wide = at::randn({s.rows, s.columns + 5}), before = wide.clone();
    plain.Into(x, wide.mutable_data_ptr<float>() + 2, wide.stride(0));
    EXPECT_TRUE(wide.narrow(1, 2, s.columns).equal(plain(x)));
    EXPECT_TRUE(wide.narrow(1, s.columns + 2, 3).equal(before.narrow(1, s.columns + 2, 3)));
  }
}

TEST(PackedLinearTest, InBf16KeepsNotANumberThroughRelu) {
  at::Tensor x = at::ones({2, 3});
  x.select(0, 1).fill_(kNan);
  const at::Tensor y = PackedLinear(at::full({5, 3}, -1.0f), {}, Precision::kBfloat16)(x, /*relu=*/true);
  EXPECT_TRUE(y.select(0, 0).eq(0).all().item<bool>());
  EXPECT_TRUE(y.select(0, 1).isnan().all().item<bool>());
}

}  // namespace
}  // namespace strata::model
