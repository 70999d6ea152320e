#include "worker/data/books.h"

#include <zlib.h>

#include <algorithm>
#include <cctype>

#include "model/data/shard.h"
#include "model/metrics/text.h"
#include "worker/data/parallel_text.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using model::DataError;

constexpr uint32_t kCharacters = 9, kStrings = 16;       // R's types
constexpr uint32_t kTypeOf = 0xff, kAttributes = 0x200;  // of a value's flags
constexpr size_t kLongest = size_t{1} << 28;

// Reads big-endian numbers and runs of bytes, never beyond the end.
class Bytes {
 public:
  Bytes(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  std::string_view Take(size_t count) {
    if (count > bytes_.size()) Fail("it is cut off");
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  uint32_t Number() {
    uint32_t number = 0;
    for (const char c : Take(4)) number = number << 8 | static_cast<unsigned char>(c);
    return number;
  }
  std::string_view left() const { return bytes_; }
  [[noreturn]] void Fail(const std::string& why) const {
    throw DataError(name_ + " is no database of R's with character vectors only: " + why + ".");
  }

 private:
  std::string_view bytes_;
  const std::string& name_;
};

// The value that is compressed at the beginning of `bytes`, which moves behind it.
std::string Inflated(Bytes* bytes) {
  const uint32_t length = bytes->Number();
  if (length > kLongest) bytes->Fail("a value of " + std::to_string(length) + " bytes");
  std::string value(length, '\0');
  const std::string_view from = bytes->left();
  uLongf written = length;
  uLong read = from.size();
  const int status = ::uncompress2(reinterpret_cast<Bytef*>(value.data()), &written,
                                   reinterpret_cast<const Bytef*>(from.data()), &read);
  if (status != Z_OK || written != length) bytes->Fail("a value that zlib cannot read");
  bytes->Take(read);
  return value;
}

std::vector<std::string> Strings(std::string_view value, const std::string& name) {
  Bytes bytes(value, name);
  if (bytes.Take(2) != "X\n") bytes.Fail("a value in another format than XDR");
  const uint32_t version = bytes.Number();
  bytes.Take(8);                                 // versions of R
  if (version == 3) bytes.Take(bytes.Number());  // name of an encoding
  if (version != 2 && version != 3) bytes.Fail("version " + std::to_string(version));
  const uint32_t flags = bytes.Number();
  if ((flags & kTypeOf) != kStrings || (flags & kAttributes) != 0) bytes.Fail("a value of another type");
  std::vector<std::string> strings;
  for (uint32_t left = bytes.Number(); left > 0; --left) {
    if ((bytes.Number() & kTypeOf) != kCharacters) bytes.Fail("an element of another type");
    const uint32_t length = bytes.Number();
    strings.emplace_back(length == UINT32_MAX ? std::string_view() : bytes.Take(length));
    if (InvalidUtf8At(strings.back()) != std::string::npos) bytes.Fail("a text that is not UTF-8");
  }
  if (!bytes.left().empty()) bytes.Fail("more behind a value than there should be");
  return strings;
}

bool OpensChapter(std::string_view line) {
  const auto words = model::SplitAtSpaces(line);
  if (words.size() != 2 || (words[0] != "CHAPTER" && words[0] != "Chapter")) return false;
  return std::all_of(words[1].begin(), words[1].end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) || std::string_view("IVXLC").find(c) != std::string_view::npos;
  });
}

// In one line: without marks of emphasis, with dashes as words of their own.
std::string Plain(std::string_view paragraph) {
  std::string plain;
  for (size_t at = 0; at < paragraph.size(); ++at) {
    if (paragraph.substr(at).starts_with("--")) {
      plain += " -- ";
      at = std::min(paragraph.find_first_not_of('-', at), paragraph.size()) - 1;
    } else if (paragraph[at] != '_') {
      plain += paragraph[at];
    }
  }
  return Tidied(plain);
}

}  // namespace

std::vector<std::vector<std::string>> StringVectorsOfRdb(std::string_view rdb, const std::string& name) {
  std::vector<std::vector<std::string>> vectors;
  Bytes bytes(rdb, name);
  while (!bytes.left().empty()) vectors.push_back(Strings(Inflated(&bytes), name));
  return vectors;
}

std::vector<TextDocument> Chapters(const std::vector<std::string>& lines) {
  std::vector<TextDocument> chapters;
  std::string paragraph;
  const auto finish = [&] {
    std::string plain = Plain(paragraph);
    if (!plain.empty() && !chapters.empty()) chapters.back().paragraphs.push_back(std::move(plain));
    paragraph.clear();
  };
  for (const std::string& line : lines) {
    if (OpensChapter(line)) {
      finish();
      const std::string number = std::to_string(chapters.size() + 1);
      chapters.push_back({lines[0] + "/" + number, {"= " + lines[0] + ", chapter " + number + " ="}});
    } else if (model::SplitAtSpaces(line).empty()) {
      finish();
    } else {
      paragraph.append(paragraph.empty() ? "" : " ").append(line);
    }
  }
  finish();
  return chapters;
}

}  // namespace strata::data
