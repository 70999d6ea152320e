// The specs of deploy/experiments/paper say what the paper's tables 7 and 8 say, and each has its small twin.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/report/paper.h"
#include "client/spec/read_spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/spec/registry.h"
#include "server/base/spec/spec.h"
#include "server/core/grid.h"

namespace strata::client {
namespace {

namespace fs = std::filesystem;
using testing::Contains;

const fs::path kKit = fs::path(STRATA_SOURCE_DIR) / "deploy/experiments/paper";

std::vector<fs::path> SpecsIn(const fs::path& folder) {
  std::set<fs::path> specs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") specs.insert(entry.path());
  }
  return {specs.begin(), specs.end()};
}

std::vector<fs::path> AllSpecs() {
  std::vector<fs::path> all = SpecsIn(kKit);
  for (const fs::path& path : SpecsIn(kKit / "small")) all.push_back(path);
  return all;
}

core::Cell ToCell(const google::protobuf::RepeatedPtrField<v1::Setting>& settings) {
  core::Cell cell;
  for (const v1::Setting& setting : settings) cell.push_back({setting.field(), setting.value()});
  return cell;
}

// The trials of a spec, each complete and checked.
std::vector<v1::TrialSpec> TrialsOf(const fs::path& path) {
  const auto spec = ReadSpecFile(path, {}, base::BuiltInRegistry());
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  if (!spec.ok()) return {};
  core::GridSpec grid;
  for (const v1::Axis& axis : spec->axes())
    grid.axes.push_back({axis.field(), {axis.values().begin(), axis.values().end()}});
  for (const v1::Cell& cell : spec->exclude()) grid.exclude.push_back(ToCell(cell.settings()));
  for (const v1::Override& change : spec->overrides())
    grid.overrides.push_back({ToCell(change.when()), ToCell(change.set())});
  const auto cells = core::ExpandGrid(grid);
  EXPECT_TRUE(cells.ok()) << path << ": " << cells.status().message();
  std::vector<v1::TrialSpec> trials;
  for (size_t i = 0; cells.ok() && i < cells->size(); ++i) {
    v1::TrialSpec& trial = trials.emplace_back(spec->base());
    for (const auto& [field, value] : (*cells)[i])
      EXPECT_TRUE(base::SetField(trial, field, value).ok()) << path << field;
    EXPECT_TRUE(base::ApplyDefaults(trial).ok()) << path;
    const absl::Status status = base::ValidateFields(trial, base::BuiltInRegistry());
    EXPECT_TRUE(status.ok()) << path << ": " << status.message();
  }
  return trials;
}

// True for specs whose trainings are those of a table: not one update for a figure at initialisation.
bool Trains(const v1::TrialSpec& trial) { return trial.train().updates() > 1; }

TEST(PaperSpecsTest, EveryOneReadsAndItsTrialsAreValid) {
  for (const fs::path& path : AllSpecs()) EXPECT_FALSE(TrialsOf(path).empty()) << path;
}

TEST(PaperSpecsTest, ThereIsOneForEachTableAndFigureAndATwin) {
  for (const std::string& name : PaperNames()) {
    if (name == "table7" || name == "table8") continue;  // drawn from the trainings of the other tables
    EXPECT_TRUE(fs::exists(kKit / (name + ".yaml"))) << name;
  }
  for (const fs::path& path : SpecsIn(kKit)) EXPECT_TRUE(fs::exists(kKit / "small" / path.filename())) << path;
}

TEST(PaperSpecsTest, TrialsOfATableAreItsCells) {
  for (const char* name : {"table1", "table2", "table3", "table4", "table5", "table6", "table9", "table10"}) {
    std::set<std::string> wanted, there;
    for (const PaperRow& row : FindPaperTable(name).rows) wanted.insert(absl::StrCat(row.scheme, " ", row.depth));
    for (const v1::TrialSpec& trial : TrialsOf(kKit / absl::StrCat(name, ".yaml")))
      there.insert(absl::StrCat(trial.model().scheme(), " ", trial.model().depth()));
    EXPECT_EQ(there, wanted) << name;
  }
}

TEST(PaperSpecsTest, FullScaleHasTheValuesOfTable7) {
  const std::vector<std::string> tasks = PaperSettingTasks();
  for (const fs::path& path : SpecsIn(kKit)) {
    for (const v1::TrialSpec& trial : TrialsOf(path)) {
      // T-Fixup had its own paper's values; 100L-100L is the README's, of 25,000 updates.
      if (!Trains(trial) || trial.model().scheme() == "t_fixup" || trial.model().depth() == "100L-100L") continue;
      const auto column =
          static_cast<size_t>(std::find(tasks.begin(), tasks.end(), trial.task().kind()) - tasks.begin());
      ASSERT_LT(column, tasks.size()) << path;
      for (const PaperSetting& setting : PaperSettings()) {
        ASSERT_FALSE(setting.path.empty()) << setting.name;
        if (setting.path == "train.schedule") continue;  // "scheme": what each was published with
        double ours = 0, paper = 0;
        ASSERT_TRUE(absl::SimpleAtod(*base::GetField(trial, setting.path), &ours)) << setting.path;
        ASSERT_TRUE(absl::SimpleAtod(setting.values[column], &paper)) << setting.path;
        EXPECT_EQ(ours, paper) << path << ": " << setting.path;
      }
    }
  }
}

// Ranks are Table 8's GPUs; the released recipe has as many batches an update by fewer of them.
TEST(PaperSpecsTest, RanksAreTheGpusOfTable8) {
  std::map<std::string, double> gpus;
  for (const PaperRow& row : FindPaperTable("table8").rows) gpus[row.task + row.depth] = row.values[0];
  int compared = 0;
  for (const fs::path& path : SpecsIn(kKit)) {
    const bool released = path.filename().string().find("released") != std::string::npos;
    for (const v1::TrialSpec& trial : TrialsOf(path)) {
      const auto found = gpus.find(trial.task().kind() + trial.model().depth());
      if (!Trains(trial) || found == gpus.end()) continue;
      if (released) {
        EXPECT_EQ(trial.resources().ranks() * trial.train().update_frequency(), 128) << path;
      } else {
        EXPECT_EQ(trial.resources().ranks(), found->second) << path;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 40);
}

// A figure of trainings that a table has refers to them, so that they are not trained twice.
TEST(PaperSpecsTest, FiguresTrainWhatTablesTrain) {
  for (const fs::path& folder : {kKit, kKit / "small"}) {
    std::set<std::string> trained;
    for (const char* name : {"table1", "figure8"}) {
      for (v1::TrialSpec& trial : TrialsOf(folder / absl::StrCat(name, ".yaml")))
        trained.insert(*base::ToCanonicalJson(trial));
    }
    for (const char* name : {"figure1", "figure6", "figure9"}) {
      for (v1::TrialSpec& trial : TrialsOf(folder / absl::StrCat(name, ".yaml")))
        EXPECT_THAT(trained, Contains(*base::ToCanonicalJson(trial))) << folder << name;
    }
  }
}

}  // namespace
}  // namespace strata::client
