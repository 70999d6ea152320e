#include "worker/data/split_writer.h"

#include <algorithm>
#include <array>
#include <future>
#include <thread>

#include "model/data/file.h"
#include "worker/data/text_file.h"
#include "worker/data/word_vocabulary.h"

namespace strata::data {
namespace {

constexpr uint64_t kSentencesPerShard = 1'000'000;

using Lines = std::span<const std::string_view>;

std::vector<std::vector<int32_t>> EncodeLines(const Vocabulary& vocabulary, Lines lines) {
  std::vector<std::vector<int32_t>> encoded(lines.size());
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::future<void>> parts;
  for (size_t t = 0; t < threads; ++t) {
    parts.push_back(
        std::async(std::launch::async, [&, from = lines.size() * t / threads, to = lines.size() * (t + 1) / threads] {
          for (size_t i = from; i < to; ++i) encoded[i] = vocabulary.Encode(lines[i]);
        }));
  }
  for (auto& part : parts) part.get();
  return encoded;
}

class Writer {
 public:
  Writer(const std::filesystem::path& folder, const Vocabulary& vocabulary, const SplitForm& form,
         SplitVisitor* visitor, SplitFigures* figures)
      : folder_(folder),
        vocabulary_(vocabulary),
        form_(form),
        visitor_(visitor),
        figures_(*figures),
        pieces_(vocabulary.Pieces()),
        shard_(pieces_, form.streams) {
    figures_.target_counts.resize(pieces_.size());
  }

  // Lines that go through memory together; their number bounds what the encoded text takes.
  void Add(const SplitLines& lines) {
    const auto source = EncodeLines(vocabulary_, lines.source), target = EncodeLines(vocabulary_, lines.target);
    const bool pairs = form_.streams == 2;
    const auto limit = static_cast<size_t>(form_.max_length);
    for (size_t i = 0; i < target.size(); ++i) {
      ++figures_.read;
      const size_t longest = std::max(pairs ? source[i].size() : 0, target[i].size());
      if (!form_.keep_empty && (target[i].empty() || (pairs && source[i].empty()))) {
        ++figures_.empty;
      } else if (limit > 0 && longest > limit) {
        ++figures_.too_long;
      } else if (pairs) {
        KeepSource(source[i], lines.source[i]);
        KeepTarget(target[i], lines.target[i], lines.reference[i]);
        if (visitor_ != nullptr) visitor_->Kept(lines.source[i], lines.target[i]);
        Write(std::array<std::span<const int32_t>, 2>{source[i], target[i]});
      } else {
        KeepTarget(target[i], lines.target[i], lines.reference[i]);
        written_.words += AsciiWords(lines.target[i]).size();
        ++written_.lines;
        Write(std::array<std::span<const int32_t>, 1>{target[i]});
      }
    }
  }

  model::DatasetSplit Finish() {
    if (shard_.sentences() > 0 || written_.shards.empty()) WriteShard();
    if (!form_.with_text) return written_;
    std::filesystem::create_directories(folder_ / "text");
    if (form_.streams == 2) written_.source_text = WriteText("source", source_text_);
    written_.target_text = WriteText("target", target_text_);
    model::SyncFolder(folder_ / "text");
    return written_;
  }

 private:
  void KeepSource(std::span<const int32_t> ids, std::string_view text) {
    figures_.source.Add(ids, text);
    if (form_.with_text) source_text_.push_back(text);
  }

  void KeepTarget(std::span<const int32_t> ids, std::string_view text, std::string_view reference) {
    ++figures_.kept;
    figures_.target.Add(ids, text);
    for (const int32_t id : ids) ++figures_.target_counts[static_cast<size_t>(id)];
    ++figures_.target_counts[model::kEosId];
    if (form_.with_text) target_text_.push_back(reference);
  }

  void Write(std::span<const std::span<const int32_t>> streams) {
    shard_.Add(streams);
    if (shard_.sentences() == kSentencesPerShard) WriteShard();
  }

  void WriteShard() {
    const std::string number = std::to_string(written_.shards.size());
    written_.shards.push_back(form_.name + "-" + std::string(5 - std::min<size_t>(5, number.size()), '0') + number +
                              ".shard");
    shard_.Write(folder_ / written_.shards.back());
    written_.sentences += shard_.sentences();
    written_.target_tokens += shard_.tokens(form_.streams - 1);
    if (form_.streams == 2) written_.source_tokens += shard_.tokens(0);
    shard_ = model::ShardWriter(pieces_, form_.streams);
  }

  std::string WriteText(const std::string& side, Lines lines) const {
    const std::string path = "text/" + form_.name + "." + side;
    model::WriteFileAtomically(folder_ / path, Joined(lines));
    return path;
  }

  const std::filesystem::path& folder_;
  const Vocabulary& vocabulary_;
  const SplitForm& form_;
  SplitVisitor* visitor_;
  SplitFigures& figures_;
  std::vector<model::Piece> pieces_;
  model::ShardWriter shard_;
  model::DatasetSplit written_;
  std::vector<std::string_view> source_text_, target_text_;
};

Lines Part(Lines lines, size_t first, size_t count) { return lines.empty() ? lines : lines.subspan(first, count); }

}  // namespace

model::DatasetSplit WriteSplit(const std::filesystem::path& folder, const Vocabulary& vocabulary,
                               const SplitLines& lines, const SplitForm& form, SplitVisitor* visitor,
                               SplitFigures* figures) {
  constexpr size_t kAtOnce = 250'000;
  Writer writer(folder, vocabulary, form, visitor, figures);
  for (size_t first = 0; first < lines.target.size(); first += kAtOnce) {
    const size_t count = std::min(kAtOnce, lines.target.size() - first);
    writer.Add(
        {Part(lines.source, first, count), Part(lines.target, first, count), Part(lines.reference, first, count)});
  }
  return writer.Finish();
}

}  // namespace strata::data
