#include "worker/data/speech_debian.h"

#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "model/metrics/text.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;
using model::DataError;

constexpr char kWording[] = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz";
constexpr char kSounds[] = "usr/share/asterisk/sounds/en_US_f_Allison";
constexpr std::array<const char*, 10> kDigits = {"zero", "one", "two",   "three", "four",
                                                 "five", "six", "seven", "eight", "nine"};

bool IsLetter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 0x80;
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Remarks in brackets are not said.
std::string WithoutRemarks(std::string_view prompt) {
  std::string said;
  int depth = 0;
  for (const char c : prompt) {
    if (c == '[' || c == '<' || c == '(') ++depth;
    if (depth == 0) said += c;
    if ((c == ']' || c == '>' || c == ')') && depth > 0) --depth;
  }
  return said;
}

// Whether text[at] is a digit with neither letter, digit nor decimal point beside it.
bool StandsAlone(std::string_view text, size_t at) {
  const auto bound = [&](size_t i) {
    return IsLetter(text[i]) || IsDigit(text[i]) || (text[i] == '.' && i + 1 < text.size() && IsDigit(text[i + 1]));
  };
  return (at == 0 || !bound(at - 1)) && (at + 1 == text.size() || !bound(at + 1));
}

std::string RunOrThrow(const std::vector<std::string>& command, const std::string& what) {
  ProcessResult result = RunProcess(command);
  if (result.status != 0) throw DataError("Cannot unpack " + what + ": " + result.errors);
  return std::move(result.output);
}

struct Line {
  std::string name, words;
};

// "name: wording" a line; ";" starts a comment.
std::optional<Line> ReadLine(std::string_view line) {
  const size_t colon = line.find(": ");
  if (line.starts_with(";") || colon == std::string_view::npos) return std::nullopt;
  Line read{.name = std::string(line.substr(0, colon)), .words = SpokenWords(line.substr(colon + 2))};
  const fs::path path(read.name);
  for (const fs::path& part : path) {
    if (part == ".." || path.is_absolute()) return std::nullopt;
  }
  return read.words.empty() ? std::nullopt : std::optional(read);
}

}  // namespace

std::string SpokenWords(std::string_view prompt) {
  const std::string said = WithoutRemarks(prompt);
  std::string words;
  const auto space = [&] {
    if (!words.empty() && words.back() != ' ') words += ' ';
  };
  for (size_t i = 0; i < said.size(); ++i) {
    const bool inside = i > 0 && i + 1 < said.size() && IsLetter(said[i - 1]) && IsLetter(said[i + 1]);
    if (IsLetter(said[i]) || (said[i] == '\'' && inside)) {
      words += static_cast<char>(std::tolower(static_cast<unsigned char>(said[i])));
    } else if (!IsDigit(said[i])) {
      space();
    } else if (StandsAlone(said, i)) {
      space();
      words += kDigits[static_cast<size_t>(said[i] - '0')];
    } else {
      return "";
    }
  }
  if (words.ends_with(' ')) words.pop_back();
  return words;
}

std::string SpeechSplit(const std::string& words) {
  const unsigned long hash = std::stoul(model::Sha256(words).substr(0, 8), nullptr, 16) % 100;
  return hash < 8 ? "test" : hash < 16 ? "valid" : "train";
}

std::map<std::string, uint64_t> FetchDebianSpeech(Apt& apt, const fs::path& folder) {
  const fs::path unpacked = folder / "unpacked";
  nlohmann::ordered_json provenance = nlohmann::ordered_json::array();
  for (const AptPackage& package : apt.Download({"asterisk-core-sounds-en", "asterisk-core-sounds-en-wav"})) {
    RunOrThrow({"dpkg-deb", "-x", package.file.string(), unpacked.string()}, package.file.string());
    provenance.push_back({{"part", "prompts"},
                          {"origin", "Debian package " + package.name},
                          {"version", package.version},
                          {"sha256", package.sha256},
                          {"licence", "CC-BY-SA-3.0"}});
  }
  const std::string wording = RunOrThrow({"gzip", "-dc", (unpacked / kWording).string()}, kWording);
  std::map<std::string, std::string> lists = {{"train", ""}, {"valid", ""}, {"test", ""}};
  std::map<std::string, uint64_t> clips;
  for (const std::string_view text : model::Lines(wording)) {
    const std::optional<Line> line = ReadLine(text);
    if (!line || !fs::is_regular_file(unpacked / kSounds / (line->name + ".wav"))) continue;
    const fs::path audio = fs::path("audio") / (line->name + ".wav");
    fs::create_directories((folder / audio).parent_path());
    fs::rename(unpacked / kSounds / (line->name + ".wav"), folder / audio);
    const std::string split = SpeechSplit(line->words);
    lists[split] += audio.string() + "\t" + line->words + "\n";
    ++clips[split];
  }
  for (const auto& [split, list] : lists) {
    if (list.empty())
      throw DataError("The package asterisk-core-sounds-en lists no prompts for " + split +
                      ": its layout is not the one that this program knows.");
    model::WriteFileAtomically(folder / (split + ".tsv"), list);
  }
  model::WriteFileAtomically(
      folder / "provenance.json",
      nlohmann::ordered_json{{"task", "speech"}, {"language", "en"}, {"provenance", provenance}}.dump(1) + "\n");
  fs::remove_all(unpacked);
  return clips;
}

}  // namespace strata::data
