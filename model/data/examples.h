// The examples of one split as a model takes them: sizes for batching, tensors for training. One implementation a kind of
// data (pairs of sentences, blocks of text, clips of speech), made by the task registry.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/data/manifest.h"
#include "model/data/shard.h"
#include "model/data/sized_examples.h"
#include "model/tasks/task.h"

namespace strata::model {

// Which examples of a split, and in which form.
struct ExampleOptions {
  uint64_t limit = 0;         // the first so many sentences (clips, lines) of the split; 0: all
  int64_t max_length = 0;     // leaves out what has a side longer than this, in subwords (frames); 0: nothing
  int64_t block_tokens = 512;   // language model: tokens of a block
  int64_t context_tokens = 0;   // language model: of them, those at the beginning that are context only
};

// Immutable, safe to read from many threads.
class Examples : public SizedExamples {
 public:
  // The examples with these numbers as one batch on the CPU, padded on the right; targets end with eos.
  virtual Batch Collate(std::span<const uint32_t> examples) const = 0;
  // The target vocabulary, for detokenising.
  virtual const std::vector<Piece>& pieces() const = 0;
};

// Opens a split's shards as pairs of sentences: translation, headlines. Throws DataError.
std::unique_ptr<Examples> OpenSentencePairs(const std::filesystem::path& folder, const Manifest& manifest,
                                            const std::string& split, const ExampleOptions& options);

}  // namespace strata::model
