// The encoder-decoder Transformer (fairseq's base) over two sequences of pieces: translation, headlines.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/layers/embedding.h"
#include "model/layers/packing.h"
#include "model/layers/parameters.h"
#include "model/layers/stack.h"
#include "model/tasks/task.h"

namespace strata::model {

class EncoderDecoder final : public SequenceModel {
 public:
  explicit EncoderDecoder(const ModelConfig& config);

  const ModelConfig& config() const override { return config_; }
  std::vector<NamedParameter> Parameters() const override;
  std::vector<std::pair<std::string, std::string>> Aliases() const override { return store_.aliases(); }
  std::vector<NamedView> FairseqViews() const override;
  LossSums Loss(const Batch& batch, bool training, LayerTaps* taps) override;
  at::Tensor Logits(const Batch& batch, LayerTaps* taps) override;
  Hypotheses Decode(const at::Tensor& source_BS, const DecodeOptions& options) override;
  bool NeedsProfile() const override;
  void Profile(const Batch& batch) override;

 private:
  class Stepper;

  void AddEmbeddings();
  void Initialise();
  at::Tensor Encode(const Packing& source, Pass& pass);
  // What the decoder's stack gives for a whole batch.
  at::Tensor Forward(const Packing& source, const Packing& target, Pass& pass);

  ModelConfig config_;
  ParameterStore store_;
  Positions positions_;
  at::Tensor source_table_VD_, target_table_VD_, output_table_VD_;
  std::unique_ptr<Stack> encoder_, decoder_;
};

}  // namespace strata::model
