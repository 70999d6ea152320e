// strata-bench-training: one side of a training benchmark, driven line by line on standard input, so that a driver can
// alternate it with its peer (tests/bench/torch_peer.py, which answers to the same lines).
//
//   model SCHEME DIM FFN HEADS LAYERS VOCABULARY SENTENCES LENGTH [PRECISION]   makes a model and a batch -> ready PARAMETERS
//   step N          N updates of the newest model (forward, backward, Adam)   -> processor seconds of the fastest
//   pairs N         after two `model` lines: N updates of each, alternating   -> median of the ratios second / first,
//   and
//                   its standard error (a loaded machine shows here)
//   gemm            -> GFLOP/s of a large single-precision matrix product
//
// One thread, PRECISION fp32 (the default) or bf16, dropout 0.1, label smoothing 0.1; SENTENCES sentences of LENGTH source and LENGTH target tokens.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "model/layers/memory.h"
#include "model/optim/adam.h"
#include "model/tasks/task.h"

namespace {

using strata::model::Adam;
using strata::model::Batch;
using strata::model::SequenceModel;

double ProcessorSeconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Training {
  std::unique_ptr<SequenceModel> model;
  std::unique_ptr<Adam> adam;
  Batch batch;

  // Processor seconds of one update.
  double Step() {
    const double start = ProcessorSeconds();
    adam->ZeroGradients();
    model->Loss(batch, /*training=*/true).loss.backward();
    adam->Step(1e-4, static_cast<double>(batch.target_tokens));
    return ProcessorSeconds() - start;
  }
};

Training Make(std::istream& in) {
  strata::model::ModelConfig config;
  int64_t layers = 0, sentences = 0, length = 0;
  if (!(in >> config.scheme >> config.dim >> config.ffn_dim >> config.heads >> layers >> config.vocabulary >>
        sentences >> length)) {
    throw std::invalid_argument("model SCHEME DIM FFN HEADS LAYERS VOCABULARY SENTENCES LENGTH [PRECISION]");
  }
  if (std::string precision; in >> precision) config.precision = strata::model::ParsePrecision(precision);
  config.encoder_layers = config.decoder_layers = layers;
  Training training;
  training.model = strata::model::CreateModel(config);
  training.adam = std::make_unique<Adam>(training.model->Parameters(), strata::model::AdamOptions{});
  Batch& batch = training.batch;
  batch.source_BS = at::randint(4, config.vocabulary, {sentences, length}, at::kLong);
  batch.target_BT = at::randint(4, config.vocabulary, {sentences, length}, at::kLong);
  batch.target_input_BT =
      at::cat({at::full({sentences, 1}, strata::model::kEos, at::kLong), batch.target_BT.narrow(1, 0, length - 1)}, 1);
  batch.target_tokens = sentences * length;
  batch.sentences = sentences;
  return training;
}

double GemmRate() {
  const at::Tensor a = at::randn({1024, 1024}), b = at::randn({1024, 1024});
  double best = 1e9;
  for (int round = 0; round < 8; ++round) {
    const double start = ProcessorSeconds();
    const at::Tensor c = at::mm(a, b);
    best = std::min(best, ProcessorSeconds() - start);
  }
  return 2.0 * 1024 * 1024 * 1024 / best * 1e-9;
}

// Of a sorted list.
double Median(const std::vector<double>& values) {
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Median over pairs of second / first, both trained in turn, and its standard error by the median absolute deviation.
std::pair<double, double> PairRatio(Training& first, Training& second, int pairs) {
  std::vector<double> ratios;
  for (int i = 0; i < pairs; ++i) {
    // Who goes first changes, so that neither always finds the caches warm.
    const bool swapped = i % 2 == 1;
    const double one = (swapped ? second : first).Step(), two = (swapped ? first : second).Step();
    ratios.push_back(swapped ? one / two : two / one);
  }
  std::sort(ratios.begin(), ratios.end());
  const double median = Median(ratios);
  std::vector<double> deviations;
  for (const double ratio : ratios) deviations.push_back(std::abs(ratio - median));
  std::sort(deviations.begin(), deviations.end());
  return {median, 1.2533 * 1.4826 * Median(deviations) / std::sqrt(static_cast<double>(ratios.size()))};
}

std::string Answer(const std::string& line, std::vector<Training>& trainings) {
  std::istringstream in(line);
  std::ostringstream out;
  out.precision(9);
  std::string command;
  in >> command;
  if (command == "model") {
    trainings.push_back(Make(in));
    int64_t parameters = 0;
    for (const auto& parameter : trainings.back().model->Parameters()) parameters += parameter.tensor.numel();
    out << "ready " << parameters;
  } else if (command == "step" && !trainings.empty()) {
    int count = 1;
    in >> count;
    double best = 1e9;
    for (int i = 0; i < count; ++i) best = std::min(best, trainings.back().Step());
    out << best;
  } else if (command == "pairs" && trainings.size() >= 2) {
    int count = 1;
    in >> count;
    const auto [ratio, error] = PairRatio(trainings[trainings.size() - 2], trainings.back(), count);
    out << ratio << " " << error;
  } else if (command == "gemm") {
    out << GemmRate();
  } else {
    throw std::invalid_argument("\"" + line + "\" is no command here");
  }
  return out.str();
}

}  // namespace

int main() {
  strata::model::KeepFreedMemory();
  at::set_num_threads(1);
  at::globalContext().setFlushDenormal(true);
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(1);
  std::vector<Training> trainings;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << Answer(line, trainings) << std::endl;
    } catch (const std::exception& error) {
      std::cerr << "strata-bench-training: " << error.what() << "\n";
      return 1;
    }
  }
  return 0;
}
