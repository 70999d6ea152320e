#include "model/data/feature_shard.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/data/file.h"
#include "model/data/mapped_file.h"

namespace strata::model {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "features are little-endian and mapped as they are");

constexpr char kMagic[8] = {'S', 'T', 'R', 'A', 'T', 'A', 'F', 'E'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxBins = 4096;
constexpr char kRemedy[] = "Prepare the dataset again, or fetch it from the coordinator.";

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t bins;
  uint64_t clips;
  uint64_t frames;
  uint64_t length;
  uint64_t hash;  // XXH3-64 of all after the header
};
static_assert(sizeof(Header) == 48);

[[noreturn]] void Damaged(const fs::path& path, const std::string& what) {
  throw DataError(path.string() + " is damaged: " + what + ". " + kRemedy);
}

// Everything of the header; afterwards positions and features lie inside of the file.
Header CheckedHeader(const fs::path& path, const char* data, uint64_t size) {
  if (size < sizeof(kMagic) || std::memcmp(data, kMagic, sizeof(kMagic)) != 0) {
    throw DataError(path.string() +
                    " is no file of features (it does not start with STRATAFE). Name a file that strata-data wrote.");
  }
  Header h;
  if (size < sizeof(h)) {
    throw DataError(path.string() + " is truncated: " + Grouped(size) + " bytes, less than a header. " + kRemedy);
  }
  std::memcpy(&h, data, sizeof(h));
  if (h.version != kVersion) {
    throw DataError(path.string() + " has version " + std::to_string(h.version) + " of features; this program reads " +
                    std::to_string(kVersion) + ". Prepare the dataset again with this build's strata-data.");
  }
  if (size < h.length) {
    throw DataError(path.string() + " is truncated: " + Grouped(size) + " of " + Grouped(h.length) + " bytes. " +
                    kRemedy);
  }
  if (size > h.length) Damaged(path, "it has " + Grouped(size - h.length) + " bytes too many");
  if (h.bins < 1 || h.bins > kMaxBins) Damaged(path, "it claims " + Grouped(h.bins) + " bins");
  const uint64_t room = size - sizeof(h);
  if (h.clips >= room / sizeof(uint64_t)) Damaged(path, "it claims " + Grouped(h.clips) + " clips");
  const uint64_t left = room - (h.clips + 1) * sizeof(uint64_t), frame = h.bins * sizeof(float);
  if (left % frame != 0 || h.frames != left / frame) Damaged(path, "it claims " + Grouped(h.frames) + " frames");
  return h;
}

void CheckPositions(const fs::path& path, std::span<const uint64_t> positions, uint64_t frames) {
  if (positions.front() != 0) Damaged(path, "its positions do not start at 0");
  for (size_t i = 1; i < positions.size(); ++i) {
    if (positions[i] <= positions[i - 1]) Damaged(path, "its positions do not rise at clip " + Grouped(i - 1));
  }
  if (positions.back() != frames) Damaged(path, "its positions do not end with its frames");
}

[[noreturn]] void Fail(const std::string& what, const fs::path& path, int error) {
  std::string message = what + " " + path.string() + ": " + std::strerror(error) + ".";
  if (error == ENOSPC || error == EDQUOT) message += " Free some space, or write to another disk.";
  throw DataError(message);
}

using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Stream OpenStream(const fs::path& path, const char* mode) {
  Stream stream(std::fopen(path.c_str(), mode), &std::fclose);
  if (!stream) Fail("Cannot create", path, errno);
  return stream;
}

void Append(std::FILE* stream, const fs::path& path, const void* bytes, size_t size) {
  if (std::fwrite(bytes, 1, size, stream) != size) Fail("Cannot write", path, errno);
}

}  // namespace

