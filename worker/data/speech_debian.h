// Recorded telephone prompts with their wording, out of Debian's asterisk-core-sounds-en: real speech, small and free
// (CC-BY-SA-3.0), one speaker, 8 kHz.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "worker/data/apt.h"

namespace strata::data {

// What is said in a prompt: lower-case words of letters and apostrophes, single digits as words. Empty where nothing is
// (beeps, silence), or where how a number is read out cannot be told from its digits.
std::string SpokenWords(std::string_view prompt);

// train, valid or test, by the hash of the words: one wording stands in one split only; about 8 in 100 are held out for
// each of valid and test.
std::string SpeechSplit(const std::string& words);

// Downloads the packages and writes train.tsv, valid.tsv, test.tsv, provenance.json and audio/ into `folder`. Returns
// the clips of each split. Throws model::DataError.
std::map<std::string, uint64_t> FetchDebianSpeech(Apt& apt, const std::filesystem::path& folder);

}  // namespace strata::data
