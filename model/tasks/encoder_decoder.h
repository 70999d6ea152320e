// The encoder-decoder Transformer (fairseq's base): translation, headlines, and with another front end speech.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/layers/embedding.h"
#include "model/tasks/transformer_model.h"

namespace strata::model {

// What an encoder's stack gets: packed rows, and where each sentence's are.
struct SourceRows {
  Packing packing;
  at::Tensor x_ND;
};

// Turns a batch's source into the encoder's input.
class SourceFrontEnd {
 public:
  virtual ~SourceFrontEnd() = default;
  // Scaled, with positions, after dropout. keep_padding: as Pack's.
  virtual SourceRows Embed(const Batch& batch, Pass& pass, bool keep_padding) = 0;
  // The embedding that target and output may share; undefined where there is none.
  virtual at::Tensor Table() const { return {}; }
  // What fairseq calls a part of the model around this front end; `name` is the base Transformer's.
  virtual std::string FairseqName(const std::string& name) const { return name; }
};

class EncoderDecoder final : public TransformerModel {
 public:
  // Adds the front end's parameters to the store.
  using FrontEndFactory = std::function<std::unique_ptr<SourceFrontEnd>(const ModelConfig& config,
                                                                        ParameterStore& store, Positions& positions)>;

  // A model of two sequences of pieces.
  EncoderDecoder(const ModelConfig& config, Construction construction);
  EncoderDecoder(const ModelConfig& config, Construction construction, const FrontEndFactory& front_end);

  std::vector<NamedView> FairseqViews() const override;
  LossSums Loss(const Batch& batch, bool training, LayerTaps* taps) override;
  at::Tensor Logits(const Batch& batch, LayerTaps* taps) override;
  Hypotheses Decode(const Batch& batch, const DecodeOptions& options) override;

 private:
  void AddTargetEmbeddings();
  at::Tensor Encode(const SourceRows& source, Pass& pass);
  // What the decoder's stack gives for a whole batch.
  at::Tensor Forward(const SourceRows& source, const Packing& target, Pass& pass);
  void ProfilePass(const Batch& batch, Pass& pass) override;

  Positions positions_;
  std::unique_ptr<SourceFrontEnd> front_end_;
  at::Tensor target_table_VD_, output_table_VD_;
  std::unique_ptr<Stack> encoder_, decoder_;
};

// Throws std::invalid_argument naming the field and the task for an option of `config` that another task has:
// adaptive_cutoffs and adaptive_softmax_dropout (language_model), SpecAugment's masks (speech).
void CheckOptionsOfTask(const ModelConfig& config);

// A new embedding [V, D], N(0, D^-1/2), with row kPad zero where `role` is kEmbedding.
at::Tensor AddEmbedding(const ModelConfig& config, ParameterStore& store, const std::string& name,
                        const std::string& stack, Role role);

}  // namespace strata::model
