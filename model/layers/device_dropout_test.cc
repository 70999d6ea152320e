// The devices' dropout keeps what the processors' kernels keep: the same bits.
#include "model/layers/device_dropout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/layers/kernels.h"

namespace strata::model {
namespace {

template <typename T>
at::Tensor ByKernel(const at::Tensor& in, const DropoutSite& site) {
  const at::Tensor out = at::empty_like(in);
  GetKernels<T>().dropout(in.const_data_ptr<T>(), out.mutable_data_ptr<T>(), in.size(1), site, 0, in.size(0));
  return out;
}

constexpr DropoutSite kSites[] = {{0.1, 7}, {0.5, 0xdeadbeefcafef00dull}, {0.999, 1}, {0.3, ~0ull}};

TEST(DeviceDropoutTest, KeepsWhatTheKernelsKeep) {
  for (const DropoutSite& site : kSites) {
    for (const int64_t width : {1, 15, 16, 100}) {
      const at::Tensor in = at::randn({37, width});
      EXPECT_TRUE(at::equal(DropoutOnDevice(in, site), ByKernel<float>(in, site))) << site.rate << " " << width;
      const at::Tensor wide = in.to(at::kDouble);
      EXPECT_TRUE(at::equal(DropoutOnDevice(wide, site), ByKernel<double>(wide, site))) << site.rate << " " << width;
    }
  }
}

TEST(DeviceDropoutTest, RowsBeginWhereTheyAreTold) {
  const DropoutSite site{0.4, 99};
  const at::Tensor in = at::ones({4, 32}), all = ByKernel<float>(in, site).view(-1);
  const at::Tensor begins = at::tensor({96, 0, 17, 32}, at::kLong);
  const at::Tensor out = DropoutOnDevice(at::ones({2, 2, 20}), site, begins.view({2, 2})).view({4, 20});
  for (int64_t r = 0; r < 4; ++r) EXPECT_TRUE(at::equal(out[r], all.narrow(0, begins[r].item<int64_t>(), 20))) << r;
}

TEST(DeviceDropoutTest, NumbersBeyond32BitsAreOthers) {
  const DropoutSite site{0.5, 3};
  const at::Tensor in = at::ones({1, 4096});
  const auto from = [&](int64_t begin) { return DropoutOnDevice(in, site, at::full({1}, begin, at::kLong)); };
  EXPECT_FALSE(at::equal(from(0), from(int64_t{1} << 32)));
  EXPECT_NEAR(from(int64_t{1} << 32).mean().item<double>(), 1, 0.1);
}

TEST(DeviceDropoutTest, NumbersThatAreNotFiniteStaySo) {
  const at::Tensor in = at::full({1, 64}, std::numeric_limits<double>::infinity());
  const at::Tensor out = DropoutOnDevice(in, {0.5, 1});
  EXPECT_TRUE(out.isnan().any().item<bool>()) << "infinity x 0, as the kernels have it";
  EXPECT_TRUE(DropoutOnDevice(at::empty({0, 8}), {0.5, 1}).numel() == 0);
}

}  // namespace
}  // namespace strata::model
