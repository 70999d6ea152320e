#include "model/tasks/describe.h"

#include <algorithm>
#include <string>
#include <vector>

#include "model/residual/residual_scheme.h"
#include "model/tasks/registry.h"

namespace strata::model {
namespace {

using nlohmann::json;

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

json Schemes() {
  json schemes = json::array();
  for (const std::string& name : SchemeNames()) {
    const SchemeInfo& info = DescribeScheme(name);
    json options = json::array();
    for (const SchemeOption& option : info.options) {
      options.push_back({{"name", option.name}, {"summary", option.summary}, {"default", option.default_value}});
      if (option.choices.empty()) {
        options.back().update({{"min", option.min}, {"max", option.max}});
      } else {
        options.back()["choices"] = option.choices;
      }
    }
    schemes.push_back({{"name", name},
                       {"summary", info.summary},
                       {"source", info.source},
                       {"tasks", info.tasks.empty() ? TaskNames() : info.tasks},
                       {"options", options},
                       {"schedule", info.schedule}});
  }
  return schemes;
}

json Tasks() {
  json tasks = json::array();
  for (const std::string& name : TaskNames()) {
    const TaskInfo& info = DescribeTask(name);
    tasks.push_back({{"name", name},
                     {"summary", info.summary},
                     {"metrics", info.metrics},
                     {"depth", info.two_stacks ? "6L-6L" : "6L"},
                     {"share_embeddings", info.share_embeddings}});
  }
  return tasks;
}

json Metrics() {
  json metrics = json::array();
  for (const std::string& name : MetricNames()) {
    const MetricInfo& info = DescribeMetric(name);
    json tasks = json::array();
    for (const std::string& task : TaskNames()) {
      if (Contains(DescribeTask(task).metrics, name)) tasks.push_back(task);
    }
    metrics.push_back({{"name", name},
                       {"summary", info.summary},
                       {"tasks", tasks},
                       {"higher_is_better", info.higher_is_better},
                       {"decodes", info.decodes},
                       {"values", info.values}});
  }
  return metrics;
}

}  // namespace

json Describe() {
  const auto option = [](const char* name, const char* summary) -> json {
    return {{"name", name}, {"summary", summary}, {"schemes", SchemeNames()}, {"tasks", TaskNames()}};
  };
  return {{"schemes", Schemes()},
          {"tasks", Tasks()},
          {"metrics", Metrics()},
          {"options",
           {option("rescale_init", "every weight of a layer (no bias, no norm) starts times L^-0.5, L the layers of its stack"),
            option("depth_scaled_init", "every weight of layer l (no bias, no norm) starts xavier uniform times l^-0.5, l from 1")}}};
}

}  // namespace strata::model
