// The examples of speech recognition: clips as filter banks, with their transcripts.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "model/data/examples.h"

namespace strata::model {

// Opens a split's feature files (feature_shard.h) and the shards of one stream beside them. options.limit: the first so
// many clips; options.max_length: of them, those of at most so many frames. Sizes(0) are frames; Sizes(1) are target
// tokens with eos, but never more than the frames, so that max_tokens of a batch counts frames alone.
//
// Throws DataError naming what is wrong and the remedy: a dataset without features, files that do not belong together.
std::unique_ptr<Examples> OpenClips(const std::filesystem::path& folder, const Manifest& manifest,
                                    const std::string& split, const ExampleOptions& options);

}  // namespace strata::model
