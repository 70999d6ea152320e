// Where everything lasts. Two implementations, one conformance suite: sqlite_store.h for service, memory_store.h for
// simulations and tests.
//
// Writing: transactions are applied in the order in which they were queued; a reader sees all of one or nothing.
// Thread-safe. Errors: ResourceExhausted (disk full), AlreadyExists, FailedPrecondition (what the writes say), Aborted
// (see Transaction::epoch), Internal; a transaction that fails leaves no trace.
// Reading sees what is committed, never what is queued.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/access_rows.h"
#include "server/store/rows.h"
#include "server/store/transaction.h"
#include "server/store/upkeep_rows.h"

namespace strata::store {

// A queued transaction. Wait returns once it is on disk, or has failed. Any thread may wait, as often as it likes.
class Commit {
 public:
  virtual ~Commit() = default;
  virtual absl::Status Wait() = 0;
};

template <typename T>
using Found = absl::StatusOr<std::optional<T>>;
template <typename T>
using Rows = absl::StatusOr<std::vector<T>>;

class Store {
 public:
  virtual ~Store() = default;

  virtual std::shared_ptr<Commit> Enqueue(Transaction transaction) = 0;
  absl::Status Apply(Transaction transaction) { return Enqueue(std::move(transaction))->Wait(); }

  // All jobs and workers, and the last attempt of each job.
  virtual absl::StatusOr<core::State> LoadState() = 0;
  // Above every id that was ever given.
  virtual absl::StatusOr<int64_t> NextExperimentId() = 0;

  virtual Found<Experiment> FindExperiment(const std::string& name) = 0;
  virtual Found<Experiment> FindRequest(const std::string& request_id) = 0;
  // Newest first, those with an id below `before`.
  virtual Rows<Experiment> ListExperiments(int64_t before, int limit) = 0;

  virtual Found<Trial> FindTrial(const std::string& name) = 0;
  // In the order of the grid, from `position` on.
  virtual Rows<Trial> ListTrials(const std::string& experiment, int32_t position, int limit) = 0;
  // Trials of this fingerprint that train themselves, newest first.
  virtual Rows<Trial> TrialsWithFingerprint(const std::string& fingerprint) = 0;
  // Mean seconds_per_update of the newest few trials of this cost class that have one.
  virtual Found<double> SecondsPerUpdate(const std::string& cost_class) = 0;

  // The jobs that a trial (or every trial of an experiment) shows, in order.
  virtual Rows<TrialJob> JobsOfTrial(const std::string& trial) = 0;
  virtual Rows<TrialJob> JobsOfExperiment(const std::string& experiment) = 0;
  // All jobs by order of submission, from `order` on.
  virtual Rows<core::Job> ListJobs(int64_t order, int limit) = 0;
  virtual Found<core::Job> FindJob(const std::string& name) = 0;
  // Oldest first.
  virtual Rows<AttemptRecord> AttemptsOfJob(const std::string& job) = 0;
  virtual Rows<AttemptRecord> AttemptsOfExperiment(const std::string& experiment) = 0;

  // Last acknowledged event by rank.
  virtual absl::StatusOr<std::map<int32_t, int64_t>> Cursors(const std::string& job, int32_t attempt) = 0;
  // By update, from `min_update` on. An empty series means all of them, by update and name.
  virtual Rows<ScalarPoint> Scalars(const std::string& job, const std::string& series, int32_t min_update,
                                    int limit) = 0;
  virtual Rows<VectorPoint> Vectors(const std::string& job, const std::string& stack, const std::string& series,
                                    int32_t min_update, int limit) = 0;
  // Scalars first, then vectors, by name and stack.
  virtual Rows<Series> ListSeries(const std::string& job) = 0;

  virtual Found<Dataset> FindDataset(const std::string& name) = 0;
  // Complete ones, by name, after `after`.
  virtual Rows<Dataset> ListDatasets(const std::string& after, int limit) = 0;
  virtual Rows<DatasetFile> FilesOfDataset(const std::string& name) = 0;

  virtual Found<Upload> FindUpload(const std::string& id) = 0;
  virtual Found<Upload> FindUpload(const Upload& same) = 0;  // same job, attempt, kind and hash
  virtual Found<Artifact> FindArtifact(const std::string& name) = 0;
  // Of a trial, newest first.
  virtual Rows<Artifact> ListArtifacts(const std::string& trial) = 0;
  // Has AddCheckpointEvent said so, in any attempt?
  virtual absl::StatusOr<bool> HasCheckpointEvent(const std::string& job, const std::string& sha256) = 0;

  // Trials of other experiments that refer to this one's trials or jobs.
  virtual Rows<Reference> ReferencesTo(const std::string& experiment) = 0;
  // Experiments with trials on this dataset, by name.
  virtual Rows<std::string> ExperimentsOfDataset(const std::string& dataset) = 0;
  // Of each job that has measurements, by name; of one experiment, or with an empty name of all.
  virtual Rows<MeasurementSize> MeasurementSizes(const std::string& experiment) = 0;
  // By name, after `after`.
  virtual Rows<Artifact> ListAllArtifacts(const std::string& after, int limit) = 0;
  virtual Rows<Upload> ListUploads() = 0;
  // By name, those that are not complete too.
  virtual Rows<Dataset> ListAllDatasets() = 0;
  // What PutDeletion stored.
  virtual Found<std::string> FindDeletion(const std::string& request_id) = 0;
  // All that PutDeletion stored.
  virtual Rows<std::string> ListDeletions() = 0;
  // Has NoteCollected said so?
  virtual absl::StatusOr<bool> WasCollected(const std::string& job, const std::string& kind) = 0;
  // What is wrong with what is stored, one sentence each. Reads all of it.
  virtual Rows<std::string> CheckIntegrity() = 0;
  // Writes what is committed now to a new database at `path`, while others read and write. Unimplemented in memory.
  virtual absl::Status CopyTo(const std::string& path) = 0;

  // By name, after `after`.
  virtual Rows<Token> ListTokens(const std::string& after, int limit) = 0;
  // Newest first.
  virtual Rows<AuditEntry> ListAudit(const AuditFilter& filter, int limit) = 0;
};

}  // namespace strata::store
