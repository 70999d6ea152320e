// strata-sim: the coordinator's core under seeded faults. tests/sim/run calls it; --help says how.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/sim/world.h"

namespace {

using strata::sim::Figures;

constexpr const char* kHelp =
    "strata-sim [--seeds N] [--first S] [--seed X] [--trace] [--stop]\n"
    "  --seeds N  live through N seeds (100)     --first S  beginning with S (1)\n"
    "  --seed X   only this one                  --trace    print what happens\n"
    "  --stop     stop at the first seed that fails\n"
    "Exit status: 0 when everything held in every seed, 1 when not, 2 for wrong usage.\n";

struct Flags {
  uint64_t first = 1, seeds = 100;
  bool trace = false, stop = false;
};

bool Parse(int argc, char** argv, Flags* flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--trace") {
      flags->trace = true;
    } else if (flag == "--stop") {
      flags->stop = true;
    } else if (i + 1 < argc && (flag == "--seeds" || flag == "--first" || flag == "--seed")) {
      const uint64_t value = std::strtoull(argv[++i], nullptr, 10);
      if (flag == "--seeds") flags->seeds = value;
      if (flag != "--seeds") flags->first = value;
      if (flag == "--seed") flags->seeds = 1;
    } else {
      return false;
    }
  }
  return true;
}

void Add(Figures* sum, const Figures& one) {
  sum->faults += one.faults;
  sum->message_faults += one.message_faults;
  sum->jobs += one.jobs;
  sum->steps += one.steps;
  sum->attempts += one.attempts;
  sum->measurements += one.measurements;
  sum->retries_refused += one.retries_refused;
  sum->gangs += one.gangs;
  sum->resized += one.resized;
  sum->drained += one.drained;
  sum->infeasible += one.infeasible;
  for (const auto& [state, count] : one.ends) sum->ends[state] += count;
}

void Print(const Figures& sum, uint64_t seeds, uint64_t failed, double seconds) {
  std::printf(
      "%llu seeds, %llu failed, %.1f s, %.0f seeds/s: %lld jobs, %lld attempts, %lld measurements, %lld steps, %lld "
      "faults and %lld of messages, %lld retries and %lld submits refused; %lld attempts of several ranks, %lld at "
      "another "
      "size than before, %lld drained; ended",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(failed), seconds,
      static_cast<double>(seeds) / seconds, static_cast<long long>(sum.jobs), static_cast<long long>(sum.attempts),
      static_cast<long long>(sum.measurements), static_cast<long long>(sum.steps), static_cast<long long>(sum.faults),
      static_cast<long long>(sum.message_faults), static_cast<long long>(sum.retries_refused),
      static_cast<long long>(sum.infeasible), static_cast<long long>(sum.gangs), static_cast<long long>(sum.resized),
      static_cast<long long>(sum.drained));
  for (const auto& [state, count] : sum.ends) std::printf(" %s %lld", state.c_str(), static_cast<long long>(count));
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  if (!Parse(argc, argv, &flags)) {
    std::fputs(kHelp, stderr);
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  Figures sum;
  uint64_t failed = 0, lived = 0;
  for (uint64_t seed = flags.first; seed < flags.first + flags.seeds; ++seed) {
    ++lived;
    try {
      strata::sim::World world(seed, flags.trace);
      Add(&sum, world.Run());
    } catch (const std::exception& error) {
      ++failed;
      std::printf("FAILED seed %llu: %s\n  replay: tests/sim/run --seed %llu --trace\n",
                  static_cast<unsigned long long>(seed), error.what(), static_cast<unsigned long long>(seed));
      if (flags.stop) break;
    }
  }
  Print(sum, lived, failed, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return failed == 0 ? 0 : 1;
}
