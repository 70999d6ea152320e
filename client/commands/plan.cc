// What a grid will take, before anything runs. Trials, cells that are done and vocabularies come from the coordinator; parameters,
// FLOPs and memory from the trainer's own model (`strata-trainer --plan`), once for each distinct model.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands/command.h"
#include "client/commands/daemon.h"
#include "client/format.h"
#include "client/names.h"
#include "client/spec/read_spec.h"
#include "client/table.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/spec/registry.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using Json = nlohmann::ordered_json;

// Sustained in training, fp32, by one CPU thread: what docs/BENCHMARKS.md measures on a core with AVX-512.
constexpr double kThreadTflops = 0.06;

// Where the dataset is not registered: the paper's vocabularies.
const std::map<std::string, int>& UsualVocabularies() {
  static const auto* const sizes =
      new std::map<std::string, int>{{"translation", 32000}, {"headline", 32000}, {"language_model", 267744}, {"speech", 10000}};
  return *sizes;
}

struct PlanOptions {
  std::string file;
  std::vector<std::string> sets;
  bool force = false;
  double device_tflops = 0;
  int vocabulary = 0;
};

// One trial's row.
struct Row {
  const v1::TrialPlan* trial = nullptr;
  std::string key;  // of its model's plan
  int vocabulary = 0;
  bool vocabulary_guessed = false;
  double device_hours = 0;
  int64_t disk_bytes = 0;
};

std::string Quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// What a program prints on standard output; its complaint where it fails.
absl::StatusOr<std::string> Output(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return absl::InternalError("No process can be started for strata-trainer --plan.");
  std::string text;
  char buffer[4096];
  for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  if (pclose(pipe) != 0) return absl::InvalidArgumentError(text);
  return text;
}

// A model's plan does not depend on these.
std::string ModelKey(v1::TrialSpec spec, int vocabulary) {
  spec.mutable_train()->set_seed(1);
  spec.mutable_task()->set_dataset("any");
  spec.clear_evaluate();
  const auto json = base::ToCanonicalJson(spec);
  return json.ok() ? absl::StrCat(vocabulary, " ", *json) : "";
}

absl::StatusOr<Json> PlanOfModel(const std::string& trainer, const std::string& key) {
  const size_t space = key.find(' ');
  const std::string file = absl::StrCat(std::filesystem::temp_directory_path().string(), "/strata-plan-", base::RandomHex(), ".json");
  if (const absl::Status status = base::WriteFileAtomically(file, key.substr(space + 1)); !status.ok()) return status;
  const auto text = Output(absl::StrCat(Quoted(trainer), " --plan ", Quoted(file), " --vocabulary ", key.substr(0, space)));
  std::filesystem::remove(file);
  if (!text.ok()) return text.status();
  Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded()) return absl::InternalError(absl::StrCat("strata-trainer --plan printed what is no JSON: ", *text));
  return json;
}

