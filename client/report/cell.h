// A cell of a table: one configuration, its seeds and what came out. The one place that says which trials belong
// together.
#pragma once

#include <string>
#include <vector>

#include "client/report/report.h"
#include "server/base/spec/spec.h"

namespace strata::client {

struct ResultCell {
  std::string scheme, depth;
  std::string label;  // as TrialResult::label
  std::vector<const TrialResult*> seeds;
};

// The cells of a report in the order of its trials; they point into it. Trials are of one cell if their specs differ in
// nothing but the seed, what is measured, threads and what a training keeps on the disk. A seed that was trained twice
// counts once: the one that has scores, else the first.
std::vector<ResultCell> Cells(const Report& report);

// Whether a field has a part in what comes out of a training; the seed has none here.
bool DecidesResult(const base::Field& field);

// How the seeds ended.
struct Outcome {
  size_t succeeded = 0, diverged = 0;
  std::vector<std::string> others;  // "RUNNING", "FAILED (out_of_memory)", each once
};
Outcome OutcomeOf(const ResultCell& cell);

// Device-hours that the attempts of a trial's training took: time from leases to end, times ranks. 0: none has ended.
double DeviceHours(const v1::Trial& trial);
// What it ran on, as the trainer named it: "cpu"; "" if nothing has run.
std::string DeviceOf(const v1::Trial& trial);

double Mean(const std::vector<double>& values);
// Of a sample; 0 for fewer than two values.
double Deviation(const std::vector<double>& values);
// "26.53", "26.53 ± 0.12": mean and standard deviation. "" for no values.
std::string FormatSpread(const std::vector<double>& values, int digits);

}  // namespace strata::client
