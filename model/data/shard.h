// A shard: tokenised sentences with the table of their pieces, in one file that is mapped into memory.
//
// Plain C++ (no LibTorch, no SentencePiece): strata-data writes shards, strata-trainer reads them. The layout is in
// docs/DATASETS.md. A Shard is immutable and safe to read from many threads; what it hands out lives as long as it
// does. The file must not change while it is open (datasets are immutable).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace strata::model {

// A dataset's file is missing, damaged or not what it should be. The message names the file and the remedy.
class DataError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The ids that every vocabulary of ours gives to its control pieces.
inline constexpr int32_t kBosId = 0;
inline constexpr int32_t kPadId = 1;
inline constexpr int32_t kEosId = 2;
inline constexpr int32_t kUnkId = 3;

// SentencePiece's kinds, and kWordEnd: a piece behind which a word ends (vocabularies of words and of `@@ ` subwords).
enum class PieceKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
  kWordEnd = 7
};

struct Piece {
  std::string text;  // UTF-8; in SentencePiece's kinds a word starts with U+2581
  PieceKind kind = PieceKind::kNormal;
  friend bool operator==(const Piece&, const Piece&) = default;
};

// Text of `ids` as SentencePiece decodes them: control pieces vanish, the unknown piece is " ⁇ ", a run of byte pieces
// is UTF-8 with U+FFFD for what is not. Behind a kWordEnd piece stands one space, unless it is the last. Throws DataError
// on an id outside of `pieces`.
std::string Detokenise(std::span<const Piece> pieces, std::span<const int32_t> ids);

class Shard {
 public:
  enum class Check { kAll, kStructure };  // kStructure leaves out the hash and the ids' range, for a quick look

  // Maps `path` and checks it: magic, version, lengths, index, ids, hash. Throws DataError.
  static Shard Open(const std::filesystem::path& path, Check check = Check::kAll);

  Shard(Shard&&) noexcept = default;
  Shard& operator=(Shard&&) noexcept = default;

  int streams() const { return static_cast<int>(streams_.size()); }  // 2: source and target; 1: language model
  uint64_t sentences() const { return sentences_; }
  uint64_t tokens(int stream) const { return streams_[stream].index.back(); }  // without bos and eos
  std::span<const Piece> pieces() const { return pieces_; }

  // Ids of one sentence, without bos and eos; may be empty. stream < streams(), sentence < sentences().
  std::span<const int32_t> Sentence(int stream, uint64_t sentence) const {
    const Stream& s = streams_[stream];
    return s.ids.subspan(s.index[sentence], s.index[sentence + 1] - s.index[sentence]);
  }
  // All ids of a stream, and where each sentence starts in it (sentences() + 1 entries).
  std::span<const int32_t> Ids(int stream) const { return streams_[stream].ids; }
  std::span<const uint64_t> Index(int stream) const { return streams_[stream].index; }

 private:
  struct Stream {
    std::span<const uint64_t> index;
    std::span<const int32_t> ids;
  };
  Shard() = default;

  std::shared_ptr<const void> mapping_;
  uint64_t sentences_ = 0;
  std::vector<Stream> streams_;
  std::vector<Piece> pieces_;
};

// Collects sentences in memory and writes them as one shard. Not thread-safe.
class ShardWriter {
 public:
  ShardWriter(std::vector<Piece> pieces, int streams);

  // One sentence: its ids in each stream. Throws DataError on an id outside of the pieces, or another number of
  // streams.
  void Add(std::span<const std::span<const int32_t>> sentence);

  uint64_t sentences() const { return index_[0].size() - 1; }
  uint64_t tokens(int stream) const { return ids_[stream].size(); }

  // Writes to a temporary name, syncs and renames. Throws DataError naming the file and the system's reason.
  void Write(const std::filesystem::path& path) const;

 private:
  std::vector<Piece> pieces_;
  std::vector<std::vector<uint64_t>> index_;
  std::vector<std::vector<int32_t>> ids_;
};

}  // namespace strata::model
