#include "worker/data/text_file.h"

#include "model/data/file.h"
#include "model/data/shard.h"
#include "model/data/utf8.h"
#include "model/metrics/text.h"

namespace strata::data {

size_t InvalidUtf8At(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const size_t length = model::CharacterLength(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

TextLines::TextLines(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) throw model::DataError(path.string() + " is a folder, not a text file.");
  text_ = std::make_unique<const std::string>(model::ReadFile(path));
  std::string_view rest = *text_;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  lines_ = model::Lines(rest);
  for (std::string_view& line : lines_) {
    const auto where = [&] { return path.string() + ":" + std::to_string(&line - lines_.data() + 1); };
    const size_t bad = InvalidUtf8At(line);
    if (bad != std::string_view::npos) {
      throw model::DataError(where() + ": not valid UTF-8 at byte " + std::to_string(bad + 1) +
                             " of the line. Convert the file, for example with: iconv -f LATIN1 -t UTF-8");
    }
    if (line.find('\0') != std::string_view::npos) {
      throw model::DataError(where() + ": holds a NUL. Is this a text file?");
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
  }
}

std::vector<std::string> ReadTextLines(const std::filesystem::path& path) {
  const TextLines text(path);
  return {text.lines().begin(), text.lines().end()};
}

std::string Joined(std::span<const std::string_view> lines) {
  std::string text;
  for (const std::string_view line : lines) text.append(line).append("\n");
  return text;
}

}  // namespace strata::data
