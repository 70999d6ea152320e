#include "server/store/sqlite_read.h"

#include <cstring>

#include "server/store/row_json.h"
#include "server/store/sqlite_rows.h"

namespace strata::store::sqlite {
namespace {

int32_t Int32(const Query& q, int column) { return static_cast<int32_t>(q.Int(column)); }

#define EXPERIMENT_COLUMNS "e.id, e.name, r.request_id, e.spec, e.create_time, e.trials"
Experiment ReadExperiment(const Query& q, int c) {
  return {q.Int(c), q.Text(c + 1), q.Text(c + 2), q.Text(c + 3), q.Time(c + 4, absl::UnixEpoch()), Int32(q, c + 5)};
}

#define TRIAL_COLUMNS                                                                                            \
  "name, experiment, position, spec, fingerprint, dataset, dataset_digest, reused_from, updates, updates_done, " \
  "best_nll, "                                                                                                   \
  "final_nll, unigram_nll, evidence, weights_sha256, extended_from, cost_class, seconds_per_update"
Trial ReadTrial(const Query& q, int c) {
  Trial t;
  t.name = q.Text(c);
  t.experiment = q.Text(c + 1);
  t.position = Int32(q, c + 2);
  t.spec_json = q.Text(c + 3);
  t.fingerprint = q.Text(c + 4);
  t.dataset = q.Text(c + 5);
  t.dataset_digest = q.Text(c + 6);
  t.reused_from = q.Text(c + 7);
  t.updates = Int32(q, c + 8);
  t.updates_done = Int32(q, c + 9);
  t.best_nll = q.OptionalReal(c + 10);
  t.final_nll = q.OptionalReal(c + 11);
  t.unigram_nll = q.OptionalReal(c + 12);
  t.evidence = q.Text(c + 13);
  t.weights_sha256 = q.Text(c + 14);
  t.extended_from = q.Text(c + 15);
  t.cost_class = q.Text(c + 16);
  t.seconds_per_update = q.OptionalReal(c + 17);
  return t;
}

#define JOB_COLUMNS                                                                                                 \
  "j.name, j.trial, j.kind, j.state, j.cause, j.message, j.upstream, j.accepts_diverged, j.submit_order, j.ranks, " \
  "j.attempts, j.failures, j.max_attempts, j.not_before, j.create_time, j.end_time, j.checkpoint_update, "          \
  "j.priority, j.held, j.min_ranks, j.global_batch"
core::Job ReadJob(const Query& q, int c) {
  core::Job j;
  j.name = q.Text(c);
  j.trial = q.Text(c + 1);
  j.kind = core::JobKindFromName(q.Text(c + 2)).value_or(core::JobKind::kTrain);
  j.state = core::JobStateFromName(q.Text(c + 3)).value_or(core::JobState::kFailed);
  j.cause = q.Text(c + 4);
  j.message = q.Text(c + 5);
  j.upstream = q.Text(c + 6);
  j.accepts_diverged = q.Int(c + 7) != 0;
  j.order = q.Int(c + 8);
  j.ranks = Int32(q, c + 9);
  j.attempts = Int32(q, c + 10);
  j.failures = Int32(q, c + 11);
  j.max_attempts = Int32(q, c + 12);
  j.not_before = q.Time(c + 13, absl::InfinitePast());
  j.create_time = q.Time(c + 14, absl::UnixEpoch());
  j.end_time = q.Time(c + 15, absl::InfiniteFuture());
  j.checkpoint_update = Int32(q, c + 16);
  j.priority = Int32(q, c + 17);
  j.held = q.Int(c + 18) != 0;
  j.min_ranks = Int32(q, c + 19);
  j.global_batch = Int32(q, c + 20);
  return j;
}

TrialJob ReadTrialJob(const Query& q, int c) { return {q.Text(c), q.Text(c + 1), ReadJob(q, c + 2)}; }

#define ATTEMPT_COLUMNS                                                                                            \
  "a.job, a.number, a.places, a.start_time, a.end_time, a.outcome, a.cause, a.message, a.rendezvous, a.ranks_up, " \
  "a.environment, a.resumed_from, a.stop_reason"
AttemptRecord ReadAttempt(const Query& q, int c) {
  AttemptRecord record;
  core::Attempt& a = record.attempt;
  a.job = q.Text(c);
  a.number = Int32(q, c + 1);
  a.places = PlacesFromJson(q.Text(c + 2));
  a.start_time = q.Time(c + 3, absl::UnixEpoch());
  a.end_time = q.Time(c + 4, absl::InfiniteFuture());
  a.outcome = q.Text(c + 5);
  a.cause = q.Text(c + 6);
  a.message = q.Text(c + 7);
  a.rendezvous = q.Text(c + 8);
  a.ranks_up = Int32(q, c + 9);
  record.environment = q.Text(c + 10);
  if (!q.IsNull(c + 11)) record.resumed_from = Int32(q, c + 11);
  a.stop_reason = q.Text(c + 12);
  return record;
}

core::Worker ReadWorker(const Query& q, int c) {
  core::Worker w;
  w.name = q.Text(c);
  w.uid = q.Text(c + 1);
  w.session = q.Text(c + 2);
  w.slots = SlotsFromJson(q.Text(c + 3));
  w.state = WorkerStateFromName(q.Text(c + 4));
  w.last_seen = absl::FromUnixMicros(q.Int(c + 5));
  w.lease_end = absl::FromUnixMicros(q.Int(c + 6));
  w.version = q.Text(c + 7);
  w.host = q.Text(c + 8);
  w.advertise_address = q.Text(c + 9);
  w.cordoned = q.Int(c + 10) != 0;
  w.draining = q.Int(c + 11) != 0;
  w.metrics_address = q.Text(c + 12);
  return w;
}

Rows<AttemptRecord> AttemptsWithWarnings(Connection& db, Query& attempts) {
  Rows<AttemptRecord> records = All(attempts, ReadAttempt);
  if (!records.ok()) return records;
  for (AttemptRecord& record : *records) {
    Query query(db, "SELECT message FROM attempt_warnings WHERE job = ? AND attempt = ? ORDER BY seq",
                record.attempt.job, record.attempt.number);
    while (query.Next()) record.warnings.push_back(query.Text(0));
    if (!query.status().ok()) return query.status();
  }
  return records;
}

ScalarPoint ReadScalar(const Query& q, int c) { return {q.Text(c), Int32(q, c + 1), q.Real(c + 2)}; }

VectorPoint ReadVector(const Query& q, int c) {
  VectorPoint point{q.Text(c), q.Text(c + 1), Int32(q, c + 2), {}};
  const std::string bytes = q.Text(c + 3);
  point.values.resize(bytes.size() / sizeof(double));
  if (!point.values.empty()) std::memcpy(point.values.data(), bytes.data(), point.values.size() * sizeof(double));
  return point;
}

Series ReadSeries(const Query& q, int c) { return {q.Text(c), q.Text(c + 1), q.Int(c + 2), Int32(q, c + 3)}; }

}  // namespace

absl::StatusOr<core::State> LoadState(Connection& db) {
  core::State state;
  Query jobs(db, "SELECT " JOB_COLUMNS " FROM jobs j");
  while (jobs.Next()) {
    core::Job job = ReadJob(jobs, 0);
    state.jobs.emplace(job.name, std::move(job));
  }
  if (!jobs.status().ok()) return jobs.status();
  Query attempts(
      db, "SELECT " ATTEMPT_COLUMNS " FROM attempts a JOIN jobs j ON j.name = a.job WHERE a.number = j.attempts");
  while (attempts.Next()) {
    core::Attempt attempt = ReadAttempt(attempts, 0).attempt;
    state.attempts.emplace(std::pair(attempt.job, attempt.number), std::move(attempt));
  }
  if (!attempts.status().ok()) return attempts.status();
  Query workers(
      db,
      "SELECT name, uid, session, slots, state, last_seen, lease_end, version, host, advertise_address, cordoned, "
      "draining, metrics_address FROM workers");
  while (workers.Next()) {
    core::Worker worker = ReadWorker(workers, 0);
    state.workers.emplace(worker.name, std::move(worker));
  }
  if (!workers.status().ok()) return workers.status();
  return state;
}

absl::StatusOr<int64_t> NextExperimentId(Connection& db) {
  Query query(db, "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'experiments'");
  const int64_t id = query.Next() ? query.Int(0) : 1;
  if (!query.status().ok()) return query.status();
  return id;
}

Found<Experiment> FindExperiment(Connection& db, const std::string& name) {
  Query q(db,
          "SELECT " EXPERIMENT_COLUMNS " FROM experiments e JOIN requests r ON r.experiment = e.name WHERE e.name = ?",
          name);
  return One(q, ReadExperiment);
}

Found<Experiment> FindRequest(Connection& db, const std::string& request_id) {
  Query q(db,
          "SELECT " EXPERIMENT_COLUMNS
          " FROM requests r JOIN experiments e ON r.experiment = e.name WHERE r.request_id = ?",
          request_id);
  return One(q, ReadExperiment);
}

Rows<Experiment> ListExperiments(Connection& db, int64_t before, int limit) {
  Query q(db,
          "SELECT " EXPERIMENT_COLUMNS
          " FROM experiments e JOIN requests r ON r.experiment = e.name WHERE e.id < ? ORDER BY e.id DESC LIMIT ?",
          before, limit);
  return All(q, ReadExperiment);
}

Found<Trial> FindTrial(Connection& db, const std::string& name) {
  Query q(db, "SELECT " TRIAL_COLUMNS " FROM trials WHERE name = ?", name);
  return One(q, ReadTrial);
}

Rows<Trial> ListTrials(Connection& db, const std::string& experiment, int32_t position, int limit) {
  Query q(db, "SELECT " TRIAL_COLUMNS " FROM trials WHERE experiment = ? AND position >= ? ORDER BY position LIMIT ?",
          experiment, position, limit);
  return All(q, ReadTrial);
}

Rows<Trial> TrialsWithFingerprint(Connection& db, const std::string& fingerprint) {
  Query q(db, "SELECT " TRIAL_COLUMNS " FROM trials WHERE fingerprint = ? AND reused_from IS NULL ORDER BY id DESC",
          fingerprint);
  return All(q, ReadTrial);
}

Found<double> SecondsPerUpdate(Connection& db, const std::string& cost_class) {
  Query q(db,
          "SELECT avg(seconds_per_update) FROM (SELECT seconds_per_update FROM trials WHERE cost_class = ? AND "
          "seconds_per_update IS NOT NULL ORDER BY id DESC LIMIT 8)",
          cost_class);
  std::optional<double> mean;
  if (q.Next()) mean = q.OptionalReal(0);
  if (!q.status().ok()) return q.status();
  return mean;
}

Rows<TrialJob> JobsOfTrial(Connection& db, const std::string& trial) {
  Query q(db,
          "SELECT l.trial, l.leaf, " JOB_COLUMNS
          " FROM trial_jobs l JOIN jobs j ON j.name = l.job WHERE l.trial = ? ORDER BY l.position",
          trial);
  return All(q, ReadTrialJob);
}

Rows<TrialJob> JobsOfExperiment(Connection& db, const std::string& experiment) {
  Query q(db,
          "SELECT l.trial, l.leaf, " JOB_COLUMNS
          " FROM trials t JOIN trial_jobs l ON l.trial = t.name JOIN jobs j ON j.name = l.job WHERE t.experiment = ? "
          "ORDER BY t.position, l.position",
          experiment);
  return All(q, ReadTrialJob);
}

Rows<core::Job> ListJobs(Connection& db, int64_t order, int limit) {
  Query q(db, "SELECT " JOB_COLUMNS " FROM jobs j WHERE j.submit_order >= ? ORDER BY j.submit_order LIMIT ?", order,
          limit);
  return All(q, ReadJob);
}

Found<core::Job> FindJob(Connection& db, const std::string& name) {
  Query q(db, "SELECT " JOB_COLUMNS " FROM jobs j WHERE j.name = ?", name);
  return One(q, ReadJob);
}

Rows<AttemptRecord> AttemptsOfJob(Connection& db, const std::string& job) {
  Query q(db, "SELECT " ATTEMPT_COLUMNS " FROM attempts a WHERE a.job = ? ORDER BY a.number", job);
  return AttemptsWithWarnings(db, q);
}

Rows<AttemptRecord> AttemptsOfExperiment(Connection& db, const std::string& experiment) {
  Query q(
      db,
      "SELECT DISTINCT " ATTEMPT_COLUMNS
      " FROM trials t JOIN trial_jobs l ON l.trial = t.name JOIN attempts a ON a.job = l.job WHERE t.experiment = ? "
      "ORDER BY a.job, a.number",
      experiment);
  return AttemptsWithWarnings(db, q);
}

absl::StatusOr<std::map<int32_t, int64_t>> Cursors(Connection& db, const std::string& job, int32_t attempt) {
  std::map<int32_t, int64_t> cursors;
  Query q(db, "SELECT rank, acknowledged_seq FROM event_cursors WHERE job = ? AND attempt = ?", job, attempt);
  while (q.Next()) cursors[Int32(q, 0)] = q.Int(1);
  if (!q.status().ok()) return q.status();
  return cursors;
}

Rows<ScalarPoint> Scalars(Connection& db, const std::string& job, const std::string& series, int32_t min_update,
                          int limit) {
  if (series.empty()) {
    Query q(db,
            "SELECT name, step, value FROM measurement_scalars WHERE job = ? AND step >= ? ORDER BY step, name LIMIT ?",
            job, min_update, limit);
    return All(q, ReadScalar);
  }
  Query q(db,
          "SELECT name, step, value FROM measurement_scalars WHERE job = ? AND name = ? AND step >= ? ORDER BY step "
          "LIMIT ?",
          job, series, min_update, limit);
  return All(q, ReadScalar);
}

Rows<VectorPoint> Vectors(Connection& db, const std::string& job, const std::string& stack, const std::string& series,
                          int32_t min_update, int limit) {
  Query q(db,
          "SELECT stack, name, step, \"values\" FROM measurement_vectors "
          "WHERE job = ? AND stack = ? AND name = ? AND step >= ? ORDER BY step LIMIT ?",
          job, stack, series, min_update, limit);
  return All(q, ReadVector);
}

Rows<Series> ListSeries(Connection& db, const std::string& job) {
  Query scalars(
      db, "SELECT name, '', count(*), max(step) FROM measurement_scalars WHERE job = ? GROUP BY name ORDER BY name",
      job);
  Rows<Series> series = All(scalars, ReadSeries);
  if (!series.ok()) return series;
  Query vectors(db,
                "SELECT name, stack, count(*), max(step) FROM measurement_vectors WHERE job = ? GROUP BY name, stack "
                "ORDER BY name, stack",
                job);
  Rows<Series> more = All(vectors, ReadSeries);
  if (!more.ok()) return more;
  series->insert(series->end(), more->begin(), more->end());
  return series;
}

absl::StatusOr<bool> HasCheckpointEvent(Connection& db, const std::string& job, const std::string& sha256) {
  Query q(db, "SELECT 1 FROM checkpoint_events WHERE job = ? AND sha256 = ?", job, sha256);
  const bool found = q.Next();
  if (!q.status().ok()) return q.status();
  return found;
}

}  // namespace strata::store::sqlite