FeatureShard FeatureShard::Open(const fs::path& path, Shard::Check check) {
  FeatureShard shard;
  uint64_t size = 0;
  shard.mapping_ = MapFile(path, "features", kRemedy, &size);
  const char* data = static_cast<const char*>(shard.mapping_.get());
  const Header h = CheckedHeader(path, data, size);
  if (check == Shard::Check::kAll && XXH3_64bits(data + sizeof(h), size - sizeof(h)) != h.hash) {
    Damaged(path, "its content does not have the hash that its header states");
  }
  shard.bins_ = h.bins;
  shard.positions_ = {reinterpret_cast<const uint64_t*>(data + sizeof(h)), h.clips + 1};
  CheckPositions(path, shard.positions_, h.frames);
  shard.features_ = {reinterpret_cast<const float*>(data + sizeof(h) + shard.positions_.size_bytes()),
                     h.frames * h.bins};
  return shard;
}

// The frames go to a file of their own until the table that stands before them is known.
struct FeatureShardWriter::File {
  File(fs::path final, int64_t bin_count)
      : path(std::move(final)),
        frames_path(path.string() + ".frames"),
        partial_path(path.string() + ".partial"),
        bins(bin_count),
        frames(OpenStream(frames_path, "wb+")) {}
  ~File() {
    std::error_code ignored;
    fs::remove(frames_path, ignored);
    fs::remove(partial_path, ignored);
  }

  void Write() {
    Header h{.version = kVersion,
             .bins = static_cast<uint32_t>(bins),
             .clips = positions.size() - 1,
             .frames = positions.back(),
             .length = 0,
             .hash = 0};
    std::memcpy(h.magic, kMagic, sizeof(kMagic));
    const size_t table = positions.size() * sizeof(uint64_t);
    h.length = sizeof(h) + table + h.frames * h.bins * sizeof(float);
    const Stream out = OpenStream(partial_path, "wb");
    const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> hash(XXH3_createState(), &XXH3_freeState);
    XXH3_64bits_reset(hash.get());
    XXH3_64bits_update(hash.get(), positions.data(), table);
    Append(out.get(), partial_path, &h, sizeof(h));
    Append(out.get(), partial_path, positions.data(), table);
    std::rewind(frames.get());
    std::vector<char> buffer(1 << 20);
    while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), frames.get())) {
      XXH3_64bits_update(hash.get(), buffer.data(), n);
      Append(out.get(), partial_path, buffer.data(), n);
    }
    if (std::ferror(frames.get())) Fail("Cannot read", frames_path, errno);
    h.hash = XXH3_64bits_digest(hash.get());
    std::rewind(out.get());
    Append(out.get(), partial_path, &h, sizeof(h));
    if (std::fflush(out.get()) != 0 || ::fsync(::fileno(out.get())) != 0) Fail("Cannot write", partial_path, errno);
  }

  const fs::path path, frames_path, partial_path;
  const int64_t bins;
  Stream frames;
  std::vector<uint64_t> positions = {0};
};

FeatureShardWriter::FeatureShardWriter(fs::path path, int64_t bins) {
  if (bins < 1 || bins > kMaxBins) throw DataError("Features have 1 to 4,096 bins, not " + std::to_string(bins) + ".");
  file_ = std::make_unique<File>(std::move(path), bins);
}

FeatureShardWriter::~FeatureShardWriter() = default;

void FeatureShardWriter::Add(std::span<const float> features) {
  const auto bins = static_cast<size_t>(file_->bins);
  if (features.empty() || features.size() % bins != 0) {
    throw DataError("A clip of " + Grouped(features.size()) + " numbers was added to features of " + Grouped(bins) +
                    " bins: it must be one or more whole frames.");
  }
  Append(file_->frames.get(), file_->frames_path, features.data(), features.size_bytes());
  file_->positions.push_back(file_->positions.back() + features.size() / bins);
}

void FeatureShardWriter::Finish() {
  const fs::path path = file_->path;
  if (std::fflush(file_->frames.get()) != 0) Fail("Cannot write", file_->frames_path, errno);
  file_->Write();
  if (::rename(file_->partial_path.c_str(), path.c_str()) != 0) Fail("Cannot rename to", path, errno);
  file_.reset();
  SyncFolder(path.has_parent_path() ? path.parent_path() : ".");
}

}  // namespace strata::model
