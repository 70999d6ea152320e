#include "model/data/text_blocks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace strata::model {
namespace {

// A split's lines as one stream, eos behind each. Immutable.
class Stream {
 public:
  Stream(std::vector<Shard> shards, uint64_t limit) : shards_(std::move(shards)) {
    uint64_t lines = 0;
    starts_.push_back(0);
    for (const Shard& shard : shards_) {
      if (shard.streams() != 1) {
        throw DataError(
            "A shard has source and target where a language model needs one stream of text. Choose a dataset that was "
            "prepared for task language_model.");
      }
      uint64_t take = shard.sentences();
      if (limit > 0) take = std::min(take, limit - lines);
      lines += take;
      starts_.push_back(starts_.back() + shard.Index(0)[take] + take);
    }
  }

  uint64_t size() const { return starts_.back(); }
  const std::vector<Shard>& shards() const { return shards_; }

  // Calls visit(id) for the tokens [begin, end).
  template <typename Visit>
  void Read(uint64_t begin, uint64_t end, Visit visit) const {
    auto s = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), begin) - starts_.begin() - 1);
    for (; begin < end; ++s) begin = ReadShard(s, begin, std::min(end, starts_[s + 1]), visit);
  }

 private:
  // [begin, end) lies within shard s; returns end.
  template <typename Visit>
  uint64_t ReadShard(size_t s, uint64_t begin, uint64_t end, Visit visit) const {
    const std::span<const int32_t> ids = shards_[s].Ids(0);
    const std::span<const uint64_t> index = shards_[s].Index(0);
    // Line l begins at index[l] + l of the shard's part of the stream, and its eos stands at index[l + 1] + l.
    uint64_t at = begin - starts_[s], line = LineOf(index, at);
    for (const uint64_t stop = end - starts_[s]; at < stop; ++line) {
      const uint64_t eos = index[line + 1] + line, last = std::min(eos, stop);
      for (; at < last; ++at) visit(ids[at - line]);
      if (at < stop) {
        visit(kEosId);
        ++at;
      }
    }
    return end;
  }

  // The line that holds position `at`: the last one that begins there or before.
  static uint64_t LineOf(std::span<const uint64_t> index, uint64_t at) {
    uint64_t low = 0, high = index.size() - 1;  // the line is in [low, high)
    while (high - low > 1) {
      const uint64_t middle = (low + high) / 2;
      (index[middle] + middle <= at ? low : high) = middle;
    }
    return low;
  }

  std::vector<Shard> shards_;
  std::vector<uint64_t> starts_;  // stream position of each shard's first token, and the end
};

class TextBlocks final : public Examples {
 public:
  TextBlocks(Stream stream, uint64_t block, uint64_t context)
      : stream_(std::move(stream)), block_(block), context_(context) {
    if (!stream_.shards().empty())
      pieces_.assign(stream_.shards()[0].pieces().begin(), stream_.shards()[0].pieces().end());
    const uint64_t total = stream_.size(), step = block_ - context_;
    const uint64_t blocks = total == 0 ? 0 : total <= block_ ? 1 : 1 + (total - block_ + step - 1) / step;
    if (blocks > std::numeric_limits<uint32_t>::max()) {
      throw DataError("A split has more than 4,294,967,295 blocks of text. Raise the tokens of a block.");
    }
    size_ = blocks;
  }

  size_t size() const override { return size_; }
  const std::vector<Piece>& pieces() const override { return pieces_; }
  std::string RemedyForLength() const override { return "Raise train.max_tokens, or lower train.block_tokens."; }

  std::vector<int32_t> Sizes(int stream) const override {
    std::vector<int32_t> sizes(size_, static_cast<int32_t>(block_));
    if (size_ > 0) sizes.back() = static_cast<int32_t>(End(size_ - 1) - Begin(size_ - 1));
    return sizes;
  }

  void CountTargets(std::vector<uint64_t>& counts) const override {
    stream_.Read(0, stream_.size(), [&](int32_t id) { ++counts[static_cast<size_t>(id)]; });
  }

  Batch Collate(std::span<const uint32_t> blocks) const override {
    uint64_t longest = 0;
    for (const uint32_t block : blocks) longest = std::max(longest, End(block) - Begin(block));
    const auto rows = static_cast<int64_t>(blocks.size()), length = static_cast<int64_t>(longest);
    Batch batch{.sentences = rows};
    batch.target_input_BT = at::full({rows, length}, kPad, at::kLong);
    batch.target_BT = at::full({rows, length}, kPad, at::kLong);
    auto* input = batch.target_input_BT.mutable_data_ptr<int64_t>();
    auto* target = batch.target_BT.mutable_data_ptr<int64_t>();
    for (const uint32_t block : blocks) {
      const uint64_t begin = Begin(block), end = End(block), scored = begin + (block == 0 ? 0 : context_);
      int64_t *in = input, *out = target + (scored - begin);
      if (begin == 0) *in++ = kEos;
      stream_.Read(begin == 0 ? 0 : begin - 1, end - 1, [&](int32_t id) { *in++ = id; });
      stream_.Read(scored, end, [&](int32_t id) { *out++ = id; });
      batch.target_tokens += static_cast<int64_t>(end - scored);
      input += length;
      target += length;
    }
    return batch;
  }

 private:
  uint64_t Begin(uint64_t block) const { return block * (block_ - context_); }
  uint64_t End(uint64_t block) const { return std::min(Begin(block) + block_, stream_.size()); }

  Stream stream_;
  uint64_t block_, context_;
  std::vector<Piece> pieces_;
  size_t size_ = 0;
};

}  // namespace

std::unique_ptr<Examples> OpenTextBlocks(const std::filesystem::path& folder, const Manifest& manifest,
                                         const std::string& split, const ExampleOptions& options) {
  if (options.max_length > 0) {
    throw DataError(
        "train.max_length is " + std::to_string(options.max_length) +
        ", but a language model's text is one stream of which nothing can be left out. Write train.max_length: 0.");
  }
  if (options.block_tokens < 1 || options.block_tokens > std::numeric_limits<int32_t>::max()) {
    throw DataError("train.block_tokens is " + std::to_string(options.block_tokens) +
                    ": a block has at least one token.");
  }
  if (options.context_tokens < 0 || options.context_tokens >= options.block_tokens) {
    throw DataError("context_tokens is " + std::to_string(options.context_tokens) + " in windows of " +
                    std::to_string(options.block_tokens) +
                    " tokens: nothing of a window would be scored. Lower context_tokens, or raise "
                    "window_tokens.");
  }
  return std::make_unique<TextBlocks>(Stream(OpenSplit(folder, manifest, split), options.limit),
                                      static_cast<uint64_t>(options.block_tokens),
                                      static_cast<uint64_t>(options.context_tokens));
}

}  // namespace strata::model
