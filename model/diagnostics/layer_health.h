// Which layers' gradients vanish or explode, from their norms. Plain C++.
#pragma once

#include <vector>

namespace strata::model {

// A layer's gradient vanishes where its norm is below kVanishes times the last layer's, and explodes above kExplodes
// times. The paper's Fig. 3 at 18L-18L: Post-LN's first layer is at 0.02 to 0.07, B2T's above 0.25, Pre-LN's above 1.
inline constexpr double kVanishes = 0.1, kExplodes = 10;

// One value a layer, first to last: -1 vanishes, 1 explodes (a norm that is not finite too), 0 neither.
std::vector<double> LayerVerdicts(const std::vector<double>& norms);

// The largest |log10(norm / last norm)|; infinite where a norm is 0 or not finite. 0 for none.
double GradientSpread(const std::vector<double>& norms);

}  // namespace strata::model
