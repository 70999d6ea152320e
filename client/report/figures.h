// Which figures a report has.
#pragma once

#include <vector>

#include "client/report/figure.h"
#include "client/report/report.h"

namespace strata::client {

// Validation NLL and training loss; gradient norm by layer for each depth; gradient norm over time for each trial that
// diverged. Figures without a point are left out.
std::vector<Figure> MakeFigures(const Report& report);

}  // namespace strata::client
