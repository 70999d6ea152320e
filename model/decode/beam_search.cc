#include "model/decode/beam_search.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "model/layers/device_path.h"
#include "model/layers/kernels.h"

namespace strata::model {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

struct Beam {
  std::vector<int64_t> tokens;
  std::vector<double> scores;  // log p of each token
  double total = 0;
  int64_t row = 0;  // of the model's last call
};

struct Candidate {
  double total = kNever;
  double score = kNever;
  int64_t token = 0;
  size_t beam = 0;
};

struct Sentence {
  int64_t limit = 0;  // tokens before an eos is forced
  std::vector<Beam> beams;
  std::vector<Hypothesis> finished;
};

// What may follow at this step.
struct Rules {
  bool eos_only = false;
  bool no_eos = false;
};

void CheckOptions(const DecodeOptions& options) {
  if (options.beam < 1) throw std::invalid_argument("beam is " + std::to_string(options.beam) + ": it must be at least 1.");
  if (options.n_best < 1 || options.n_best > options.beam) {
    throw std::invalid_argument("n_best is " + std::to_string(options.n_best) + ": choose 1 to beam, which is " +
                                std::to_string(options.beam) + ".");
  }
  if (!(options.max_length_a >= 0) || options.max_length_b < 0) {
    throw std::invalid_argument("max_length_a and max_length_b cannot be negative.");
  }
}

// The `count` best candidates of one sentence.
class BestCandidates {
 public:
  explicit BestCandidates(size_t count) : count_(count) {}

  // Below this log p a token of a beam with that total is none of them. A little below the worst that is kept, so that
  // rounding to float loses nothing.
  float Bar(double before) const {
    if (heap_.size() < count_) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(heap_.front().total - before) - 1e-3f;
  }

  void Offer(const Candidate& candidate) {
    if (heap_.size() == count_) {
      if (candidate.total <= heap_.front().total) return;
      std::pop_heap(heap_.begin(), heap_.end(), Better);
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), Better);
  }

  // Best first; equal totals keep the order of beams and tokens.
  std::vector<Candidate> Sorted() && {
    std::sort(heap_.begin(), heap_.end(), [](const Candidate& a, const Candidate& b) {
      return a.total != b.total ? a.total > b.total : std::pair(a.beam, a.token) < std::pair(b.beam, b.token);
    });
    return std::move(heap_);
  }

 private:
  static bool Better(const Candidate& a, const Candidate& b) { return a.total > b.total; }

  size_t count_;
  std::vector<Candidate> heap_;  // its front is the worst
};

// What a step's logits say of the hypotheses' next tokens.
class NextTokens {
 public:
  virtual ~NextTokens() = default;
  // The `count` best candidates of one sentence, best first. `count` is at most what the object was made for.
  virtual std::vector<Candidate> Best(const Sentence& sentence, size_t count, const Rules& rules) const = 0;
};

// On processors: looks at every token of the sentence's rows.
class AllTokens final : public NextTokens {
 public:
  explicit AllTokens(const at::Tensor& logits) : log_p_(logits.to(at::kFloat).contiguous()) {
    GetKernels<float>().log_softmax(log_p_.mutable_data_ptr<float>(), log_p_.size(1), 0, log_p_.size(0));
  }

  std::vector<Candidate> Best(const Sentence& sentence, size_t count, const Rules& rules) const override {
    const int64_t vocabulary = log_p_.size(1);
    BestCandidates best(count);
    for (size_t b = 0; b < sentence.beams.size(); ++b) {
      const float* row = log_p_.const_data_ptr<float>() + sentence.beams[b].row * vocabulary;
      const double before = sentence.beams[b].total;
      const int64_t first = rules.eos_only ? kEos : 0, last = rules.eos_only ? kEos + 1 : vocabulary;
      float bar = best.Bar(before);
      for (int64_t token = first; token < last; ++token) {
        if (!(row[token] > bar) || token == kPad || (token == kEos && rules.no_eos)) continue;
        best.Offer({.total = before + row[token], .score = row[token], .token = token, .beam = b});
        bar = best.Bar(before);
      }
    }
    return std::move(best).Sorted();
  }

 private:
  at::Tensor log_p_;
};

// On a device: each row's best tokens are found there, and they alone cross over, with each row's eos.
class DeviceTokens final : public NextTokens {
 public:
  DeviceTokens(const at::Tensor& logits, int64_t count) {
    const at::Tensor log_p = at::log_softmax(logits, 1, at::kFloat);
    const at::Tensor eos = log_p.select(1, kEos).clone();
    log_p.select(1, kEos).fill_(kNever);
    log_p.select(1, kPad).fill_(kNever);
    const auto [values, tokens] = at::topk(log_p, std::min(count, log_p.size(1)), 1);
    log_p_ = at::cat({eos.unsqueeze(1), values}, 1).to(at::kCPU).contiguous();
    tokens_ = tokens.to(at::kCPU).contiguous();
  }

