// Tasks and metrics by name. A task is one file in this folder: it registers itself and the metrics that score it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/data/examples.h"
#include "model/tasks/task.h"

namespace strata::model {

struct TaskInfo {
  std::string summary;                         // one line
  bool two_stacks = true;                      // depth 6L-6L, or 6L where false
  std::vector<std::string> share_embeddings;   // what model.share_embeddings may be
  std::vector<std::string> metrics;            // names of registered metrics
  // Opens a split of a dataset of this task. Throws DataError.
  std::unique_ptr<Examples> (*open)(const std::filesystem::path& folder, const Manifest& manifest, const std::string& split,
                                    const ExampleOptions& options) = nullptr;
};

struct MetricInfo {
  std::string summary;  // one line
  bool higher_is_better = true;
  bool decodes = true;              // needs hypotheses
  std::vector<std::string> values;  // the measurements that it gives
};

using ModelFactory = std::function<std::unique_ptr<SequenceModel>(const ModelConfig&, Construction)>;

// Called before main.
bool RegisterTask(const std::string& name, TaskInfo info, ModelFactory factory);
bool RegisterMetric(const std::string& name, MetricInfo info);

std::vector<std::string> TaskNames();    // sorted
std::vector<std::string> MetricNames();  // sorted
// Throw std::invalid_argument naming the value and the known names.
const TaskInfo& DescribeTask(const std::string& name);
const MetricInfo& DescribeMetric(const std::string& name);

}  // namespace strata::model
