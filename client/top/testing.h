// A small experiment as the service would show it, for tests: 3 schemes x 3 depths, a trial in every state that a board
// shows.
#pragma once

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/top/draw.h"
#include "client/top/knowledge.h"

namespace strata::client::top {

inline absl::Time TestTime() { return absl::FromUnixSeconds(1'700'000'000); }  // 22:13:20 UTC

inline Light TestLight(bool unicode = true) {
  return {unicode ? Signs::Unicode(/*color=*/true) : Signs::Ascii(), TestTime(), absl::UTCTimeZone()};
}

inline v1::Trial MakeTrial(int number, const std::string& scheme, const std::string& depth, int seed = 1) {
  v1::Trial trial;
  trial.set_name(absl::StrCat("experiments/grid-1/trials/t", number));
  v1::TrialSpec& spec = *trial.mutable_spec();
  spec.mutable_task()->set_kind("translation");
  spec.mutable_task()->set_dataset("debian-en-de");
  spec.mutable_model()->set_scheme(scheme);
  spec.mutable_model()->set_depth(depth);
  spec.mutable_train()->set_seed(seed);
  spec.add_evaluate()->set_metric("bleu");
  trial.set_updates(600);
  trial.set_state(v1::JOB_STATE_QUEUED);
  for (const char* id : {"train", "evaluate-1"}) {
    v1::Job* job = trial.add_jobs();
    job->set_name(absl::StrCat(trial.name(), "/jobs/", id));
    job->set_kind(trial.jobs_size() == 1 ? v1::JOB_KIND_TRAIN : v1::JOB_KIND_EVALUATE);
    job->set_state(v1::JOB_STATE_QUEUED);
  }
  return trial;
}

inline void SetState(v1::Trial& trial, v1::JobState train, v1::JobState evaluate, int done,
                     const std::string& cause = "") {
  trial.set_state(train);
  trial.set_updates_done(done);
  trial.mutable_jobs(0)->set_state(train);
  trial.mutable_jobs(0)->set_cause(cause);
  trial.mutable_jobs(1)->set_state(evaluate);
  if (done > 0) trial.set_best_nll(7.0 - done / 500.0);
  if (train != v1::JOB_STATE_QUEUED) {
    v1::Attempt* attempt = trial.mutable_jobs(0)->add_attempts();
    attempt->set_number(1);
    attempt->set_ranks(1);
    attempt->add_workers("workers/w1");
  }
  if (train == v1::JOB_STATE_RUNNING) {
    trial.set_seconds_per_update(0.5);
    trial.set_tokens_per_second(12345);
    trial.mutable_estimated_end_time()->set_seconds(absl::ToUnixSeconds(TestTime()) + 185);
  }
}

inline void AddWorkers(Knowledge& known) {
  known.workers_known = true;
  for (const char* name : {"w1", "w2", "w3"}) {
    v1::Worker& worker = known.workers.emplace_back();
    worker.set_name(absl::StrCat("workers/", name));
    worker.set_state(v1::WORKER_STATE_READY);
    worker.set_host(absl::StrCat("host-", name));
    worker.set_version("0.1.0");
    worker.mutable_last_seen_time()->set_seconds(absl::ToUnixSeconds(TestTime()) - 1);
    for (int i = 0; i < 2; ++i) {
      v1::Slot* slot = worker.add_slots();
      slot->set_index(i);
      slot->set_device("cpu");
      slot->set_cores(absl::StrCat(i));
    }
  }
  known.workers[0].mutable_slots(0)->set_holder("experiments/grid-1/trials/t4/jobs/train#2");
  known.workers[1].set_cordoned(true);
  known.workers[2].set_state(v1::WORKER_STATE_LOST);
}

inline Knowledge MakeKnowledge() {
  Knowledge known;
  known.address = "127.0.0.1:7070";
  v1::Experiment& experiment = known.experiment;
  experiment.set_name("experiments/grid-1");
  experiment.set_trials(9);
  const std::pair<v1::JobState, int> counts[] = {{v1::JOB_STATE_QUEUED, 3},    {v1::JOB_STATE_RUNNING, 1},
                                                 {v1::JOB_STATE_SUCCEEDED, 2}, {v1::JOB_STATE_FAILED, 1},
                                                 {v1::JOB_STATE_CANCELLED, 1}, {v1::JOB_STATE_DIVERGED, 1}};
  for (const auto& [state, count] : counts) {
    v1::StateCount* of = experiment.add_states();
    of->set_state(state);
    of->set_trials(count);
  }
  for (const char* scheme : {"post_ln", "pre_ln", "b2t"}) {
    for (const char* depth : {"18L-18L", "3L-3L", "6L-6L"})
      known.trials.push_back(MakeTrial(static_cast<int>(known.trials.size()) + 1, scheme, depth));
  }
  auto& trials = known.trials;
  SetState(trials[0], v1::JOB_STATE_DIVERGED, v1::JOB_STATE_CANCELLED, 450, "vanished");
  trials[0].set_evidence(R"({"rule": "vanished", "update": 450})");
  SetState(trials[1], v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_SUCCEEDED, 600);
  SetState(trials[2], v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_RUNNING, 600);
  SetState(trials[3], v1::JOB_STATE_RUNNING, v1::JOB_STATE_QUEUED, 230);
  SetState(trials[4], v1::JOB_STATE_FAILED, v1::JOB_STATE_CANCELLED, 12, "out_of_memory");
  SetState(trials[5], v1::JOB_STATE_CANCELLED, v1::JOB_STATE_CANCELLED, 0);
  for (int i = 6; i < 9; ++i) trials[static_cast<size_t>(i)].mutable_jobs(0)->set_queue_position(i - 5);
  trials[8].mutable_jobs(0)->set_held(true);
  known.scores[trials[1].name()] = {"bleu", 26.534};
  AddWorkers(known);
  return known;
}

// What the trial t4 has measured until update 230: a loss that falls, gradients that vanish towards the first layers.
inline void AddMeasured(Knowledge& known) {
  Measured& measured = known.measured;
  measured.job = "experiments/grid-1/trials/t4/jobs/train";
  for (int update = 0; update <= 230; update += 10) {
    measured.scalars["train_loss"].updates.push_back(update);
    measured.scalars["train_loss"].values.push_back(6 + 3 * std::exp(-update / 60.0));
    if (update % 50 == 0) {
      measured.scalars["valid_nll"].updates.push_back(update);
      measured.scalars["valid_nll"].values.push_back(5.5 + 3 * std::exp(-update / 70.0));
    }
    if (update % 20 != 0) continue;
    for (const char* stack : {"encoder", "decoder"}) {
      Measured::Rows& rows = measured.gradient_norms[stack];
      rows.updates.push_back(update);
      rows.values.emplace_back();
      for (int layer = 1; layer <= 18; ++layer)
        rows.values.back().push_back(std::pow(10, (layer - 18) / 6.0 - update / 200.0));
    }
  }
  measured.scalars["learning_rate"] = {{230}, {0.00083}};
}

}  // namespace strata::client::top
