// strata-bench-decoding: our side of the beam-search benchmark, driven line by line on standard input in turn with its peer
// (tests/bench/ctranslate2_peer.py, which answers to the same lines).
//
//   model SCHEME DIM FFN HEADS LAYERS VOCABULARY SENTENCES LENGTH FILE [PRECISION]   makes a model and sources, writes its
//                  weights to FILE (safetensors; fairseq's names, `sources`) for the peer    -> ready PARAMETERS
//                  The first model of a process always has the same weights and sources.
//   decode         beam 4, every hypothesis LENGTH tokens long               -> processor seconds
//   outputs        the tokens of the best hypotheses of the last decode      -> one line, sentence by sentence
//   gemm           -> GFLOP/s of a large single-precision matrix product
//
// One thread; PRECISION is fp32 (the default) or bf16.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

#include "model/data/safetensors.h"
#include "model/layers/memory.h"
#include "model/tasks/task.h"

namespace {

using strata::model::Batch;
using strata::model::Hypotheses;
using strata::model::SequenceModel;

double ProcessorSeconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
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

class Decoding {
 public:
  explicit Decoding(std::istream& in) {
    strata::model::ModelConfig config;
    int64_t layers = 0, sentences = 0;
    std::string file;
    if (!(in >> config.scheme >> config.dim >> config.ffn_dim >> config.heads >> layers >> config.vocabulary >> sentences >>
          length_ >> file)) {
      throw std::invalid_argument("model SCHEME DIM FFN HEADS LAYERS VOCABULARY SENTENCES LENGTH FILE [PRECISION]");
    }
    if (std::string precision; in >> precision) config.precision = strata::model::ParsePrecision(precision);
    config.encoder_layers = config.decoder_layers = layers;
    model_ = strata::model::CreateModel(config);
    batch_.source_BS = at::randint(4, config.vocabulary, {sentences, length_}, at::kLong);
    batch_.source_BS.select(1, length_ - 1).fill_(strata::model::kEos);
    batch_.sentences = sentences;
    Save(file);
  }

  int64_t Parameters() const {
    int64_t count = 0;
    for (const auto& parameter : model_->Parameters()) count += parameter.tensor.numel();
    return count;
  }

  double Decode() {
    const double start = ProcessorSeconds();
    found_ = model_->Decode(batch_, {.beam = 4, .max_length_b = length_ - 1, .min_length = length_ - 1});
    return ProcessorSeconds() - start;
  }

  std::string Outputs() const {
    std::string line;
    for (const auto& sentence : found_) {
      for (const int64_t token : sentence.at(0).tokens) line += (line.empty() ? "" : " ") + std::to_string(token);
    }
    return line;
  }

 private:
  void Save(const std::string& file) const {
    strata::model::NamedTensors tensors;
    for (const auto& view : model_->FairseqViews()) {
      for (const auto& parameter : model_->Parameters()) {
        if (parameter.name != view.parameter) continue;
        tensors.emplace_back(view.name, parameter.tensor.detach().narrow(0, view.begin, view.rows).contiguous());
      }
    }
    tensors.emplace_back("sources", batch_.source_BS);
    strata::model::WriteSafetensors(file, tensors, {});
  }

  std::unique_ptr<SequenceModel> model_;
  Batch batch_;
  int64_t length_ = 0;
  Hypotheses found_;
};

std::string Answer(const std::string& line, std::unique_ptr<Decoding>& decoding) {
  std::istringstream in(line);
  std::ostringstream out;
  out.precision(9);
  std::string command;
  in >> command;
  if (command == "model") {
    decoding = std::make_unique<Decoding>(in);
    out << "ready " << decoding->Parameters();
  } else if (command == "decode" && decoding) {
    out << decoding->Decode();
  } else if (command == "outputs" && decoding) {
    out << decoding->Outputs();
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
  std::unique_ptr<Decoding> decoding;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << Answer(line, decoding) << std::endl;
    } catch (const std::exception& error) {
      std::cerr << "strata-bench-decoding: " << error.what() << "\n";
      return 1;
    }
  }
  return 0;
}
