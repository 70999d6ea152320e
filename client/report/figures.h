// Which figures a report has, and the parts that they are made of.
#pragma once

#include <string>
#include <vector>

#include "client/report/figure.h"
#include "client/report/report.h"

namespace strata::client {

// Validation NLL and training loss; best NLL by depth; for each depth gradient norm by layer, at places inside layers,
// and similarity of layers; gradient norm over time for each trial that diverged. Figures without a point are left out.
std::vector<Figure> MakeFigures(const Report& report);

// True if there is something to draw.
bool HasPoints(const Figure& figure);

// A panel for each depth, a line for each trial. `level`: points are marked, and the unigram level is drawn.
Figure CurvesFigure(const Report& report, const std::vector<std::string>& depths, Curve TrialResult::*curve,
                    const std::string& stem, const std::string& y_label, bool level, const std::string& caption);

// Gradient norm of each layer's output before training and, unless `only_start`, at the last measurement.
Figure LayersFigure(const Report& report, const std::string& depth, bool only_start);

// Gradient norm at places (1) to (5) inside layers, as first measured, a panel a layer. Which of the measured layers of
// a stack:
enum class Places { kAll, kLast, kAllButLast };
Figure PlacesFigure(const Report& report, const std::string& depth, const std::string& stack, Places which);

// Cosine similarity of layers' outputs as last measured, a panel a stack and label, of the first seed that has it.
Figure SimilarityFigure(const Report& report, const std::string& depth);

// Lowest validation NLL by depth, mean over seeds; a training that failed is a cross at the lowest that it came to.
Figure DepthFigure(const Report& report);

// The colour and dash of a label, the same in all figures of a report.
int StyleOf(const Report& report, const std::string& label);

}  // namespace strata::client
