#include "server/store/sqlite_write.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/store/row_json.h"

namespace strata::store {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors are stored as little-endian doubles");

absl::Status Run(Connection& db, const InsertExperiment& w) {
  const Experiment& e = w.experiment;
  absl::Status status =
      Query(db, "INSERT INTO experiments (id, name, spec, create_time, trials) VALUES (?, ?, ?, ?, ?)", e.id, e.name,
            e.spec_json, e.create_time, e.trials)
          .Run();
  if (!status.ok()) return status;
  return Query(db, "INSERT INTO requests (request_id, experiment) VALUES (?, ?)", e.request_id, e.name).Run();
}

absl::Status Run(Connection& db, const InsertTrial& w) {
  const Trial& t = w.trial;
  const std::optional<std::string> reused = t.reused_from.empty() ? std::nullopt : std::optional(t.reused_from);
  const std::optional<std::string> extended = t.extended_from.empty() ? std::nullopt : std::optional(t.extended_from);
  return Query(
             db,
             "INSERT INTO trials (name, experiment, position, spec, fingerprint, dataset, dataset_digest, reused_from, "
             "updates, updates_done, best_nll, final_nll, unigram_nll, evidence, weights_sha256, extended_from, "
             "cost_class, seconds_per_update) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
             t.name, t.experiment, t.position, t.spec_json, t.fingerprint, t.dataset, t.dataset_digest, reused,
             t.updates, t.updates_done, t.best_nll, t.final_nll, t.unigram_nll, t.evidence, t.weights_sha256, extended,
             t.cost_class, t.seconds_per_update)
      .Run();
}

absl::Status Run(Connection& db, const PutJob& w) {
  const core::Job& j = w.job;
  return Query(
             db,
             "INSERT INTO jobs (name, trial, kind, state, cause, message, upstream, accepts_diverged, submit_order, "
             "ranks, "
             "attempts, failures, max_attempts, not_before, create_time, end_time, checkpoint_update, priority, held, "
             "min_ranks, global_batch) "
             "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
             "ON CONFLICT (name) DO UPDATE SET state = excluded.state, cause = excluded.cause, message = "
             "excluded.message, "
             "upstream = excluded.upstream, accepts_diverged = excluded.accepts_diverged, "
             "submit_order = excluded.submit_order, ranks = excluded.ranks, attempts = excluded.attempts, "
             "failures = excluded.failures, max_attempts = excluded.max_attempts, not_before = excluded.not_before, "
             "end_time = excluded.end_time, checkpoint_update = excluded.checkpoint_update, "
             "priority = excluded.priority, held = excluded.held, min_ranks = excluded.min_ranks, "
             "global_batch = excluded.global_batch",
             j.name, j.trial, core::Name(j.kind), core::Name(j.state), j.cause, j.message, j.upstream,
             j.accepts_diverged, j.order, j.ranks, j.attempts, j.failures, j.max_attempts, j.not_before, j.create_time,
             j.end_time, j.checkpoint_update, j.priority, j.held, j.min_ranks, j.global_batch)
      .Run();
}

absl::Status Run(Connection& db, const LinkJob& w) {
  return Query(db,
               "INSERT INTO trial_jobs (trial, leaf, job, position) "
               "VALUES (?1, ?2, ?3, (SELECT count(*) FROM trial_jobs WHERE trial = ?1))",
               w.trial, w.leaf, w.job)
      .Run();
}

absl::Status Run(Connection& db, const PutAttempt& w) {
  const core::Attempt& a = w.attempt;
  return Query(db,
               "INSERT INTO attempts (job, number, places, start_time, end_time, outcome, cause, message, rendezvous, "
               "ranks_up, stop_reason) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
               "ON CONFLICT (job, number) DO UPDATE SET places = excluded.places, start_time = excluded.start_time, "
               "end_time = excluded.end_time, outcome = excluded.outcome, cause = excluded.cause, message = "
               "excluded.message, "
               "rendezvous = excluded.rendezvous, ranks_up = excluded.ranks_up, stop_reason = excluded.stop_reason",
               a.job, a.number, PlacesToJson(a.places), a.start_time, a.end_time, a.outcome, a.cause, a.message,
               a.rendezvous, a.ranks_up, a.stop_reason)
      .Run();
}

absl::Status Run(Connection& db, const PutWorker& w) {
  const core::Worker& k = w.worker;
  return Query(db,
               "INSERT OR REPLACE INTO workers (name, uid, session, slots, state, last_seen, lease_end, version, host, "
               "advertise_address, cordoned, draining, metrics_address) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               k.name, k.uid, k.session, SlotsToJson(k.slots), WorkerStateName(k.state),
               absl::ToUnixMicros(k.last_seen), absl::ToUnixMicros(k.lease_end), k.version, k.host, k.advertise_address,
               k.cordoned, k.draining, k.metrics_address)
      .Run();
}

absl::Status Run(Connection& db, const EraseWorker& w) {
  return Query(db, "DELETE FROM workers WHERE name = ?", w.name).Run();
}

absl::Status Run(Connection& db, const RecordStart& w) {
  absl::Status status = Query(db, "UPDATE attempts SET environment = ?, resumed_from = ? WHERE job = ? AND number = ?",
                              w.environment, w.resumed_from, w.job, w.attempt)
                            .Run();
  if (!status.ok()) return status;
  const int32_t last_kept = w.resumed_from.value_or(-1);
  status = Query(db, "DELETE FROM measurement_scalars WHERE job = ? AND attempt < ? AND step > ?", w.job, w.attempt,
                 last_kept)
               .Run();
  if (!status.ok()) return status;
  return Query(db, "DELETE FROM measurement_vectors WHERE job = ? AND attempt < ? AND step > ?", w.job, w.attempt,
               last_kept)
      .Run();
}

absl::Status Run(Connection& db, const AddWarning& w) {
  return Query(db, "INSERT OR REPLACE INTO attempt_warnings (job, attempt, seq, message) VALUES (?, ?, ?, ?)", w.job,
               w.attempt, w.seq, w.message)
      .Run();
}

absl::Status Run(Connection& db, const AdvanceCursor& w) {
  int64_t stands = 0;
  {
    Query query(db, "SELECT acknowledged_seq FROM event_cursors WHERE job = ? AND attempt = ? AND rank = ?", w.job,
                w.attempt, w.rank);
    if (query.Next()) stands = query.Int(0);
    if (!query.status().ok()) return query.status();
  }
  if (stands != w.expected) {
    return absl::FailedPreconditionError(absl::StrCat("Events of ", w.job, " attempt ", w.attempt, " rank ", w.rank,
                                                      " are acknowledged up to ", stands, ", not ", w.expected,
                                                      ". Send those from ", stands + 1, " on."));
  }
  return Query(db, "INSERT OR REPLACE INTO event_cursors (job, attempt, rank, acknowledged_seq) VALUES (?, ?, ?, ?)",
               w.job, w.attempt, w.rank, w.seq)
      .Run();
}

absl::Status Run(Connection& db, const PutScalars& w) {
  for (const ScalarPoint& point : w.points) {
    absl::Status status =
        Query(db,
              "INSERT INTO measurement_scalars (job, name, step, attempt, value) VALUES (?, ?, ?, ?, ?) "
              "ON CONFLICT (job, name, step) DO UPDATE SET attempt = excluded.attempt, value = excluded.value "
              "WHERE excluded.attempt >= attempt",
              w.job, point.series, point.update, w.attempt, point.value)
            .Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Run(Connection& db, const PutVectors& w) {
  for (const VectorPoint& point : w.points) {
    const std::string_view bytes(reinterpret_cast<const char*>(point.values.data()),
                                 point.values.size() * sizeof(double));
    absl::Status status =
        Query(db,
              "INSERT INTO measurement_vectors (job, stack, name, step, attempt, count, \"values\") VALUES (?, ?, ?, "
              "?, ?, ?, ?) "
              "ON CONFLICT (job, stack, name, step) DO UPDATE SET attempt = excluded.attempt, count = excluded.count, "
              "\"values\" = excluded.\"values\" WHERE excluded.attempt >= attempt",
              w.job, point.stack, point.series, point.update, w.attempt, static_cast<int64_t>(point.values.size()),
              Query::Bytes(bytes))
            .Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Run(Connection& db, const CopyMeasurements& w) {
  absl::Status status = Query(db,
                              "INSERT INTO measurement_scalars (job, name, step, attempt, value) "
                              "SELECT ?2, name, step, 0, value FROM measurement_scalars WHERE job = ?1 AND step <= ?3",
                              w.from, w.to, w.last_update)
                            .Run();
  if (!status.ok()) return status;
  return Query(db,
               "INSERT INTO measurement_vectors (job, stack, name, step, attempt, count, \"values\") "
               "SELECT ?2, stack, name, step, 0, count, \"values\" FROM measurement_vectors WHERE job = ?1 AND step <= "
               "?3",
               w.from, w.to, w.last_update)
      .Run();
}

absl::Status Run(Connection& db, const UpdateTrial& w) {
  // min() of two arguments is NULL if either is: coalesce picks the one that is there.
  return Query(db,
               "UPDATE trials SET updates_done = coalesce(?2, updates_done), "
               "best_nll = coalesce(?4, min(best_nll, ?3), ?3, best_nll), final_nll = coalesce(?5, final_nll), "
               "unigram_nll = coalesce(?6, unigram_nll), evidence = coalesce(?7, evidence), "
               "weights_sha256 = coalesce(?8, weights_sha256), "
               "seconds_per_update = coalesce(?9, seconds_per_update) WHERE name = ?1",
               w.trial, w.updates_done, w.valid_nll, w.best_nll, w.final_nll, w.unigram_nll, w.evidence,
               w.weights_sha256, w.seconds_per_update)
      .Run();
}

absl::Status Run(Connection& db, const AddCheckpointEvent& w) {
  return Query(db, "INSERT OR REPLACE INTO checkpoint_events (job, sha256, attempt, step) VALUES (?, ?, ?, ?)", w.job,
               w.sha256, w.attempt, w.update)
      .Run();
}

absl::Status Run(Connection& db, const PutDataset& w) {
  const Dataset& d = w.dataset;
  // Deleting takes the rows of its files along.
  absl::Status status = Query(db, "DELETE FROM datasets WHERE name = ?", d.name).Run();
  if (!status.ok()) return status;
  status = Query(db,
                 "INSERT INTO datasets (name, digest, task, manifest, bytes, create_time, complete) VALUES (?, ?, ?, "
                 "?, ?, ?, ?)",
                 d.name, d.digest, d.task, d.manifest, d.bytes, d.create_time, d.complete)
               .Run();
  for (const DatasetFile& file : w.files) {
    if (!status.ok()) return status;
    status = Query(db, "INSERT INTO dataset_files (dataset, path, bytes, sha256, complete) VALUES (?, ?, ?, ?, ?)",
                   d.name, file.path, file.bytes, file.sha256, file.complete)
                 .Run();
  }
  return status;
}

absl::Status Run(Connection& db, const CompleteDatasetFile& w) {
  return Query(db, "UPDATE dataset_files SET complete = 1 WHERE dataset = ? AND path = ?", w.dataset, w.path).Run();
}

absl::Status Run(Connection& db, const CompleteDataset& w) {
  return Query(db, "UPDATE datasets SET complete = 1 WHERE name = ?", w.dataset).Run();
}

absl::Status Run(Connection& db, const PutUpload& w) {
  const Upload& u = w.upload;
  return Query(db,
               "INSERT INTO uploads (id, job, attempt, kind, sha256, bytes, step, file_name) VALUES (?, ?, ?, ?, ?, ?, "
               "?, ?)",
               u.id, u.job, u.attempt, u.kind, u.sha256, u.bytes, u.update, u.file_name)
      .Run();
}

absl::Status Run(Connection& db, const EraseUpload& w) {
  return Query(db, "DELETE FROM uploads WHERE id = ?", w.id).Run();
}

absl::Status Run(Connection& db, const PutArtifact& w) {
  const Artifact& a = w.artifact;
  return Query(db,
               "INSERT INTO artifacts (name, trial, kind, sha256, bytes, step, job, attempt, file_name, create_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               a.name, a.trial, a.kind, a.sha256, a.bytes, a.update, a.job, a.attempt, a.file_name, a.create_time)
      .Run();
}

absl::Status Run(Connection& db, const EraseArtifact& w) {
  return Query(db, "DELETE FROM artifacts WHERE name = ?", w.name).Run();
}

absl::Status Run(Connection& db, const PutToken& w) {
  const Token& t = w.token;
  return Query(db,
               "INSERT OR REPLACE INTO tokens (name, role, sha256, create_time, expire_time, revoke_time, creator) "
               "VALUES (?, ?, ?, ?, ?, ?, ?)",
               t.name, t.role, t.sha256, t.create_time, t.expire_time, t.revoke_time, t.creator)
      .Run();
}

absl::Status Run(Connection& db, const AddAuditEntry& w) {
  const AuditEntry& e = w.entry;
  return Query(db,
               "INSERT INTO audit (time, caller, role, method, target, request_id, peer) VALUES (?, ?, ?, ?, ?, ?, ?)",
               e.time, e.caller, e.role, e.method, e.target, e.request_id, e.peer)
      .Run();
}

absl::Status Run(Connection& db, const EraseExperiments& w) { return Erase(db, w); }
absl::Status Run(Connection& db, const EraseDataset& w) { return Erase(db, w); }
absl::Status Run(Connection& db, const EraseVectors& w) { return Erase(db, w); }

absl::Status Run(Connection& db, const ReopenDatasetFile& w) {
  return Query(db, "UPDATE dataset_files SET complete = 0 WHERE dataset = ? AND path = ?", w.dataset, w.path).Run();
}

absl::Status Run(Connection& db, const NoteCollected& w) {
  return Query(db, "INSERT OR REPLACE INTO collected (job, kind, time) VALUES (?, ?, ?)", w.job, w.kind, w.time).Run();
}

absl::Status Run(Connection& db, const PutDeletion& w) {
  return Query(db, "INSERT INTO deletions (request_id, time, answer) VALUES (?, ?, ?)", w.request_id, w.time, w.answer)
      .Run();
}

}  // namespace

absl::Status ApplyWrite(Connection& db, const Write& write) {
  return std::visit([&db](const auto& w) { return Run(db, w); }, write);
}

}  // namespace strata::store
