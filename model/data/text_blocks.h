// The examples of a language model: a text as one stream of tokens, cut into blocks.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "model/data/examples.h"

namespace strata::model {

// Opens a split whose shards have one stream. Each line ends with eos (an empty one is eos alone); the stream is cut
// into blocks of options.block_tokens targets as fairseq's TokenBlockDataset does without breaks, the last one shorter.
// The input of each target is the token before it in the stream, the first one's eos. options.limit: the stream ends
// behind so many lines.
//
// With options.context_tokens = c > 0 the blocks become windows for evaluation: each begins block_tokens - c tokens
// behind the one before, and all but the first have kPad as their first c targets: context only. Every token of the
// stream is the target of exactly one block. Both sizes of an example are its length, context included; there is no
// padding within a batch but behind the last block.
//
// Throws DataError naming what is wrong and the remedy: shards of two streams, context_tokens not below block_tokens,
// or options.max_length, which has nothing to leave out of a stream.
std::unique_ptr<Examples> OpenTextBlocks(const std::filesystem::path& folder, const Manifest& manifest,
                                         const std::string& split, const ExampleOptions& options);

}  // namespace strata::model
