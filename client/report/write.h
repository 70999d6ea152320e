// A document as a page with its plots.
#pragma once

#include <string>
#include <vector>

#include "client/report/document.h"
#include "client/report/figure.h"

namespace strata::client {

// Writes index.html and each figure as PNG and SVG into `folder`, which is made where it is not there.
// FAILED_PRECONDITION: there are figures, and gnuplot is missing.
absl::Status WriteDocument(const Document& document, const std::vector<Figure>& figures, const std::string& folder);

}  // namespace strata::client
