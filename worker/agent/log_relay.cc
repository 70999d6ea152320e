#include "worker/agent/log_relay.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/utf8.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

constexpr int64_t kPieceBytes = 64 << 10;
constexpr int64_t kMostBytes = 16 << 20;
constexpr int64_t kKeptBytes = 256 << 10;

void PunchOut(const std::string& path, int64_t from, int64_t until) {
#ifdef FALLOC_FL_PUNCH_HOLE
  if (until <= from) return;
  const base::FileDescriptor file = Open(path, O_WRONLY);
  if (file.get() >= 0) (void)::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, until - from);
#endif
}

// The last number in a message: "... the log stands at 4711".
bool LastNumber(const absl::Status& status, int64_t* number) {
  const std::string text(status.message());
  const size_t end = text.find_last_of("0123456789");
  if (end == std::string::npos) return false;
  const size_t before = text.find_last_not_of("0123456789", end);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  return absl::SimpleAtoi(text.substr(begin, end - begin + 1), number);
}

}  // namespace

std::string ValidUtf8(std::string text) {
  for (size_t i = 0; i < text.size();) {
    const int length = base::Utf8Length(text, i);
    if (length <= 0 || text[i] == '\0') text[i] = '?';
    i += static_cast<size_t>(std::max(length, 1));
  }
  return text;
}

LogRelay::LogRelay(Coordinator& coordinator, AttemptId id, std::vector<Source> sources, bool only_rank,
                   std::string positions)
    : coordinator_(coordinator), id_(std::move(id)), only_rank_(only_rank), positions_(std::move(positions)) {
  for (Source& source : sources) readers_.push_back({std::move(source), 0});
  const auto saved = nlohmann::json::parse(ReadProc(positions_), nullptr, false);
  if (!saved.is_array() || saved.size() != readers_.size() + 1) return;
  offset_ = saved[0].get<int64_t>();
  for (size_t i = 0; i < readers_.size(); ++i) readers_[i].position = saved[i + 1].get<int64_t>();
}

void LogRelay::SavePositions() const {
  nlohmann::json saved = {offset_};
  for (const Reader& reader : readers_) saved.push_back(reader.position);
  const std::string temporary = positions_ + ".tmp";
  const base::FileDescriptor file = Open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0 || !WriteAll(file, saved.dump(), temporary).ok())
    return;  // no sync: it only has to outlive the agent
  ::rename(temporary.c_str(), positions_.c_str());
}

std::string LogRelay::NextText(const Reader& reader, bool ended, int64_t* consumed) const {
  *consumed = 0;
  const base::FileDescriptor file = Open(reader.source.path, O_RDONLY);
  if (file.get() < 0) return "";
  std::string text(kPieceBytes, '\0');
  const ssize_t n = ::pread(file.get(), text.data(), text.size(), reader.position);
  if (n <= 0) return "";
  text.resize(static_cast<size_t>(n));
  const bool full = text.size() == static_cast<size_t>(kPieceBytes);
  const size_t end = text.rfind('\n');  // whole lines, unless there will be no more or the line is longer than a piece
  if (end != std::string::npos && (full || !ended)) text.resize(end + 1);
  if (end == std::string::npos && !full && !ended) return "";
  *consumed = static_cast<int64_t>(text.size());
  text = ValidUtf8(std::move(text));
  if (only_rank_) return text;
  std::string marked;
  for (absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    absl::StrAppend(&marked, "[rank ", reader.source.rank, "] ", line, "\n");
  }
  return marked;
}

absl::Status LogRelay::Append(Reader& reader, const std::string& text, int64_t consumed) {
  const auto stands = coordinator_.AppendLog(id_, offset_, text);
  if (!stands.ok()) {
    int64_t where = 0;
    if (stands.status().code() == absl::StatusCode::kFailedPrecondition &&
        Classify(stands.status()) == Trouble::kRefused && LastNumber(stands.status(), &where)) {
      offset_ = where;
      if (only_rank_) reader.position = where;
    }
    return stands.status();
  }
  offset_ = *stands;
  reader.position = only_rank_ ? *stands : reader.position + consumed;
  PunchOut(reader.source.path, 0, reader.position - kKeptBytes);
  return absl::OkStatus();
}

absl::Status LogRelay::Step(bool ended) {
  bool all = true, moved = false;
  absl::Status status;
  for (const Reader& reader : readers_) {
    // Never relayed, as the pieces before it fill the attempt's share; room for one more, so that none is cut in two.
    const int64_t from = offset_ >= kMostBytes ? 0 : kMostBytes + kPieceBytes;
    PunchOut(reader.source.path, from, base::FileSize(reader.source.path) - kKeptBytes);
  }
  for (Reader& reader : readers_) {
    if (offset_ >= kMostBytes) break;
    int64_t consumed = 0;
    const std::string text = NextText(reader, ended, &consumed);
    if (consumed == 0) continue;
    all = false;
    status = Append(reader, text, consumed);
    if (!status.ok()) break;
    moved = true;
  }
  if (moved) SavePositions();
  done_ = ended && all;
  return status;
}

}  // namespace strata::agent
