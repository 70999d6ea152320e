// Lists of clips: a line a clip, the path of its audio and, behind a tab, what is said in it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace strata::data {

struct ClipEntry {
  std::filesystem::path audio;  // as it can be opened
  std::string transcript;       // UTF-8; empty where the list has none
};

struct SpeechList {
  std::filesystem::path file;
  std::vector<ClipEntry> clips;  // clip i stands on line i + 1

  // "list.tsv:3: ", to begin a message with; nothing where the list is a single sound file.
  std::string Where(size_t clip) const {
    return clip < clips.size() && clips[clip].audio == file ? ""
                                                            : file.string() + ":" + std::to_string(clip + 1) + ": ";
  }
};

enum class Transcripts { kRequired, kOptional };

// Reads a list; a path that is not absolute starts at the list's folder. Throws model::DataError naming the list, the
// line and the remedy: no UTF-8, no path, no such file, no transcript where one is required, more than two columns, no
// clips at all.
SpeechList ReadSpeechList(const std::filesystem::path& file, Transcripts transcripts);

// Text in lower case, character by character as Unicode maps them. `text` is UTF-8.
std::string LowerCase(std::string_view text);

}  // namespace strata::data
