// Evaluations and `generate` by the real program, on small models: what they leave, and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "model/data/file.h"
#include "model/data/manifest.h"
#include "model/metrics/sentence_scores.h"
#include "model/metrics/text.h"
#include "model/metrics/text_scores.h"
#include "worker/trainer/gang.h"
#include "worker/trainer/testing.h"

namespace strata::trainer::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> LinesOf(const fs::path& file) {
  const std::string text = model::ReadFile(file);
  const auto lines = model::Lines(text);
  return {lines.begin(), lines.end()};
}

// A dataset of text: train, valid and, the same as valid, input. Lines of 0 to 8 words over 36 words.
void WriteText(const fs::path& folder) {
  fs::create_directories(folder / "text");
  std::vector<model::Piece> pieces = {{"<s>", model::PieceKind::kControl},
                                      {"<pad>", model::PieceKind::kControl},
                                      {"</s>", model::PieceKind::kControl},
                                      {"<unk>", model::PieceKind::kUnknown}};
  while (pieces.size() < 40) pieces.push_back({.text = "\u2581w" + std::to_string(pieces.size())});
  model::Manifest manifest{.name = "text",
                           .task = "language_model",
                           .source_language = "xx",
                           .vocabulary_size = 40,
                           .vocabulary_file = "vocabulary.model"};
  std::ofstream(folder / manifest.vocabulary_file) << "none\n";
  for (const auto& [name, count, first] :
       std::vector<std::tuple<std::string, int, uint32_t>>{{"train", 200, 1}, {"valid", 21, 2}, {"input", 21, 2}}) {
    model::ShardWriter writer(pieces, 1);
    model::DatasetSplit split{.sentences = static_cast<uint64_t>(count),
                              .shards = {name + "-00000.shard"},
                              .target_text = "text/" + name + ".target"};
    std::ofstream text(folder / split.target_text);
    uint32_t seed = first;
    for (int i = 0; i < count; ++i) {
      std::vector<int32_t> line((seed = seed * 1664525 + 1013904223) >> 29);
      for (int32_t& word : line) word = 4 + static_cast<int32_t>(((seed = seed * 1664525 + 1013904223) >> 20) % 36);
      const std::span<const int32_t> only[] = {line};
      writer.Add(only);
      text << model::Detokenise(pieces, line) << "\n";
      split.words += line.size();
      ++split.lines;
    }
    split.target_tokens = writer.tokens(0);
    writer.Write(folder / split.shards[0]);
    manifest.splits[name] = split;
  }
  model::WriteManifest(folder, &manifest);
}

class EvaluateTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteDataset(folder_ / "data"); }

  Ended Run(const std::string& job, const std::vector<std::string>& more = {}) {
    WriteJson(folder_ / "spec.json", spec_);
    fs::remove(folder_ / "spool");
    std::vector<std::string> arguments = {"--spec",    folder_ / "spec.json", "--job", job,
                                          "--dataset", folder_ / "data",      "--out", folder_ / job,
                                          "--spool",   folder_ / "spool"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Ended ended = RunTrainer(arguments);
    events_ = fs::exists(folder_ / "spool") ? ReadEvents(folder_ / "spool") : std::vector<json>{};
    return ended;
  }
  fs::path Final() const { return folder_ / "train/checkpoints/final.safetensors"; }
  // Trains, then evaluates; the spec is changed by `patch` in between.
  void Evaluate(const json& patch, const std::vector<std::string>& more = {}) {
    ASSERT_EQ(Run("train").status, 0) << events_.back();
    Again(patch, more);
    ASSERT_EQ(events_.back().at("type"), "finished") << events_.back();
  }
  void Again(const json& patch, const std::vector<std::string>& more = {}) {
    if (!patch.is_null()) spec_["evaluate"][0].merge_patch(patch);
    std::vector<std::string> arguments = {"--evaluation", "0", "--checkpoint", Final()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Run("evaluate", arguments);
  }
  json Scalars() { return OfType(events_, "measurements").back().at("scalars"); }
  std::vector<std::string> Artifacts() {
    std::vector<std::string> names;
    for (const json& event : OfType(events_, "artifact")) {
      EXPECT_EQ(model::FileSha256(folder_ / "evaluate" / event.at("file").get<std::string>()), event.at("sha256"));
      names.push_back(event.at("name"));
    }
    return names;
  }
  std::string Failed(const std::string& cause) {
    if (events_.empty() || events_.back().at("type") != "failed") return "no failed event";
    EXPECT_EQ(events_.back().at("cause"), cause);
    return events_.back().at("message");
  }

  ScratchFolder folder_;
  json spec_ = SmallSpec();
  std::vector<json> events_;
};

TEST_F(EvaluateTest, ScoresEachSplitAndTheirAverage) {
  spec_["train"]["updates"] = 60;
  Evaluate({{"split", "test,valid"},
            {"length_penalty", 4},
            {"length_penalties", "valid=-3"},
            {"max_length_b", 12},
            {"n_best", 2}});
  const json scalars = Scalars();
  EXPECT_THAT(Artifacts(), ElementsAre("hypotheses-test", "hypotheses-valid", "n-best", "sentence_scores"));
  const model::SentenceScores sentences =
      model::ParseSentenceScores(model::ReadFile(folder_ / "evaluate/sentence_scores.jsonl"));
  ASSERT_THAT(sentences.splits, SizeIs(2));
  for (const model::SplitSentences& split : sentences.splits) {
    const auto hypotheses = LinesOf(folder_ / ("evaluate/hypotheses-" + split.split + ".txt"));
    const auto references = LinesOf(folder_ / ("data/text/" + split.split + ".target"));
    const double bleu = model::ScoreTexts("bleu", hypotheses, references).values.at("bleu");
    EXPECT_EQ(scalars.at(split.split + "/bleu").get<double>(), bleu);
    EXPECT_EQ(model::CorpusScore("bleu", split.rows), bleu);
  }
  EXPECT_EQ(scalars.at("bleu").get<double>(),
            (scalars.at("test/bleu").get<double>() + scalars.at("valid/bleu").get<double>()) / 2);
  EXPECT_EQ(scalars.at("max_length_b"), 12);
  EXPECT_FALSE(scalars.contains("averaged_checkpoints"));
  const json penalised = json::parse(LinesOf(folder_ / "evaluate/n-best.jsonl").back());
  Again({{"split", "valid"}, {"length_penalties", ""}});
  EXPECT_THAT(Artifacts(), ElementsAre("hypotheses", "n-best", "sentence_scores"));
  EXPECT_FALSE(Scalars().contains("valid/bleu"));
  const json plain = json::parse(LinesOf(folder_ / "evaluate/n-best.jsonl").back());
  ASSERT_EQ(penalised.at("split"), "valid");
  for (const json& one : penalised.at("hypotheses")) {
    for (const json& other : plain.at("hypotheses")) {
      if (one.at("text") != other.at("text")) continue;
      const double powers = std::pow(one.at("tokens").get<double>(), 4 - -3);
      EXPECT_NEAR(one.at("score").get<double>() / other.at("score").get<double>(), powers, 1e-9 * powers);
    }
  }
}

TEST_F(EvaluateTest, KeepsTheBestHypothesesOfEachSentence) {
  Evaluate({{"beam", 3}, {"n_best", 2}, {"sentences", 5}});
  EXPECT_THAT(Artifacts(), ElementsAre("hypotheses", "n-best", "sentence_scores"));
  const auto best = LinesOf(folder_ / "evaluate/hypotheses.txt");
  const auto lists = LinesOf(folder_ / "evaluate/n-best.jsonl");
  ASSERT_THAT(best, SizeIs(5));
  ASSERT_THAT(lists, SizeIs(5));
  for (size_t i = 0; i < lists.size(); ++i) {
    const json list = json::parse(lists[i]);
    EXPECT_EQ(list.at("sentence"), i + 1);
    EXPECT_EQ(list.at("split"), "test");
    ASSERT_THAT(list.at("hypotheses"), SizeIs(2));
    EXPECT_EQ(list.at("hypotheses")[0].at("text"), best[i]);
    EXPECT_GE(list.at("hypotheses")[0].at("score"), list.at("hypotheses")[1].at("score"));
  }
}

TEST_F(EvaluateTest, SaysHowManyCheckpointsItAveraged) {
  ASSERT_EQ(Run("train").status, 0);
  const json hash = events_.back().at("weights_sha256");
  const fs::path copy = folder_ / "copy.safetensors", best = folder_ / "train/checkpoints/best.safetensors";
  fs::copy_file(Final(), copy);
  Again({{"checkpoint", "average"}, {"average_last", 2}}, {"--checkpoint", copy});
  EXPECT_EQ(events_.back().at("weights_sha256"), hash) << "the mean of equal weights is those weights";
  EXPECT_EQ(Scalars().at("averaged_checkpoints"), 2);
  EXPECT_THAT(OfType(events_, "warning"), SizeIs(0));
  Again({{"average_last", 10}});
  ASSERT_THAT(OfType(events_, "warning"), SizeIs(1));
  EXPECT_THAT(OfType(events_, "warning")[0].at("message"), HasSubstr("over 1 epoch checkpoints, not 10"));
  Again({}, {"--checkpoint", Final()});
  EXPECT_THAT(Failed("bad_spec"), HasSubstr("given twice"));
}

TEST_F(EvaluateTest, DetokenisesByTheWorkersOwnCommand) {
  model::Manifest manifest = model::ReadManifest(folder_ / "data");
  manifest.detokeniser = "shout";
  model::WriteManifest(folder_ / "data", &manifest);
  Evaluate({{"sentences", 4}}, {"--detokeniser", "shout=tr w W | cat"});
  const auto hypotheses = LinesOf(folder_ / "evaluate/hypotheses.txt");
  ASSERT_THAT(hypotheses, SizeIs(4));
  for (const std::string& line : hypotheses) EXPECT_EQ(line.find('w'), std::string::npos) << line;
  EXPECT_FALSE(fs::exists(folder_ / "evaluate/detokenise.in"));
  for (const auto& [command, why] :
       std::vector<std::pair<std::string, std::string>>{{"whisper=cat", "--detokeniser shout=COMMAND"},
                                                        {"shout=head -n 3", "read 4 lines and wrote 3"},
                                                        {"shout=cat; exit 3", "ended with status 3"},
                                                        {"shout=sed s/^/\\\\xff/", "not UTF-8 in line 1"}}) {
    Again({}, {"--detokeniser", command});
    EXPECT_THAT(Failed("data_error"), HasSubstr(why)) << command;
  }
  Again({}, {"--detokeniser", "shout"});
  EXPECT_THAT(Failed("bad_spec"), HasSubstr("NAME=COMMAND"));
}

TEST_F(EvaluateTest, RefusesWhatCannotBeScoredByItsField) {
  ASSERT_EQ(Run("train").status, 0);
  const json evaluation = spec_["evaluate"][0];
  for (const auto& [patch, cause, why] : std::vector<std::tuple<json, std::string, std::string>>{
           {{{"metric", "wer"}}, "bad_spec", "does not score task.kind translation. Choose one of: bleu"},
           {{{"metric", "ter"}}, "bad_spec", "\"ter\" is no metric"},
           {{{"split", "test,newstest"}}, "data_error", "newstest"},
           {{{"split", "test,test"}}, "bad_spec", "names a split twice"},
           {{{"split", "train"}}, "data_error", "no raw references"},
           {{{"n_best", 3}}, "bad_spec", "n_best is 3, but beam is 2"},
           {{{"length_penalties", "valid=1"}}, "bad_spec", "names the split valid"},
           {{{"length_penalties", "test=x"}}, "bad_spec", "SPLIT=VALUE"}}) {
    spec_["evaluate"][0] = evaluation;
    Again(patch);
    EXPECT_THAT(Failed(cause), HasSubstr(why)) << patch;
  }
  spec_["evaluate"][0] = evaluation;
  spec_["model"]["dim"] = 32;
  Again({});
  EXPECT_THAT(Failed("bad_spec"), HasSubstr("model.dim"));
}

TEST_F(EvaluateTest, AppliesAModelToAUsersOwnText) {
  model::Manifest manifest = model::ReadManifest(folder_ / "data");
  manifest.splits["input"] = manifest.splits["test"];
  model::WriteManifest(folder_ / "data", &manifest);
  Evaluate({});
  const auto evaluated = LinesOf(folder_ / "evaluate/hypotheses.txt");
  fs::copy(folder_ / "data", folder_ / "mine", fs::copy_options::recursive);
  std::ofstream(folder_ / "mine/another") << "file\n";  // another digest
  model::WriteManifest(folder_ / "mine", &manifest);
  ASSERT_EQ(Run("generate", {"--checkpoint", Final(), "--dataset", folder_ / "mine"}).status, 2) << "given twice";
  fs::rename(folder_ / "data", folder_ / "first");
  fs::rename(folder_ / "mine", folder_ / "data");
  ASSERT_EQ(Run("generate", {"--checkpoint", Final()}).status, 0);
  EXPECT_EQ(LinesOf(folder_ / "generate/hypotheses.txt"), evaluated);
  EXPECT_THAT(OfType(events_, "measurements"), SizeIs(0));
  spec_["evaluate"] = json::array();
  EXPECT_EQ(Run("generate", {"--checkpoint", Final()}).status, 2);
  EXPECT_THAT(Failed("bad_spec"), HasSubstr("Add one to evaluate"));
}

TEST_F(EvaluateTest, RefusesACheckpointOfAnotherVocabulary) {
  ASSERT_EQ(Run("train").status, 0);
  fs::remove_all(folder_ / "data");
  fs::create_directories(folder_ / "data");
  model::Manifest manifest{.name = "other",
                           .source_language = "xx",
                           .target_language = "yy",
                           .vocabulary_size = 50,
                           .vocabulary_file = "vocabulary.model"};
  std::vector<model::Piece> pieces = {{"<s>", model::PieceKind::kControl},
                                      {"<pad>", model::PieceKind::kControl},
                                      {"</s>", model::PieceKind::kControl},
                                      {"<unk>", model::PieceKind::kUnknown}};
  while (pieces.size() < 50) pieces.push_back({.text = "\u2581v" + std::to_string(pieces.size())});
  model::ShardWriter writer(pieces, 2);
  const std::vector<int32_t> source = {7, 8}, target;
  const std::span<const int32_t> sides[] = {source, target};
  writer.Add(sides);
  writer.Write(folder_ / "data/input-00000.shard");
  std::ofstream(folder_ / "data/vocabulary.model") << "none\n";
  manifest.splits["input"] = {.sentences = 1, .source_tokens = 2, .shards = {"input-00000.shard"}};
  model::WriteManifest(folder_ / "data", &manifest);
  EXPECT_EQ(Run("generate", {"--checkpoint", Final()}).status, 2);
  EXPECT_THAT(Failed("bad_spec"), HasSubstr("[40, 16], but the model of this spec and dataset has [50, 16]: it is of "
                                            "another vocabulary"));
}

class TextTest : public EvaluateTest {
 protected:
  void SetUp() override {
    WriteText(folder_ / "data");
    spec_["task"]["kind"] = "language_model";
    spec_["model"]["depth"] = "2L";
    spec_["train"]["block_tokens"] = 24;
    spec_["evaluate"][0].merge_patch({{"metric", "perplexity"}, {"split", "valid"}});
  }
  // exp(total NLL / (words + line ends)) of the rows of the only split.
  double Perplexity(double units) {
    const auto scores = model::ParseSentenceScores(model::ReadFile(folder_ / "evaluate/sentence_scores.jsonl"));
    double nll = 0, tokens = 0, words = 0;
    for (const model::SentenceRow& row : scores.splits.at(0).rows) {
      nll += row.at(0);
      words += row.at(1);
      tokens += row.at(2);
    }
    EXPECT_NEAR(words, units, 1e-9);
    EXPECT_NEAR(Scalars().at("nll").get<double>(), nll / tokens, 1e-12);
    return std::exp(nll / units);
  }
};

TEST_F(TextTest, IsScoredByPerplexityOfWordsInSlidingWindows) {
  const model::DatasetSplit split = model::ReadManifest(folder_ / "data").Split("valid");
  Evaluate({{"window_tokens", 16}, {"context_tokens", 12}});
  EXPECT_THAT(Artifacts(), ElementsAre("sentence_scores"));
  const double sliding = Scalars().at("perplexity");
  EXPECT_NEAR(sliding, Perplexity(static_cast<double>(split.words + split.lines)), 1e-9 * sliding);
  EXPECT_GT(sliding, 1);
  EXPECT_LT(sliding, 60);
  Again({{"window_tokens", 0}, {"context_tokens", 0}});
  EXPECT_NE(Scalars().at("perplexity"), sliding);
  const auto lines = LinesOf(folder_ / "data/text/valid.target");
  double units = 0;
  for (int i = 0; i < 7; ++i) units += 1 + static_cast<double>(model::SplitAtSpaces(lines[i]).size());
  Again({{"sentences", 7}});
  EXPECT_NEAR(Scalars().at("perplexity").get<double>(), Perplexity(units), 1e-9);
  Again({{"context_tokens", 24}});
  EXPECT_THAT(Failed("bad_spec"), HasSubstr("none would be scored"));
}

// A band that no target of a batch is in gets no gradient of its own; its buckets travel all the same.
TEST_F(TextTest, TrainsTheSameInBandsOnTwoRanks) {
  spec_["model"]["adaptive_cutoffs"] = "10,38";
  spec_["model"]["adaptive_factor"] = 2;
  spec_["train"]["label_smoothing"] = 0;
  spec_["train"]["update_frequency"] = 1;
  spec_["train"]["log_every"] = 1;
  spec_["train"]["updates"] = 10;
  spec_["resources"]["ranks"] = 2;
  ASSERT_EQ(Run("train").status, 0);
  std::vector<json> alone;
  for (const json& event : OfType(events_, "measurements")) alone.push_back(event.at("scalars"));
  Gang gang(folder_ / "gang", {"--spec", folder_ / "spec.json", "--job", "train", "--dataset", folder_ / "data"}, 2);
  ASSERT_TRUE(gang.Introduce());
  ASSERT_THAT(gang.WaitAll(), ::testing::Each(0)) << gang.Log(0) << gang.Log(1);
  const auto together = OfType(gang.Events(0), "measurements");
  ASSERT_EQ(together.size(), alone.size());
  for (size_t i = 1; i < alone.size(); ++i) {
    for (const char* name : {"train_loss", "gradient_norm"}) {
      const double expected = alone[i].at(name);
      EXPECT_NEAR(together[i].at("scalars").at(name).get<double>(), expected, 1e-5 * expected) << name << " " << i;
    }
  }
}

TEST_F(TextTest, IsScoredTheSameOnThreeRanks) {
  Evaluate({{"window_tokens", 16}, {"context_tokens", 5}});
  Gang gang(folder_ / "gang",
            {"--spec", folder_ / "spec.json", "--job", "evaluate", "--evaluation", "0", "--dataset", folder_ / "data", "--checkpoint",
             Final()},
            3);
  ASSERT_TRUE(gang.Introduce());
  ASSERT_THAT(gang.WaitAll(), ::testing::Each(0)) << gang.Log(0) << gang.Log(2);
  EXPECT_EQ(OfType(gang.Events(0), "measurements")[0].at("scalars"), Scalars());
  EXPECT_EQ(model::ReadFile(gang.Out(0) / "sentence_scores.jsonl"), model::ReadFile(folder_ / "evaluate/sentence_scores.jsonl"));
}

TEST_F(TextTest, OfAUserIsScoredLineByLineAsAnEvaluationScoresIt) {
  Evaluate({{"window_tokens", 16}, {"context_tokens", 5}});
  const json evaluated = Scalars();
  ASSERT_EQ(Run("generate", {"--checkpoint", Final()}).status, 0);
  EXPECT_NEAR(Scalars().at("perplexity").get<double>(), evaluated.at("perplexity").get<double>(), 1e-4);
  EXPECT_NEAR(Scalars().at("nll").get<double>(), evaluated.at("nll").get<double>(), 1e-5);
  const auto raw = LinesOf(folder_ / "data/text/input.target"), lines = LinesOf(folder_ / "generate/line_scores.jsonl");
  ASSERT_EQ(lines.size(), raw.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const json line = json::parse(lines[i]);
    EXPECT_EQ(line.at("line"), i + 1);
    EXPECT_EQ(line.at("words"), model::SplitAtSpaces(raw[i]).size() + 1);
    EXPECT_EQ(line.at("tokens"), line.at("words"));
    EXPECT_GT(line.at("nll").get<double>(), 0);
  }
}

}  // namespace
}  // namespace strata::trainer::testing
