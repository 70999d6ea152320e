#include "model/layers/adaptive.h"

#include <ATen/ATen.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "model/layers/add_norm.h"
#include "model/layers/device_path.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

std::string Text(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

// Numbers of the rows whose id stands in [begin, end).
at::Tensor RowsIn(const at::Tensor& ids_N, int64_t begin, int64_t end) {
  return ids_N.ge(begin).logical_and_(ids_N.lt(end)).nonzero().squeeze(1);
}

void CheckCutoffs(const ModelConfig& config) {
  const std::vector<int64_t>& cutoffs = config.adaptive_cutoffs;
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("model.adaptive_cutoffs is " + Text(cutoffs) + ", " + why);
  };
  if (cutoffs.back() >= config.vocabulary) {
    refuse("but the dataset's vocabulary has " + std::to_string(config.vocabulary) +
           " pieces: every cut-off must be below that. Lower them, or leave them empty for one band.");
  }
  if (cutoffs.front() <= kUnk) {
    refuse("but the first band holds the special pieces 0 to " + std::to_string(kUnk) +
           ". Begin with a cut-off above that.");
  }
  for (size_t i = 1; i < cutoffs.size(); ++i) {
    if (cutoffs[i] <= cutoffs[i - 1]) refuse("and cut-offs ascend. Write ascending numbers as 20000,60000.");
  }
  if (config.adaptive_factor < 1) {
    throw std::invalid_argument("model.adaptive_factor is " + std::to_string(config.adaptive_factor) +
                                ": each band's width is the one's before divided by it, so write at least 1.");
  }
}

}  // namespace

AdaptiveVocabulary::AdaptiveVocabulary(const ModelConfig& config, ParameterStore& store)
    : dim_(config.dim), vocabulary_(config.vocabulary), dropout_(config.adaptive_softmax_dropout), precision_(config.precision) {
  CheckCutoffs(config);
  std::vector<int64_t> ends = config.adaptive_cutoffs;
  ends.push_back(config.vocabulary);
  int64_t begin = 0, width = config.dim;
  for (const int64_t end : ends) {
    if (width < 1) {
      throw std::invalid_argument("model.adaptive_factor is " + std::to_string(config.adaptive_factor) + ": with " +
                                  std::to_string(ends.size()) + " bands the last would have no width (model.dim is " +
                                  std::to_string(config.dim) + "). Lower it, or write fewer model.adaptive_cutoffs.");
    }
    AddBand(config, store, begin, end, width);
    begin = end;
    width /= config.adaptive_factor;
  }
  const auto classes = static_cast<int64_t>(bands_.size()) - 1;
  const std::string name = "decoder.adaptive_softmax.head.class_proj.weight";
  classes_KD_ = store.Add(name, {classes, dim_},
                          {{.name = name,
                            .role = Role::kOutput,
                            .stack = "decoder",
                            .fan_in = dim_,
                            .fan_out = classes,
                            .initial = Initial::XavierUniform(dim_, classes)}});
}

void AdaptiveVocabulary::AddBand(const ModelConfig& config, ParameterStore& store, int64_t begin, int64_t end,
                                 int64_t width) {
  const std::string number = std::to_string(bands_.size()), input = "decoder.embed_tokens.embeddings." + number;
  Band band{.begin = begin, .rows = end - begin};
  // fairseq zeroes the row of the padding's number in every band.
  band.table_RW = store.Add(input + ".0.weight", {band.rows, width},
                            {{.name = input + ".0.weight",
                              .role = Role::kEmbedding,
                              .stack = "decoder",
                              .fan_in = width,
                              .fan_out = band.rows,
                              .initial = Initial::Normal(1 / std::sqrt(static_cast<double>(width))),
                              .zero_row = band.rows > kPad ? kPad : -1}});
  band.projection_DW = store.Add(input + ".1.weight", {config.dim, width},
                                 {{.name = input + ".1.weight",
                                   .role = Role::kOutput,
                                   .stack = "decoder",
                                   .fan_in = width,
                                   .fan_out = config.dim,
                                   .initial = Initial::XavierUniform(width, config.dim)}});
  if (bands_.empty()) {
    store.AddAlias("decoder.adaptive_softmax.head.word_proj.weight", input + ".0.weight");
  } else {
    const std::string tail = "decoder.adaptive_softmax.tail." + std::to_string(bands_.size() - 1);
    store.AddAlias(tail + ".0.weight", input + ".1.weight");
    store.AddAlias(tail + ".2.weight", input + ".0.weight");
  }
  bands_.push_back(std::move(band));
}

