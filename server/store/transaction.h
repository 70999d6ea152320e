// What a transaction does: a list of writes, applied in order, all or none.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/store/access_rows.h"
#include "server/store/rows.h"
#include "server/store/upkeep_writes.h"

namespace strata::store {

// AlreadyExists if name or request_id is taken.
struct InsertExperiment {
  Experiment experiment;
};
struct InsertTrial {
  Trial trial;
};
// Inserts or replaces a job's row. The job's trial must be there.
struct PutJob {
  core::Job job;
};
// Shows `job` as `leaf` of `trial`. The job must be there.
struct LinkJob {
  std::string trial, leaf, job;
};
// Inserts or replaces the scheduler's part of an attempt; environment and the like stay.
struct PutAttempt {
  core::Attempt attempt;
};
struct PutWorker {
  core::Worker worker;
};
struct EraseWorker {
  std::string name;
};

// What a `started` event says. With it, rows that older attempts measured beyond `resumed_from` go (all, if it is
// null): this attempt measures those steps again.
struct RecordStart {
  std::string job;
  int32_t attempt = 0;
  std::string environment;
  std::optional<int32_t> resumed_from;
};
struct AddWarning {
  std::string job;
  int32_t attempt = 0;
  int64_t seq = 0;
  std::string message;
};

// Moves the acknowledged number of a rank's events from `expected` to `seq`. FailedPrecondition if it stands elsewhere,
// so that no event is stored twice or passed over.
struct AdvanceCursor {
  std::string job;
  int32_t attempt = 0;
  int32_t rank = 0;
  int64_t expected = 0;
  int64_t seq = 0;
};
// One row a (job, series, update): a later or the same attempt's value replaces an earlier one's.
struct PutScalars {
  std::string job;
  int32_t attempt = 0;
  std::vector<ScalarPoint> points;
};
struct PutVectors {
  std::string job;
  int32_t attempt = 0;
  std::vector<VectorPoint> points;
};
// Gives `to` the rows of `from` up to `last_update`, as of attempt 0: what its own attempts measure there replaces
// them.
struct CopyMeasurements {
  std::string from, to;
  int32_t last_update = 0;
};

// Changes what is set; `valid_nll` also lowers best_nll. updates_done is set as given.
struct UpdateTrial {
  std::string trial;
  std::optional<int32_t> updates_done;
  std::optional<double> valid_nll, best_nll, final_nll, unigram_nll, seconds_per_update;
  std::optional<std::string> evidence, weights_sha256;
};
// The trainer said that it wrote this resumable checkpoint, after all that it measured before.
struct AddCheckpointEvent {
  std::string job;
  int32_t attempt = 0;
  int32_t update = 0;
  std::string sha256;
};

// Inserts or replaces a dataset and its files' rows.
struct PutDataset {
  Dataset dataset;
  std::vector<DatasetFile> files;
};
struct CompleteDatasetFile {
  std::string dataset, path;
};
struct CompleteDataset {
  std::string dataset;
};

struct PutUpload {
  Upload upload;
};
struct EraseUpload {
  std::string id;
};
struct PutArtifact {
  Artifact artifact;
};
struct EraseArtifact {
  std::string name;
};

// Inserts or replaces a token. AlreadyExists if another one has its secret.
struct PutToken {
  Token token;
};
// Its number is given by the store.
struct AddAuditEntry {
  AuditEntry entry;
};

using Write =
    std::variant<InsertExperiment, InsertTrial, PutJob, LinkJob, PutAttempt, PutWorker, EraseWorker, RecordStart,
                 AddWarning, AdvanceCursor, PutScalars, PutVectors, CopyMeasurements, UpdateTrial, AddCheckpointEvent,
                 PutDataset, CompleteDatasetFile, CompleteDataset, PutUpload, EraseUpload, PutArtifact, EraseArtifact,
                 PutToken, AddAuditEntry, EraseExperiments, EraseDataset, ReopenDatasetFile, EraseVectors, NoteCollected, PutDeletion>;

struct Transaction {
  // Transactions that rest on each other carry the same number, not 0: when one fails, those queued behind it with this
  // or a lower number fail too (Aborted), because what they rest on was never stored.
  int64_t epoch = 0;
  std::vector<Write> writes;
};

}  // namespace strata::store
