#include "model/data/shard.h"

#include <bit>
#include <cstring>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/data/file.h"
#include "model/data/mapped_file.h"

namespace strata::model {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian and mapped as they are");

constexpr char kMagic[8] = {'S', 'T', 'R', 'A', 'T', 'A', 'S', 'H'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxStreams = 16;
constexpr uint64_t kMaxPieces = uint64_t{1} << 24;
constexpr char kRemedy[] = "Prepare the dataset again, or fetch it from the coordinator.";

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t streams;
  uint64_t sentences;
  uint64_t pieces;
  uint64_t pieces_offset;
  uint64_t index_offset;
  uint64_t tokens_offset;
  uint64_t length;
  uint64_t hash;  // XXH3-64 of all after the header
};
static_assert(sizeof(Header) == 72);

constexpr uint64_t Padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

[[noreturn]] void Damaged(const std::filesystem::path& path, const std::string& what) {
  throw DataError(path.string() + " is damaged: " + what + ". " + kRemedy);
}

// Everything of the header that can be judged before the parts are read; afterwards no sum below can overflow.
Header CheckedHeader(const std::filesystem::path& path, const char* data, uint64_t size) {
  if (size < sizeof(kMagic) || std::memcmp(data, kMagic, sizeof(kMagic)) != 0) {
    throw DataError(path.string() +
                    " is no shard (it does not start with STRATASH). Name a file that strata-data wrote.");
  }
  Header h;
  if (size < sizeof(h)) {
    throw DataError(path.string() + " is truncated: " + Grouped(size) + " bytes, less than a header. " + kRemedy);
  }
  std::memcpy(&h, data, sizeof(h));
  if (h.version != kVersion) {
    throw DataError(path.string() + " has shard version " + std::to_string(h.version) +
                    "; this program reads version " + std::to_string(kVersion) +
                    ". Prepare the dataset again with this build's strata-data.");
  }
  if (size < h.length) {
    throw DataError(path.string() + " is truncated: " + Grouped(size) + " of " + Grouped(h.length) + " bytes. " +
                    kRemedy);
  }
  if (size > h.length) Damaged(path, "it has " + Grouped(size - h.length) + " bytes too many");
  if (h.streams < 1 || h.streams > kMaxStreams) Damaged(path, "it claims " + Grouped(h.streams) + " streams");
  if (h.pieces > kMaxPieces) Damaged(path, "it claims " + Grouped(h.pieces) + " pieces");
  if (h.sentences >= size / 8) Damaged(path, "it claims " + Grouped(h.sentences) + " sentences");
  const uint64_t index_bytes = h.streams * (h.sentences + 1) * 8;
  if (h.pieces_offset != sizeof(h) || h.index_offset < sizeof(h) || h.index_offset % 8 != 0 || h.index_offset > size ||
      index_bytes > size - h.index_offset || h.tokens_offset != h.index_offset + index_bytes) {
    Damaged(path, "its header's offsets do not fit together");
  }
  return h;
}

std::vector<Piece> ReadPieces(const std::filesystem::path& path, const Header& h, const char* data) {
  std::vector<Piece> pieces;
  uint64_t at = h.pieces_offset;
  for (uint64_t i = 0; i < h.pieces; ++i) {
    uint32_t length = 0;
    if (h.index_offset - at < sizeof(length) + 1) Damaged(path, "its table of pieces is cut off at " + Grouped(i));
    std::memcpy(&length, data + at, sizeof(length));
    const auto kind = static_cast<uint8_t>(data[at + sizeof(length)]);
    at += sizeof(length) + 1;
    if (length > h.index_offset - at) Damaged(path, "piece " + Grouped(i) + " claims " + Grouped(length) + " bytes");
    if (kind < 1 || kind > 7) Damaged(path, "piece " + Grouped(i) + " is of unknown kind " + std::to_string(kind));
    pieces.push_back({std::string(data + at, length), static_cast<PieceKind>(kind)});
    at += length;
  }
  if (Padded(at) != h.index_offset) Damaged(path, "its table of pieces does not end where the index starts");
  return pieces;
}

void CheckIndex(const std::filesystem::path& path, std::span<const uint64_t> index, uint64_t room) {
  if (index.front() != 0) Damaged(path, "its index does not start at 0");
  for (size_t i = 1; i < index.size(); ++i) {
    if (index[i] < index[i - 1]) Damaged(path, "its index runs backwards at sentence " + Grouped(i));
  }
  if (index.back() > room) Damaged(path, "its index reaches beyond the end of the file");
}

void CheckIds(const std::filesystem::path& path, std::span<const int32_t> ids, uint64_t pieces) {
  for (const int32_t id : ids) {
    if (static_cast<uint32_t>(id) >= pieces) {
      Damaged(path, "token id " + std::to_string(id) + " is outside of its " + Grouped(pieces) + " pieces");
    }
  }
}

}  // namespace