at::Tensor AdaptiveVocabulary::Embed(const Packing& packing, Positions& positions, const DropoutSite& dropout,
                                     const at::Tensor& kept_N) const {
  CheckIds(packing.tokens_N, vocabulary_, "token");
  std::vector<at::Tensor> indices, rows;
  for (const Band& band : bands_) {
    indices.push_back(RowsIn(packing.tokens_N, band.begin, band.begin + band.rows));
    const at::Tensor ids = at::index_select(packing.tokens_N, 0, indices.back()) - band.begin;
    rows.push_back(Linear(TableRows(band.table_RW, ids, /*scale=*/1, /*tied=*/true), band.projection_DW, precision_));
  }
  // Row i of the batch is row order[i] of the bands' rows one behind the other.
  const at::Tensor index = at::cat(indices),
                   order = at::empty_like(index).index_copy_(0, index, at::arange(index.numel(), at::kLong));
  const at::Device device = classes_KD_.device();
  at::Tensor x = at::index_select(at::cat(rows), 0, CopyTo(order, device)) * std::sqrt(static_cast<double>(dim_));
  if (kept_N.defined()) x = x * CopyTo(kept_N, device).to(x.scalar_type()).unsqueeze(1);
  return Dropout(x + positions.Of(packing, x), dropout);
}

LossSums AdaptiveVocabulary::Loss(const at::Tensor& x_ND, const at::Tensor& targets_N, Pass& pass) const {
  CheckIds(targets_N, vocabulary_, "target");
  const at::Tensor real = targets_N.ne(kPad).nonzero().squeeze(1);
  const bool all = real.numel() == targets_N.numel();
  const at::Device device = x_ND.device();
  const at::Tensor x = all ? x_ND : at::index_select(x_ND, 0, CopyTo(real, device)),
                   targets = all ? targets_N : at::index_select(targets_N, 0, real);
  at::Tensor head_classes = targets.clone();
  const at::TensorOptions doubles = x.options().dtype(at::kDouble).requires_grad(false);
  LossSums sums{.loss = at::zeros({}, doubles), .nll = at::zeros({}, doubles)};
  for (size_t i = 1; i < bands_.size(); ++i) {
    const Band& band = bands_[i];
    const at::Tensor rows = RowsIn(targets, band.begin, band.begin + band.rows);
    head_classes.index_fill_(0, rows, bands_[0].rows + static_cast<int64_t>(i) - 1);
    const at::Tensor hidden = Dropout(Linear(at::index_select(x, 0, CopyTo(rows, device)), band.projection_DW.t(), precision_), pass.Site(dropout_));
    const LossSums part = ClassLoss(hidden, band.table_RW, {}, at::index_select(targets, 0, rows) - band.begin, {}, precision_);
    sums = {.loss = sums.loss + part.loss, .nll = sums.nll + part.nll};
  }
  const LossSums head = ClassLoss(x, bands_[0].table_RW, classes_KD_, head_classes, {}, precision_);
  return {.loss = sums.loss + head.loss, .nll = sums.nll + head.nll};
}

at::Tensor AdaptiveVocabulary::LogProbabilities(const at::Tensor& x_ND) const {
  const int64_t words = bands_[0].rows;
  const at::Tensor head =
      at::log_softmax(at::cat({Linear(x_ND, bands_[0].table_RW, precision_), Linear(x_ND, classes_KD_, precision_)}, 1), 1);
  std::vector<at::Tensor> parts = {head.narrow(1, 0, words)};
  for (size_t i = 1; i < bands_.size(); ++i) {
    const at::Tensor tail = Linear(Linear(x_ND, bands_[i].projection_DW.t(), precision_), bands_[i].table_RW, precision_);
    parts.push_back(at::log_softmax(tail, 1) + head.narrow(1, words + static_cast<int64_t>(i) - 1, 1));
  }
  return at::cat(parts, 1);
}

}  // namespace strata::model
