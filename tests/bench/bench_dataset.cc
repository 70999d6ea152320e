// strata-bench-dataset DIR PAIRS LENGTH VOCABULARY: a dataset of random pairs, all of one length, for what measures whole
// trainings.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "model/data/manifest.h"
#include "model/data/shard.h"

namespace strata::model {
namespace {

std::vector<Piece> Pieces(int count) {
  std::vector<Piece> pieces = {{"<s>", PieceKind::kControl},
                               {"<pad>", PieceKind::kControl},
                               {"</s>", PieceKind::kControl},
                               {"<unk>", PieceKind::kUnknown}};
  while (pieces.size() < static_cast<size_t>(count)) pieces.push_back({.text = "\u2581w" + std::to_string(pieces.size())});
  return pieces;
}

DatasetSplit WriteSplit(const std::filesystem::path& folder, const std::string& name, int pairs, int length, int vocabulary) {
  std::mt19937 random(static_cast<unsigned>(pairs));
  std::uniform_int_distribution<int32_t> word(4, vocabulary - 1);
  ShardWriter writer(Pieces(vocabulary), 2);
  for (int i = 0; i < pairs; ++i) {
    std::vector<int32_t> source(static_cast<size_t>(length)), target(static_cast<size_t>(length));
    for (int32_t& id : source) id = word(random);
    for (int32_t& id : target) id = word(random);
    const std::span<const int32_t> sides[] = {source, target};
    writer.Add(sides);
  }
  DatasetSplit split{.sentences = static_cast<uint64_t>(pairs),
                     .source_tokens = writer.tokens(0),
                     .target_tokens = writer.tokens(1),
                     .shards = {name + "-00000.shard"}};
  writer.Write(folder / split.shards[0]);
  return split;
}

void WriteDataset(const std::filesystem::path& folder, int pairs, int length, int vocabulary) {
  std::filesystem::create_directories(folder);
  Manifest manifest{.name = "random",
                    .source_language = "xx",
                    .target_language = "yy",
                    .vocabulary_size = vocabulary,
                    .vocabulary_file = "vocabulary.model"};
  std::ofstream(folder / manifest.vocabulary_file) << "none\n";
  manifest.splits["train"] = WriteSplit(folder, "train", pairs, length, vocabulary);
  manifest.splits["valid"] = WriteSplit(folder, "valid", 8, length, vocabulary);
  WriteManifest(folder, &manifest);
}

}  // namespace
}  // namespace strata::model

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "Use: strata-bench-dataset DIR PAIRS LENGTH VOCABULARY\n");
    return 2;
  }
  strata::model::WriteDataset(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]));
  return 0;
}