Shard Shard::Open(const std::filesystem::path& path, Check check) {
  Shard shard;
  uint64_t size = 0;
  shard.mapping_ = MapFile(path, "shard", kRemedy, &size);
  const char* data = static_cast<const char*>(shard.mapping_.get());
  const Header h = CheckedHeader(path, data, size);
  if (check == Check::kAll && XXH3_64bits(data + sizeof(h), size - sizeof(h)) != h.hash) {
    Damaged(path, "its content does not have the hash that its header states");
  }
  shard.pieces_ = ReadPieces(path, h, data);
  shard.sentences_ = h.sentences;
  uint64_t at = h.tokens_offset;
  for (uint32_t s = 0; s < h.streams; ++s) {
    const auto* index = reinterpret_cast<const uint64_t*>(data + h.index_offset) + s * (h.sentences + 1);
    Stream stream{.index = {index, h.sentences + 1}, .ids = {}};
    CheckIndex(path, stream.index, (size - at) / sizeof(int32_t));
    stream.ids = {reinterpret_cast<const int32_t*>(data + at), stream.index.back()};
    if (check == Check::kAll) CheckIds(path, stream.ids, h.pieces);
    at += Padded(stream.ids.size_bytes());
    if (at > size) Damaged(path, "its tokens reach beyond the end of the file");
    shard.streams_.push_back(stream);
  }
  if (at != size) Damaged(path, "its tokens end before the file does");
  return shard;
}

ShardWriter::ShardWriter(std::vector<Piece> pieces, int streams)
    : pieces_(std::move(pieces)), index_(streams, std::vector<uint64_t>{0}), ids_(streams) {
  if (streams < 1 || streams > static_cast<int>(kMaxStreams)) throw DataError("A shard has 1 to 16 streams.");
  if (pieces_.size() > kMaxPieces) throw DataError("A shard has at most 16,777,216 pieces.");
}

void ShardWriter::Add(std::span<const std::span<const int32_t>> sentence) {
  if (sentence.size() != ids_.size()) {
    throw DataError("A sentence of " + std::to_string(sentence.size()) + " streams was added to a shard of " +
                    std::to_string(ids_.size()) + ".");
  }
  for (const auto& ids : sentence) {
    for (const int32_t id : ids) {
      if (static_cast<uint32_t>(id) < pieces_.size()) continue;
      throw DataError("Token id " + std::to_string(id) + " is outside of the vocabulary of " + Grouped(pieces_.size()) +
                      " pieces.");
    }
  }
  for (size_t s = 0; s < ids_.size(); ++s) {
    ids_[s].insert(ids_[s].end(), sentence[s].begin(), sentence[s].end());
    index_[s].push_back(ids_[s].size());
  }
}

void ShardWriter::Write(const std::filesystem::path& path) const {
  std::string out(sizeof(Header), '\0');
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof(kMagic));
  h.version = kVersion;
  h.streams = static_cast<uint32_t>(ids_.size());
  h.sentences = sentences();
  h.pieces = pieces_.size();
  h.pieces_offset = out.size();
  for (const Piece& piece : pieces_) {
    const auto length = static_cast<uint32_t>(piece.text.size());
    out.append(reinterpret_cast<const char*>(&length), sizeof(length));
    out.push_back(static_cast<char>(piece.kind));
    out += piece.text;
  }
  out.resize(Padded(out.size()));
  h.index_offset = out.size();
  for (const auto& index : index_) out.append(reinterpret_cast<const char*>(index.data()), index.size() * 8);
  h.tokens_offset = out.size();
  for (const auto& ids : ids_) {
    out.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
    out.resize(Padded(out.size()));
  }
  h.length = out.size();
  h.hash = XXH3_64bits(out.data() + sizeof(h), out.size() - sizeof(h));
  std::memcpy(out.data(), &h, sizeof(h));
  WriteFileAtomically(path, out);
}

}  // namespace strata::model
