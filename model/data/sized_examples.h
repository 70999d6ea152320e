// What batching knows of a split's examples: how many there are and how large. Plain C++.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/data/batching.h"

namespace strata::model {

// Immutable, safe to read from many threads.
class SizedExamples {
 public:
  virtual ~SizedExamples() = default;

  virtual size_t size() const = 0;
  // What max_tokens counts of each example, end of sentence included: stream 0 is the source (frames, for speech), 1 the target.
  // A task with one stream gives it twice. O(examples), one entry each.
  virtual std::vector<int32_t> Sizes(int stream) const = 0;
  // Adds how often each id stands in the targets, ends of sentence included. `counts` has one entry a piece.
  virtual void CountTargets(std::vector<uint64_t>& counts) const = 0;
  // Examples of the split that were too long to be used.
  virtual uint64_t left_out() const { return 0; }
  // What to write where one is too long for a batch of train.max_tokens.
  virtual std::string RemedyForLength() const {
    return "Raise train.max_tokens, or leave long pairs out with train.max_length.";
  }
};

// Batches for training: ties of length drawn from `seed`. Throws DataError naming the example that is too long for a batch and
// the remedy, and for no examples at all.
Batches TrainingBatches(const SizedExamples& examples, const BatchLimits& limits, uint64_t seed);

// Batches for validation and decoding: always the same for the same examples and limits; one longer than max_tokens is a batch
// of its own length.
Batches FixedBatches(const SizedExamples& examples, BatchLimits limits);

// NLL of `validation`'s targets (ends of sentence included), nats a token, under the add-one counts of `training`'s
// targets over `vocabulary` pieces: what a model reaches that knows nothing but how frequent words are.
double UnigramNll(const SizedExamples& training, const SizedExamples& validation, size_t vocabulary);

}  // namespace strata::model