  std::vector<Candidate> Best(const Sentence& sentence, size_t count, const Rules& rules) const override {
    const int64_t listed = tokens_.size(1);
    BestCandidates best(count);
    const auto offer = [&](size_t beam, float score, int64_t token) {
      if (!(score > -std::numeric_limits<float>::infinity())) return;
      best.Offer({.total = sentence.beams[beam].total + score, .score = score, .token = token, .beam = beam});
    };
    for (size_t b = 0; b < sentence.beams.size(); ++b) {
      const float* log_p = log_p_.const_data_ptr<float>() + sentence.beams[b].row * (listed + 1);
      const int64_t* tokens = tokens_.const_data_ptr<int64_t>() + sentence.beams[b].row * listed;
      if (!rules.no_eos) offer(b, log_p[0], kEos);
      for (int64_t i = 0; i < listed && !rules.eos_only; ++i) offer(b, log_p[1 + i], tokens[i]);
    }
    return std::move(best).Sorted();
  }

 private:
  at::Tensor log_p_, tokens_;  // [R, 1 + count]: eos, then the best others; [R, count]
};

Beam Extend(const Beam& beam, const Candidate& candidate) {
  Beam next = beam;
  next.tokens.push_back(candidate.token);
  next.scores.push_back(candidate.score);
  next.total = candidate.total;
  return next;
}

void Finish(Sentence& sentence, Beam beam, double length_penalty) {
  const double length = static_cast<double>(beam.tokens.size());
  sentence.finished.push_back({.tokens = std::move(beam.tokens),
                               .score = beam.total / std::pow(length, length_penalty),
                               .positional_scores = std::move(beam.scores)});
}

// One step of one sentence: finishes hypotheses and replaces the beams.
void Advance(Sentence& sentence, const NextTokens& tokens, int64_t step, const DecodeOptions& options) {
  const Rules rules{.eos_only = step >= sentence.limit, .no_eos = step < options.min_length && step < sentence.limit};
  const auto beam = static_cast<size_t>(options.beam);
  const std::vector<Candidate> candidates = tokens.Best(sentence, 2 * beam, rules);
  std::vector<Beam> next;
  for (size_t rank = 0; rank < candidates.size(); ++rank) {
    const Candidate& candidate = candidates[rank];
    if (candidate.token == kEos) {
      if (rank < beam && sentence.finished.size() < beam) {
        Finish(sentence, Extend(sentence.beams[candidate.beam], candidate), options.length_penalty);
      }
    } else if (next.size() < beam) {
      next.push_back(Extend(sentence.beams[candidate.beam], candidate));
    }
  }
  const bool done = sentence.finished.size() >= beam || rules.eos_only || next.empty();
  sentence.beams = done ? std::vector<Beam>() : std::move(next);
}

std::vector<Hypothesis> Best(std::vector<Hypothesis> finished, int64_t count) {
  std::stable_sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  if (static_cast<int64_t>(finished.size()) > count) finished.resize(static_cast<size_t>(count));
  return finished;
}

std::unique_ptr<const NextTokens> Read(const at::Tensor& logits, int64_t count) {
  if (UsesKernels(logits)) return std::make_unique<AllTokens>(logits);
  return std::make_unique<DeviceTokens>(logits, count);
}

}  // namespace

Hypotheses BeamSearch(StepModel& model, const std::vector<int64_t>& source_lengths, const DecodeOptions& options) {
  CheckOptions(options);
  std::vector<Sentence> sentences(source_lengths.size());
  for (size_t i = 0; i < sentences.size(); ++i) {
    const double limit = options.max_length_a * static_cast<double>(source_lengths[i]) + static_cast<double>(options.max_length_b);
    sentences[i].limit = static_cast<int64_t>(std::min(limit, 1e6));
    sentences[i].beams = {Beam{.row = static_cast<int64_t>(i)}};
  }
  for (int64_t step = 0;; ++step) {
    std::vector<int64_t> tokens, from;
    for (Sentence& sentence : sentences) {
      for (Beam& beam : sentence.beams) {
        tokens.push_back(beam.tokens.empty() ? kEos : beam.tokens.back());
        from.push_back(beam.row);
        beam.row = static_cast<int64_t>(from.size()) - 1;
      }
    }
    if (tokens.empty()) break;
    const std::unique_ptr<const NextTokens> next = Read(model.Next(tokens, from), 2 * options.beam);
    for (Sentence& sentence : sentences) {
      if (!sentence.beams.empty()) Advance(sentence, *next, step, options);
    }
  }
  Hypotheses hypotheses;
  for (Sentence& sentence : sentences) hypotheses.push_back(Best(std::move(sentence.finished), options.n_best));
  return hypotheses;
}

}  // namespace strata::model
