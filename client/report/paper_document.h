// Our results beside the paper's: its tables and figures as documents. Each is a pure function of what was collected.
#pragma once

#include <string>
#include <vector>

#include "client/report/cell.h"
#include "client/report/figure.h"
#include "client/report/paper.h"

namespace strata::client {

// A table by its name in CheckPaperName. Cells are matched by scheme and depth, columns by name where the names are the
// same; what only one side has stands by itself. Sentence scores, where they were read, become a paired bootstrap.
Document PaperTableDocument(const std::string& name, const Report& report);

// A figure: what the paper's shows, and the points of ours. The document's plots are `figures`.
struct FigureDocument {
  Document document;
  std::vector<Figure> figures;  // none where nothing of it was measured; the document then says what to measure
};
// `all_points`: the one table holds every point, for CSV; else each line's ends and what stood behind it.
FigureDocument PaperFigureDocument(const std::string& name, const Report& report, bool all_points);

// Parts of them.

// Tables 7 and 8.
Document SettingsDocument(const Report& report);
Document HoursDocument(const Report& report);
// Device-hours of Table 8 for a task and depth, as text: "640 (128 × 5 h)"; "" if it has none.
std::string PaperHours(const std::string& task, const std::string& depth);
// Ours, mean over seeds; "" if nothing has ended.
std::string OurHours(const ResultCell& cell);

// What stood behind each cell: trials, dataset, text preparation, recipe, evaluation; and all values of the recipe
// beside Table 7's.
DocumentTable BehindTable(const std::vector<ResultCell>& cells, const Report& report);
DocumentTable RecipeTable(const std::vector<ResultCell>& cells, const std::string& task);

// Every two cells of one depth compared by `metric` on the sentences of their evaluations, all seeds together. Without
// rows: nothing to compare; notes say what is missing.
DocumentTable SignificanceTable(const std::vector<ResultCell>& cells, const std::string& metric);

}  // namespace strata::client
