#include "model/tasks/registry.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

struct Task {
  TaskInfo info;
  ModelFactory factory;
};
std::map<std::string, Task>& Tasks() {
  static auto* tasks = new std::map<std::string, Task>();
  return *tasks;
}
std::map<std::string, MetricInfo>& Metrics() {
  static auto* metrics = new std::map<std::string, MetricInfo>();
  return *metrics;
}

template <typename Map>
std::vector<std::string> Names(const Map& map) {
  std::vector<std::string> names;
  for (const auto& entry : map) names.push_back(entry.first);
  return names;
}

template <typename Map>
const typename Map::mapped_type& Find(const Map& map, const std::string& name, const char* field, const char* what) {
  const auto found = map.find(name);
  if (found != map.end()) return found->second;
  std::string known;
  for (const std::string& other : Names(map)) known += (known.empty() ? "" : ", ") + other;
  throw std::invalid_argument(std::string(field) + ": \"" + name + "\" is no " + what + ". Choose one of: " + known + ".");
}

const Task& FindTask(const std::string& name) { return Find(Tasks(), name, "task.kind", "task"); }

}  // namespace

bool RegisterTask(const std::string& name, TaskInfo info, ModelFactory factory) {
  if (!Tasks().emplace(name, Task{std::move(info), std::move(factory)}).second) {
    throw std::logic_error("task \"" + name + "\" is registered twice");
  }
  return true;
}

bool RegisterMetric(const std::string& name, MetricInfo info) {
  if (!Metrics().emplace(name, std::move(info)).second) throw std::logic_error("metric \"" + name + "\" is registered twice");
  return true;
}

std::vector<std::string> TaskNames() { return Names(Tasks()); }
std::vector<std::string> MetricNames() { return Names(Metrics()); }
const TaskInfo& DescribeTask(const std::string& name) { return FindTask(name).info; }
const MetricInfo& DescribeMetric(const std::string& name) { return Find(Metrics(), name, "evaluate.metric", "metric"); }

std::unique_ptr<SequenceModel> CreateModel(const ModelConfig& config, Construction construction) {
  const Task& task = FindTask(config.task);
  CheckSchemeTakes(config.scheme, config.task);
  Validate(config);
  SchemeOptions(config.scheme, config.scheme_options);
  if (task.info.two_stacks && config.encoder_layers < 1) {
    throw std::invalid_argument("model.depth has one stack, but task.kind \"" + config.task +
                                "\" has an encoder and a decoder. Write a depth as 6L-6L.");
  }
  if (!task.info.two_stacks && config.encoder_layers > 0) {
    throw std::invalid_argument("model.depth has two stacks, but task.kind \"" + config.task +
                                "\" has a decoder only. Write a depth as 16L.");
  }
  const std::vector<std::string>& sharing = task.info.share_embeddings;
  if (std::find(sharing.begin(), sharing.end(), config.share_embeddings) == sharing.end()) {
    std::string choices;
    for (const std::string& choice : sharing) choices += (choices.empty() ? "" : " or ") + choice;
    throw std::invalid_argument("model.share_embeddings is \"" + config.share_embeddings + "\", which task.kind \"" + config.task +
                                "\" does not take. Write " + choices + ".");
  }
  return task.factory(config, construction);
}

}  // namespace strata::model
