// Reports for tests, as small trainings look.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/report/report.h"
#include "gtest/gtest.h"
#include "server/base/spec/spec.h"

namespace strata::client {

// A training as it looks: falling with `rate` from 7.7, or stuck at the unigram level.
inline TrialResult MakeTrial(int number, const std::string& scheme, const std::string& depth, int seed, bool fails) {
  TrialResult result;
  v1::Trial& trial = result.trial;
  trial.set_name(absl::StrCat("experiments/quickstart-1/trials/t", number));
  for (const auto& [path, text] : std::vector<std::pair<std::string, std::string>>{{"task.kind", "translation"},
                                                                                   {"task.dataset", "debian-en-de"},
                                                                                   {"scheme", scheme},
                                                                                   {"depth", depth},
                                                                                   {"seed", absl::StrCat(seed)},
                                                                                   {"train.updates", "600"}}) {
    EXPECT_TRUE(base::SetField(*trial.mutable_spec(), path, text).ok());
  }
  EXPECT_TRUE(base::ApplyDefaults(*trial.mutable_spec()).ok());
  trial.set_state(fails ? v1::JOB_STATE_DIVERGED : v1::JOB_STATE_SUCCEEDED);
  trial.set_updates(600);
  trial.set_updates_done(fails ? 450 : 600);
  trial.set_unigram_nll(6.724);
  if (fails) trial.set_evidence(R"({"rule": "vanished", "update": 450, "gradient_ratio": 4.7e-06})");
  const int layers = base::ParseDepth(depth)->decoder;
  for (int update = 0; update <= trial.updates_done(); update += 50) {
    result.valid_nll.updates.push_back(update);
    const double fallen = 6.75 + 0.95 * std::exp(-update / 60.0);
    result.valid_nll.values.push_back(fails ? fallen : fallen - update / 600.0 * (1.0 + 0.1 * number));
    for (const char* stack : {"encoder", "decoder"}) {
      LayerRows& rows = result.vectors["gradient_norm_output"][stack];
      rows.updates.push_back(update);
      std::vector<double>& norms = rows.values.emplace_back();
      for (int layer = 0; layer < layers; ++layer)
        norms.push_back(3.0 * std::pow(fails ? 0.82 - update / 1500.0 : 0.96, layers - 1 - layer));
    }
  }
  for (int update = 10; update <= trial.updates_done(); update += 10) {
    result.train_loss.updates.push_back(update);
    result.train_loss.values.push_back(8.9 - (fails ? 1.0 : 1.6) * std::log1p(update / 40.0) / 2.0 +
                                       0.05 * std::sin(update));
  }
  trial.set_best_nll(*std::min_element(result.valid_nll.values.begin(), result.valid_nll.values.end()));
  trial.set_final_nll(result.valid_nll.values.back());
  v1::Job* job = trial.add_jobs();
  job->set_name(trial.name() + "/jobs/train");
  job->set_kind(v1::JOB_KIND_TRAIN);
  job->set_state(trial.state());
  job->add_attempts()->set_number(1);
  return result;
}

inline Report MakeReport(int seeds = 1) {
  Report report;
  report.experiment.set_name("experiments/quickstart-1");
  int number = 0;
  for (const char* scheme : {"post_ln", "pre_ln", "b2t"}) {
    for (const char* depth : {"18L-18L", "3L-3L"}) {
      for (int seed = 1; seed <= seeds; ++seed) {
        report.trials.push_back(MakeTrial(++number, scheme, depth, seed,
                                          std::string(scheme) == "post_ln" && std::string(depth) == "18L-18L"));
      }
    }
  }
  Arrange(report);
  return report;
}

}  // namespace strata::client