// A model each, on as many cores as there are.
absl::StatusOr<std::map<std::string, Json>> PlanModels(const std::set<std::string>& keys) {
  const auto trainer = FindProgram("worker", "strata-trainer");
  if (!trainer.ok()) return trainer.status();
  std::vector<std::string> todo(keys.begin(), keys.end());
  std::vector<absl::StatusOr<Json>> done(todo.size(), absl::UnknownError(""));
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      for (size_t one = next++; one < todo.size(); one = next++) done[one] = PlanOfModel(*trainer, todo[one]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<std::string, Json> plans;
  for (size_t i = 0; i < todo.size(); ++i) {
    if (!done[i].ok()) return done[i].status();
    plans[todo[i]] = *std::move(done[i]);
  }
  return plans;
}

double TflopsOf(const v1::TrialSpec& spec, const PlanOptions& options) {
  return options.device_tflops > 0 ? options.device_tflops : kThreadTflops * spec.resources().threads();
}

std::string Basis(const PlanOptions& options, const std::vector<Row>& rows) {
  std::string text =
      options.device_tflops > 0
          ? absl::StrCat("Device-hours: matrix products of full batches at ", options.device_tflops, " TFLOP/s a slot (--device-tflops).")
          : absl::StrCat("Device-hours: matrix products of full batches at ", kThreadTflops,
                         " TFLOP/s a CPU thread, as measured on a core with AVX-512; for other devices give --device-tflops.");
  absl::StrAppend(&text, " Validations and evaluations are not counted. Memory: of one rank.");
  std::set<std::string> guessed;
  for (const Row& row : rows) {
    if (row.vocabulary_guessed) guessed.insert(absl::StrCat(row.trial->spec().task().dataset(), " is not registered: ", row.vocabulary, " pieces assumed"));
  }
  for (const std::string& one : guessed) absl::StrAppend(&text, " Dataset ", one, " (--vocabulary).");
  return text;
}

std::string CellText(const v1::TrialPlan& trial) {
  std::string text;
  for (const v1::Setting& setting : trial.cell()) absl::StrAppend(&text, text.empty() ? "" : " ", LastPart(setting.field()), "=", setting.value());
  return text.empty() ? "-" : text;
}

std::string Short(double value) {
  for (const auto& [unit, scale] : std::vector<std::pair<const char*, double>>{{"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}}) {
    if (value >= scale) return absl::StrFormat("%.3g %s", value / scale, unit);
  }
  return absl::StrFormat("%.3g ", value);
}

std::string Note(const v1::TrialPlan& trial) {
  if (!trial.reused_from().empty()) return "done as " + ShortName(trial.reused_from());
  return trial.extended_from().empty() ? "" : "goes on from " + ShortName(trial.extended_from());
}

absl::StatusOr<std::vector<Row>> MakeRows(const v1::PlanExperimentResponse& response, const PlanOptions& options) {
  std::vector<Row> rows;
  for (const v1::TrialPlan& trial : response.trials()) {
    Row row{.trial = &trial, .vocabulary = trial.vocabulary()};
    if (row.vocabulary == 0) {
      const auto usual = UsualVocabularies().find(trial.spec().task().kind());
      row.vocabulary = options.vocabulary > 0 ? options.vocabulary : usual == UsualVocabularies().end() ? 0 : usual->second;
      row.vocabulary_guessed = options.vocabulary == 0;
      if (row.vocabulary == 0) {
        return absl::InvalidArgumentError(absl::StrCat("Dataset ", trial.spec().task().dataset(), " is not registered, and task.kind ",
                                                       trial.spec().task().kind(), " has no usual vocabulary. Give --vocabulary N."));
      }
    }
    row.key = ModelKey(trial.spec(), row.vocabulary);
    if (row.key.empty()) return absl::InternalError("The coordinator planned a trial without all of its fields: it is of another version.");
    rows.push_back(row);
  }
  return rows;
}

void Estimate(const PlanOptions& options, const std::map<std::string, Json>& plans, std::vector<Row>* rows) {
  for (Row& row : *rows) {
    const Json& plan = plans.at(row.key);
    const v1::TrialSpec& spec = row.trial->spec();
    row.device_hours = plan.at("flops").get<double>() * spec.resources().ranks() / (TflopsOf(spec, options) * 1e12) / 3600;
    row.disk_bytes = plan.at("checkpoint_bytes").get<int64_t>() * spec.train().keep_checkpoints() +
                     plan.at("weights_bytes").get<int64_t>() * (2 + spec.train().keep_epoch_checkpoints());
  }
}

void PrintTable(const std::vector<Row>& rows, const std::map<std::string, Json>& plans, const std::string& basis) {
  Table table({"CELL", ">PARAMETERS", ">MEMORY", ">FLOP/UPDATE", ">UPDATES", ">DEVICE-HOURS", ">DISK", "NOTE"});
  double hours = 0;
  int64_t disk = 0, done = 0;
  for (const Row& row : rows) {
    const Json& plan = plans.at(row.key);
    table.Add({CellText(*row.trial), FormatCount(plan.at("parameters")), FormatBytes(plan.at("memory_bytes").at("total")),
               Short(plan.at("flops_per_update")), FormatCount(row.trial->spec().train().updates()), absl::StrFormat("%.3g", row.device_hours),
               FormatBytes(row.disk_bytes), Note(*row.trial)});
    if (!row.trial->reused_from().empty()) {
      ++done;
      continue;
    }
    hours += row.device_hours;
    disk += row.disk_bytes;
  }
  std::fputs(table.Text().c_str(), stdout);
  std::printf("\n%d trials, %d done already; the others take about %.3g device-hours and %s of disk.\n%s\n", static_cast<int>(rows.size()),
              static_cast<int>(done), hours, FormatBytes(disk).c_str(), basis.c_str());
}

void PrintJsonPlan(const std::vector<Row>& rows, const std::map<std::string, Json>& plans, const std::string& basis) {
  Json trials = Json::array(), totals = {{"trials", rows.size()}, {"done", 0}, {"device_hours", 0.0}, {"disk_bytes", 0}};
  for (const Row& row : rows) {
    Json cell = Json::object();
    for (const v1::Setting& setting : row.trial->cell()) cell[setting.field()] = setting.value();
    const bool done = !row.trial->reused_from().empty();
    Json trial = {{"cell", cell},
                  {"scheme", row.trial->spec().model().scheme()},
                  {"depth", row.trial->spec().model().depth()},
                  {"done_as", done ? Json(row.trial->reused_from()) : Json(nullptr)},
                  {"extends", row.trial->extended_from().empty() ? Json(nullptr) : Json(row.trial->extended_from())},
                  {"ranks", row.trial->spec().resources().ranks()}};
    trial.update(plans.at(row.key));
    trial["device_hours"] = row.device_hours;
    trial["disk_bytes"] = row.disk_bytes;
    trials.push_back(trial);
    totals["done"] = totals["done"].get<int>() + (done ? 1 : 0);
    if (done) continue;
    totals["device_hours"] = totals["device_hours"].get<double>() + row.device_hours;
    totals["disk_bytes"] = totals["disk_bytes"].get<int64_t>() + row.disk_bytes;
  }
  std::printf("%s\n", Json{{"trials", trials}, {"totals", totals}, {"basis", basis}}.dump(1).c_str());
}

absl::Status Plan(const Context& context, const PlanOptions& options) {
  const auto spec = ReadSpecFile(options.file, options.sets, base::BuiltInRegistry());
  if (!spec.ok()) return spec.status();
  const Connection connection = context.Connect();
  v1::PlanExperimentRequest request;
  *request.mutable_spec() = *spec;
  request.set_force(options.force);
  const auto response = connection.Call(&v1::ExperimentService::Stub::PlanExperiment, connection.experiments(), request);
  if (!response.ok()) {
    if (!absl::IsInvalidArgument(response.status())) return response.status();
    return absl::InvalidArgumentError(absl::StrCat(options.file, ": ", std::string(response.status().message())));
  }
  auto rows = MakeRows(*response, options);
  if (!rows.ok()) return rows.status();
  std::set<std::string> keys;
  for (const Row& row : *rows) keys.insert(row.key);
  const auto plans = PlanModels(keys);
  if (!plans.ok()) return plans.status();
  Estimate(options, *plans, &*rows);
  const std::string basis = Basis(options, *rows);
  if (context.json()) {
    PrintJsonPlan(*rows, *plans, basis);
  } else {
    PrintTable(*rows, *plans, basis);
  }
  return absl::OkStatus();
}

}  // namespace

void AddPlan(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "plan",
                                 "Say what a grid would take before anything runs: parameters, memory, FLOPs, device-hours, disk, and "
                                 "which cells are done already.",
                                 {"strata plan grid.yaml", "strata plan paper.yaml --device-tflops 9.3 --vocabulary 32000"});
  static PlanOptions options;
  command->add_option("FILE", options.file, "Spec in YAML; - for standard input")->required();
  command->add_option("--set", options.sets, "PATH=VALUE for all trials; a list makes or replaces an axis")->allow_extra_args(false);
  command->add_flag("--force", options.force, "Count also as to be trained what has been trained already");
  command->add_option("--device-tflops", options.device_tflops, "TFLOP/s that one slot sustains in training")->check(CLI::PositiveNumber);
  command->add_option("--vocabulary", options.vocabulary, "Pieces, where the dataset is not registered")->check(CLI::Range(5, 10'000'000));
  OnRun(command, context, [&context] { return Plan(context, options); });
}

}  // namespace strata::client
