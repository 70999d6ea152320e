#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/table.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

struct MetricsOptions {
  std::string name;
  std::string series;
  std::string stack;
};

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.9g", value);
  return buffer;
}

nlohmann::json JsonNumber(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(Number(value));
}

// Rows of values: an update and one column (a scalar) or one a layer (a vector).
struct Rows {
  std::vector<int> updates;
  std::vector<std::vector<double>> values;
};

void Print(const Context& context, const v1::Series& series, const std::string& job, const Rows& rows) {
  const bool vector = !series.stack().empty();
  if (context.json()) {
    nlohmann::ordered_json json = {{"job", job}, {"series", series.series()}};
    if (vector) json["stack"] = series.stack();
    json["points"] = nlohmann::ordered_json::array();
    for (size_t i = 0; i < rows.updates.size(); ++i) {
      nlohmann::ordered_json point = {{"update", rows.updates[i]}};
      nlohmann::json values = nlohmann::json::array();
      for (const double value : rows.values[i]) values.push_back(JsonNumber(value));
      point[vector ? "values" : "value"] = vector ? values : values[0];
      json["points"].push_back(point);
    }
    std::puts(json.dump(2).c_str());
    return;
  }
  const size_t columns = rows.values.empty() ? 1 : rows.values[0].size();
  std::vector<std::string> titles = {">update"};
  for (size_t i = 0; i < columns; ++i)
    titles.push_back(vector ? absl::StrCat(">layer_", i + 1) : absl::StrCat(">", series.series()));
  Table table(titles);
  std::string csv;
  for (size_t i = 0; i < titles.size(); ++i) absl::StrAppend(&csv, i == 0 ? "" : ",", titles[i].substr(1));
  csv += "\n";
  for (size_t i = 0; i < rows.updates.size(); ++i) {
    std::vector<std::string> row = {absl::StrCat(rows.updates[i])};
    for (const double value : rows.values[i]) row.push_back(Number(value));
    for (size_t j = 0; j < row.size(); ++j) absl::StrAppend(&csv, j == 0 ? "" : ",", row[j]);
    csv += "\n";
    table.Add(row);
  }
  std::fputs(context.output == "csv" ? csv.c_str() : table.Text().c_str(), stdout);
}

absl::Status PrintSeries(const Context& context, const Connection& connection, const std::string& job,
                         const v1::Series& series) {
  Rows rows;
  if (series.stack().empty()) {
    const auto points = QueryScalars(connection, job, series.series());
    if (!points.ok()) return points.status();
    for (const auto& point : *points) {
      rows.updates.push_back(point.update());
      rows.values.push_back({point.value()});
    }
  } else {
    const auto points = QueryVectors(connection, job, series.series(), series.stack());
    if (!points.ok()) return points.status();
    for (const auto& point : *points) {
      rows.updates.push_back(point.update());
      rows.values.push_back({point.values().begin(), point.values().end()});
    }
  }
  Print(context, series, job, rows);
  return absl::OkStatus();
}

absl::Status Metrics(const Context& context, const MetricsOptions& options) {
  const auto job = ParseNameOf(NameKind::kJob, options.name);
  if (!job.ok()) return job.status();
  const Connection connection = context.Connect();
  const auto all = ListSeries(connection, *job);
  if (!all.ok()) return all.status();
  if (options.series.empty()) {
    if (context.json()) {
      PrintJsonList("series", *all);
      return absl::OkStatus();
    }
    Table table({"SERIES", "STACK", ">POINTS", ">LAST UPDATE"});
    std::string csv = "series,stack,points,last_update\n";
    for (const v1::Series& series : *all) {
      table.Add({series.series(), series.stack(), FormatCount(series.points()), std::to_string(series.last_update())});
      absl::StrAppend(&csv, series.series(), ",", series.stack(), ",", series.points(), ",", series.last_update(),
                      "\n");
    }
    std::fputs(context.output == "csv" ? csv.c_str() : table.Text().c_str(), stdout);
    return absl::OkStatus();
  }
  std::string stacks;
  for (const v1::Series& series : *all) {
    if (series.series() != options.series) continue;
    if (series.stack() == options.stack) return PrintSeries(context, connection, *job, series);
    absl::StrAppend(&stacks, stacks.empty() ? "" : " or ", series.stack());
  }
  if (!stacks.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.series, " has one value a layer. Say of which stack: --stack ", stacks, "."));
  }
  return absl::NotFoundError(absl::StrCat(ShortName(*job), " has no series \"", options.series, "\". 'strata metrics ",
                                          options.name, "' lists what is stored."));
}

}  // namespace

void AddMetrics(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "metrics",
                 "List what was measured in a job, or print one series. A trial stands for its TRAIN job.",
                 {"strata metrics quickstart-1/t3", "strata metrics quickstart-1/t3 --series valid_nll --output csv",
                  "strata metrics quickstart-1/t3 --series gradient_norm_output --stack decoder --output json"},
                 "table,json,csv");
  static MetricsOptions options;
  command->add_option("JOB", options.name, "Job, or trial")->required();
  command->add_option("--series", options.series, "Name of a series");
  command->add_option("--stack", options.stack, "Stack of a series with one value a layer")
      ->check(CLI::IsMember({"encoder", "decoder"}));
  OnRun(command, context, [&context] { return Metrics(context, options); });
}

}  // namespace strata::client
