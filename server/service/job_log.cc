#include "server/service/job_log.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/utf8.h"

namespace strata::service {
namespace {

constexpr char kMark[] = "\n[strata: %020lld bytes are left out here]\n";
constexpr int64_t kMarkBytes = sizeof(kMark) - 1 + 13;  // "%020lld" becomes 20 digits

std::string Mark(int64_t omitted) {
  char text[80];
  std::snprintf(text, sizeof(text), kMark, static_cast<long long>(omitted));
  return text;
}

// A log as it lies on disk: the head, and behind it, once it was cut, the mark and the tail.
struct Layout {
  int64_t size = 0;     // of the file
  int64_t omitted = 0;  // bytes left out; 0: never cut
  int64_t length() const { return omitted == 0 ? size : size - kMarkBytes + omitted; }
};

absl::StatusOr<Layout> ReadLayout(const std::string& path, const JobLogLimits& limits) {
  Layout layout{.size = base::FileSize(path)};
  if (layout.size < limits.end + kMarkBytes) return layout;
  auto file = base::OpenFile(path, O_RDONLY);
  if (!file.ok()) return file.status();
  const auto mark = base::ReadAt(*file, limits.end, kMarkBytes, path);
  if (!mark.ok()) return mark.status();
  long long omitted = 0;
  if (std::sscanf(mark->c_str(), kMark, &omitted) == 1 && Mark(omitted) == *mark) layout.omitted = omitted;
  return layout;
}

// Rewrites the file as head, mark and tail.
absl::Status Cut(const std::string& path, const Layout& layout, const JobLogLimits& limits) {
  auto file = base::OpenFile(path, O_RDONLY);
  if (!file.ok()) return file.status();
  const auto head = base::ReadAt(*file, 0, limits.end, path);
  if (!head.ok()) return head.status();
  const auto tail = base::ReadAt(*file, layout.size - limits.end, limits.end, path);
  if (!tail.ok()) return tail.status();
  return base::WriteFileAtomically(path, absl::StrCat(*head, Mark(layout.length() - 2 * limits.end), *tail));
}

// Replaces what is no UTF-8; returns how many bytes at the end belong to a character that goes on behind it.
size_t MakeUtf8(std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const int length = base::Utf8Length(text, at);
    if (length < 0) {
      const size_t rest = text.size() - at;
      text.resize(at);
      return rest;
    }
    if (length == 0) text[at] = '?';
    at += static_cast<size_t>(std::max(length, 1));
  }
  return 0;
}

}  // namespace

absl::StatusOr<int64_t> JobLogLength(const std::string& path, const JobLogLimits& limits) {
  const auto layout = ReadLayout(path, limits);
  if (!layout.ok()) return layout.status();
  return layout->length();
}

absl::StatusOr<int64_t> AppendJobLog(const std::string& path, int64_t offset, const std::string& text,
                                     const JobLogLimits& limits) {
  if (absl::Status status = base::MakeFolders(std::filesystem::path(path).parent_path().string()); !status.ok())
    return status;
  auto layout = ReadLayout(path, limits);
  if (!layout.ok()) return layout.status();
  if (offset != layout->length()) {
    return absl::FailedPreconditionError(
        absl::StrCat("offset is ", offset, ", but the log stands at ", layout->length(), ". Go on from there."));
  }
  auto file = base::OpenFile(path, O_WRONLY | O_CREAT);
  if (!file.ok()) return file.status();
  if (absl::Status status = base::WriteAt(*file, text, layout->size, path); !status.ok()) return status;
  layout->size += static_cast<int64_t>(text.size());
  if (layout->size > limits.most) {
    if (absl::Status status = Cut(path, *layout, limits); !status.ok()) return status;
  }
  return layout->length();
}

absl::StatusOr<JobLogPiece> ReadJobLog(const std::string& path, int64_t offset, int64_t most_bytes,
                                       const JobLogLimits& limits) {
  const auto layout = ReadLayout(path, limits);
  if (!layout.ok()) return layout.status();
  JobLogPiece piece{.next_offset = std::min(offset, layout->length())};
  if (layout->size == 0 || offset >= layout->length()) return piece;
  auto file = base::OpenFile(path, O_RDONLY);
  if (!file.ok()) return file.status();
  // Where the offset lies in the file, and where it stands after what is read.
  const int64_t gap_end = limits.end + layout->omitted;
  int64_t from = offset, most = most_bytes, skipped = 0;
  if (layout->omitted > 0 && offset < limits.end) {
    most = std::min(most, limits.end - offset);
  } else if (layout->omitted > 0 && offset < gap_end) {
    from = limits.end;
    most = kMarkBytes;
    skipped = gap_end - offset - kMarkBytes;
  } else if (layout->omitted > 0) {
    from = offset - layout->omitted + kMarkBytes;
  }
  auto text = base::ReadAt(*file, from, most, path);
  if (!text.ok()) return text.status();
  const auto taken = static_cast<int64_t>(text->size());
  const auto rest = static_cast<int64_t>(MakeUtf8(*text));
  // A character that is cut off by the end of the log, not by the size of the piece, is shown as far as it goes.
  const bool stuck = rest > 0 && text->empty();
  piece.text = stuck ? std::string(static_cast<size_t>(rest), '?') : *std::move(text);
  piece.next_offset = offset + taken - (stuck ? 0 : rest) + skipped;
  piece.at_end = piece.next_offset >= layout->length();
  return piece;
}

}  // namespace strata::service
