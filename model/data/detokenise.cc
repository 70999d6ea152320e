// Decoding of pieces as SentencePiece 0.1.97 does it for models with its default normaliser (a dummy prefix is added,
// extra white space removed). worker/data/tokenizer_test.cc holds the two equal.
// Pieces of kind kWordEnd are ours: words, and subwords that were split with `@@ `.
#include <cstdint>
#include <string>
#include <string_view>

#include "model/data/shard.h"
#include "model/data/utf8.h"

namespace strata::model {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";          // U+2581
constexpr std::string_view kUnknownText = " \xe2\x81\x87 ";  // U+2047
constexpr std::string_view kReplacement = "\xef\xbf\xbd";    // U+FFFD

void AppendBytes(std::string_view bytes, std::string* text) {
  while (!bytes.empty()) {
    const size_t length = CharacterLength(bytes);
    *text += length == 0 ? kReplacement : bytes.substr(0, length);
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
}

void AppendNormal(std::string_view piece, std::string* text) {
  // Whatever stands before the first visible character is the dummy prefix or extra white space.
  if (text->empty() && piece.starts_with(kSpace)) piece.remove_prefix(kSpace.size());
  for (size_t at = 0; at < piece.size();) {
    const size_t space = piece.find(kSpace, at);
    *text += piece.substr(at, space == std::string_view::npos ? space : space - at);
    if (space == std::string_view::npos) break;
    *text += ' ';
    at = space + kSpace.size();
  }
}

// "<0x41>" -> 'A'. Byte pieces have this form and no other.
char ByteOf(const Piece& piece) {
  if (piece.text.size() != 6) throw DataError("Piece '" + piece.text + "' is marked as a byte but is none.");
  const auto digit = [&](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  return static_cast<char>(digit(piece.text[3]) * 16 + digit(piece.text[4]));
}

}  // namespace

std::string Detokenise(std::span<const Piece> pieces, std::span<const int32_t> ids) {
  std::string text, bytes;
  bool word_ended = false;  // a space is due before whatever comes
  for (const int32_t id : ids) {
    if (static_cast<uint32_t>(id) >= pieces.size()) {
      throw DataError("Token id " + std::to_string(id) + " is outside of the vocabulary of " +
                      std::to_string(pieces.size()) + " pieces. Model and dataset do not belong together.");
    }
    const Piece& piece = pieces[id];
    if (piece.kind == PieceKind::kByte) {
      bytes += ByteOf(piece);
      continue;
    }
    AppendBytes(bytes, &text);
    bytes.clear();
    if (piece.kind == PieceKind::kControl) continue;
    if (piece.kind == PieceKind::kUnknown) {
      text += kUnknownText;  // brings its own spaces
      word_ended = false;
      continue;
    }
    if (word_ended) text += ' ';
    word_ended = piece.kind == PieceKind::kWordEnd;
    if (word_ended) {
      text += piece.text;
    } else {
      AppendNormal(piece.text, &text);
    }
  }
  AppendBytes(bytes, &text);
  return text;
}

}  // namespace strata::model
