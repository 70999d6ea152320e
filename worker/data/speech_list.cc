#include "worker/data/speech_list.h"

#include <locale.h>
#include <wctype.h>

#include <cstdint>

#include "model/data/shard.h"
#include "model/data/utf8.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;

constexpr char kForm[] = "A line is the path of an audio file, a tab and its transcript.";

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

ClipEntry ReadLine(const SpeechList& list, const std::string& line, Transcripts transcripts) {
  const std::string where = list.Where(list.clips.size());
  const size_t tab = line.find('\t');
  if (tab != std::string::npos && line.find('\t', tab + 1) != std::string::npos) {
    throw DataError(where + "more than two columns. " + kForm);
  }
  ClipEntry clip{.audio = line.substr(0, tab), .transcript = {}};
  if (clip.audio.empty()) throw DataError(where + "no path. " + kForm);
  if (clip.audio.is_relative()) clip.audio = list.file.parent_path() / clip.audio;
  if (!fs::exists(clip.audio)) {  // all files are looked for before any is read
    throw DataError(where + "there is no file " + clip.audio.string() + ". Mend its path, or take the line out.");
  }
  if (tab != std::string::npos) clip.transcript = Trimmed(std::string_view(line).substr(tab + 1));
  if (clip.transcript.empty() && transcripts == Transcripts::kRequired) {
    throw DataError(where + clip.audio.string() + " has no transcript. " + kForm);
  }
  return clip;
}

char32_t Decoded(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  char32_t code = first & (0xffu >> (character.size() + 1));
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  return code;
}

void Append(char32_t code, std::string* text) {
  if (code < 0x80) {
    *text += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  *text += static_cast<char>((0xff00u >> (more + 1) & 0xffu) | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) *text += static_cast<char>(0x80u | (code >> (6 * i) & 0x3fu));
}

}  // namespace

SpeechList ReadSpeechList(const fs::path& file, Transcripts transcripts) {
  SpeechList list{.file = file, .clips = {}};
  for (const std::string& line : ReadTextLines(file)) list.clips.push_back(ReadLine(list, line, transcripts));
  if (list.clips.empty()) throw DataError(file.string() + " lists no clips. " + kForm);
  return list;
}

std::string LowerCase(std::string_view text) {
  static const locale_t unicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode == nullptr)
    throw DataError("This machine has no locale C.UTF-8, which lower-casing goes by. Install it (Debian: libc-bin).");
  std::string lower;
  while (!text.empty()) {
    const size_t length = model::CharacterLength(text);
    if (length == 0) throw DataError("Text to be lower-cased is not UTF-8.");
    Append(static_cast<char32_t>(::towlower_l(static_cast<wint_t>(Decoded(text.substr(0, length))), unicode)), &lower);
    text.remove_prefix(length);
  }
  return lower;
}

}  // namespace strata::data
