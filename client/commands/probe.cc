// Which cells of a grid are worth a GPU: submits them as PROBE jobs, waits, and ranks them by how far their layers' gradients lie
// apart at initialisation (docs/DIAGNOSTICS.md).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/progress.h"
#include "client/spec/read_spec.h"
#include "client/table.h"
#include "nlohmann/json.hpp"
#include "server/base/ids.h"
#include "server/base/spec/registry.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kPoll{200};

struct ProbeOptions {
  std::string file;
  std::vector<std::string> sets;
  bool force = false;
};

// What one trial's probe shows.
struct Probed {
  const v1::Trial* trial = nullptr;
  std::vector<std::string> further_settings;  // of the grid's further axes
  double ratio = std::numeric_limits<double>::quiet_NaN();
  double ratio_encoder = std::numeric_limits<double>::quiet_NaN();
  double spread = std::numeric_limits<double>::infinity();
  std::map<std::string, std::vector<double>> verdicts, norms;  // stack -> a layer each
  bool known = false;
};

// "1-6, 9" of the layers with that verdict, from 1.
std::string Ranges(const std::vector<double>& verdicts, double wanted) {
  std::string text;
  for (size_t begin = 0; begin < verdicts.size(); ++begin) {
    if (verdicts[begin] != wanted) continue;
    size_t end = begin;
    while (end + 1 < verdicts.size() && verdicts[end + 1] == wanted) ++end;
    absl::StrAppend(&text, text.empty() ? "" : ", ", begin + 1);
    if (end > begin) absl::StrAppend(&text, "-", end + 1);
    begin = end;
  }
  return text;
}

// "decoder vanishes in 1-6".
std::string Finding(const Probed& probed) {
  if (!probed.known) return "no result: " + StateName(probed.trial->state());
  std::string text;
  for (const auto& [stack, verdicts] : probed.verdicts) {
    for (const auto& [verdict, word] : {std::pair<double, const char*>{-1, " vanishes in "}, {1, " explodes in "}}) {
      const std::string ranges = Ranges(verdicts, verdict);
      if (!ranges.empty()) absl::StrAppend(&text, text.empty() ? "" : "; ", stack, word, ranges);
    }
  }
  return text.empty() ? "healthy" : text;
}

std::string ProbeJob(const v1::Trial& trial) {
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() == v1::JOB_KIND_PROBE) return job.name();
  }
  return (trial.reused_from().empty() ? trial.name() : trial.reused_from()) + "/jobs/probe";
}

absl::Status ReadScalar(const Connection& connection, const std::string& job, const std::string& series, double* value) {
  const auto points = QueryScalars(connection, job, series);
  if (!points.ok()) return absl::IsNotFound(points.status()) ? absl::OkStatus() : points.status();
  if (!points->empty()) *value = points->front().value();
  return absl::OkStatus();
}

absl::StatusOr<Probed> Read(const Connection& connection, const v1::Experiment& experiment, const v1::Trial& trial) {
  Probed probed{.trial = &trial, .further_settings = FurtherSettings(experiment, trial)};
  const std::string job = ProbeJob(trial);
  for (const auto& [series, value] : {std::pair<const char*, double*>{"gradient_ratio", &probed.ratio},
                                      {"gradient_ratio_encoder", &probed.ratio_encoder},
                                      {"gradient_spread", &probed.spread}}) {
    if (const absl::Status status = ReadScalar(connection, job, series, value); !status.ok()) return status;
  }
  for (const char* stack : {"encoder", "decoder"}) {
    for (const auto& [series, vectors] : {std::pair<const char*, std::map<std::string, std::vector<double>>*>{"layer_verdict", &probed.verdicts},
                                          {"gradient_norm_output", &probed.norms}}) {
      const auto points = QueryVectors(connection, job, series, stack);
      if (!points.ok() && !absl::IsNotFound(points.status())) return points.status();
      if (!points.ok() || points->empty()) continue;
      (*vectors)[stack] = {points->front().values().begin(), points->front().values().end()};
    }
  }
  probed.known = !probed.verdicts.empty();
  return probed;
}

// From the healthiest; those without a result last.
void Rank(std::vector<Probed>* probes) {
  std::stable_sort(probes->begin(), probes->end(), [](const Probed& a, const Probed& b) {
    if (a.known != b.known) return a.known;
    return a.spread < b.spread;
  });
}

std::string Number(double value) {
  if (std::isnan(value)) return "-";
  return std::isinf(value) ? "infinite" : absl::StrFormat("%.3g", value);
}

void PrintRanking(const std::vector<Probed>& probes) {
  Table table({">RANK", "SCHEME", "DEPTH", ">SEED", "SETTINGS", ">DECODER", ">ENCODER", ">SPREAD", "LAYERS"});
  for (size_t i = 0; i < probes.size(); ++i) {
    const v1::TrialSpec& spec = probes[i].trial->spec();
    const std::string settings = absl::StrJoin(probes[i].further_settings, " ");
    table.Add({std::to_string(i + 1), spec.model().scheme(), spec.model().depth(), std::to_string(spec.train().seed()), settings,
               Number(probes[i].ratio), Number(probes[i].ratio_encoder), Number(probes[i].spread), Finding(probes[i])});
  }
  std::fputs(table.Text().c_str(), stdout);
  std::puts(
      "\nDECODER, ENCODER: gradient norm of the first layer's output over the last's, at initialisation. SPREAD: decades between the\n"
      "last layer's norm and the one farthest from it. A layer vanishes below 0.1 times the last layer's norm, explodes above 10.");
}

Json JsonNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

void PrintJsonRanking(const std::string& experiment, const std::vector<Probed>& probes) {
  Json list = Json::array();
  for (const Probed& probed : probes) {
    Json stacks = Json::object();
    for (const auto& [stack, verdicts] : probed.verdicts) {
      Json norms = Json::array();
      if (const auto found = probed.norms.find(stack); found != probed.norms.end()) {
        for (const double norm : found->second) norms.push_back(JsonNumber(norm));
      }
      stacks[stack] = {{"vanishes", Ranges(verdicts, -1)}, {"explodes", Ranges(verdicts, 1)}, {"gradient_norm_output", norms}};
    }
    list.push_back({{"trial", ShortName(probed.trial->name())},
                    {"scheme", probed.trial->spec().model().scheme()},
                    {"depth", probed.trial->spec().model().depth()},
                    {"seed", probed.trial->spec().train().seed()},
                    {"settings", probed.further_settings},
                    {"decoder_ratio", JsonNumber(probed.ratio)},
                    {"encoder_ratio", JsonNumber(probed.ratio_encoder)},
                    {"spread", JsonNumber(probed.spread)},
                    {"finding", Finding(probed)},
                    {"stacks", stacks}});
  }
  std::printf("%s\n", Json{{"experiment", ShortName(experiment)}, {"ranking", list}}.dump(1).c_str());
}

absl::StatusOr<v1::Experiment> WaitFor(const Connection& connection, const std::string& name) {
  v1::GetExperimentRequest request;
  request.set_name(name);
  for (;;) {
    auto experiment = connection.CallPatiently(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), request,
                                               std::chrono::seconds(120));
    if (!experiment.ok() || experiment->done()) return experiment;
    std::this_thread::sleep_for(kPoll);
  }
}

absl::Status Probe(const Context& context, const ProbeOptions& options) {
  const auto spec = ReadSpecFile(options.file, options.sets, base::BuiltInRegistry());
  if (!spec.ok()) return spec.status();
  const Connection connection = context.Connect();
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = *spec;
  request.mutable_spec()->set_probe_only(true);
  request.set_force(options.force);
  request.set_request_id(base::RandomHex());
  const auto created = connection.CallPatiently(&v1::ExperimentService::Stub::CreateExperiment, connection.experiments(), request);
  if (!created.ok()) {
    if (!absl::IsInvalidArgument(created.status())) return created.status();
    return absl::InvalidArgumentError(absl::StrCat(options.file, ": ", std::string(created.status().message())));
  }
  const std::string name = created->experiment().name();
  std::fprintf(stderr, "%s: %d trials are probed.\n", ShortName(name).c_str(), created->experiment().trials());
  const auto experiment = WaitFor(connection, name);
  if (!experiment.ok()) return experiment.status();
  const auto trials = ListTrials(connection, name);
  if (!trials.ok()) return trials.status();
  std::vector<Probed> probes;
  for (const v1::Trial& trial : *trials) {
    const auto probed = Read(connection, *experiment, trial);
    if (!probed.ok()) return probed.status();
    probes.push_back(*probed);
  }
  Rank(&probes);
  if (context.json()) {
    PrintJsonRanking(name, probes);
  } else {
    PrintRanking(probes);
  }
  return Verdict(*experiment);
}

}  // namespace

void AddProbe(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "probe",
                                 "Probe every cell of a grid at initialisation, training nothing, and rank them: which layers' gradients "
                                 "vanish or explode.",
                                 {"strata probe grid.yaml", "strata probe grid.yaml --set 'depth=[18L-18L, 100L-100L]' --output json"});
  static ProbeOptions options;
  command->add_option("FILE", options.file, "Spec in YAML; - for standard input")->required();
  command->add_option("--set", options.sets, "PATH=VALUE for all trials; a list makes or replaces an axis")->allow_extra_args(false);
  command->add_flag("--force", options.force, "Probe also what has been probed already");
  OnRun(command, context, [&context] { return Probe(context, options); });
}

}  // namespace strata::client
