// The questions of store.h, as SQL on one connection.
#pragma once

#include "server/store/sqlite.h"
#include "server/store/store.h"

namespace strata::store::sqlite {

absl::StatusOr<core::State> LoadState(Connection& db);
absl::StatusOr<int64_t> NextExperimentId(Connection& db);
Found<Experiment> FindExperiment(Connection& db, const std::string& name);
Found<Experiment> FindRequest(Connection& db, const std::string& request_id);
Rows<Experiment> ListExperiments(Connection& db, int64_t before, int limit);
Found<Trial> FindTrial(Connection& db, const std::string& name);
Rows<Trial> ListTrials(Connection& db, const std::string& experiment, int32_t position, int limit);
Rows<Trial> TrialsWithFingerprint(Connection& db, const std::string& fingerprint);
Found<double> SecondsPerUpdate(Connection& db, const std::string& cost_class);
Rows<TrialJob> JobsOfTrial(Connection& db, const std::string& trial);
Rows<TrialJob> JobsOfExperiment(Connection& db, const std::string& experiment);
Rows<core::Job> ListJobs(Connection& db, int64_t order, int limit);
Found<core::Job> FindJob(Connection& db, const std::string& name);
Rows<AttemptRecord> AttemptsOfJob(Connection& db, const std::string& job);
Rows<AttemptRecord> AttemptsOfExperiment(Connection& db, const std::string& experiment);
absl::StatusOr<std::map<int32_t, int64_t>> Cursors(Connection& db, const std::string& job, int32_t attempt);
Rows<ScalarPoint> Scalars(Connection& db, const std::string& job, const std::string& series, int32_t min_update,
                          int limit);
Rows<VectorPoint> Vectors(Connection& db, const std::string& job, const std::string& stack, const std::string& series,
                          int32_t min_update, int limit);
Rows<Series> ListSeries(Connection& db, const std::string& job);
Found<Dataset> FindDataset(Connection& db, const std::string& name);
Rows<Dataset> ListDatasets(Connection& db, const std::string& after, int limit);
Rows<DatasetFile> FilesOfDataset(Connection& db, const std::string& name);
Found<Upload> FindUpload(Connection& db, const std::string& id);
Found<Upload> FindUploadLike(Connection& db, const Upload& same);
Found<Artifact> FindArtifact(Connection& db, const std::string& name);
Rows<Artifact> ListArtifacts(Connection& db, const std::string& trial);
absl::StatusOr<bool> HasCheckpointEvent(Connection& db, const std::string& job, const std::string& sha256);
Rows<Reference> ReferencesTo(Connection& db, const std::string& experiment);
Rows<std::string> ExperimentsOfDataset(Connection& db, const std::string& dataset);
Rows<MeasurementSize> MeasurementSizes(Connection& db, const std::string& experiment);
Rows<Artifact> ListAllArtifacts(Connection& db, const std::string& after, int limit);
Rows<Upload> ListUploads(Connection& db);
Rows<Dataset> ListAllDatasets(Connection& db);
Found<std::string> FindDeletion(Connection& db, const std::string& request_id);
Rows<std::string> ListDeletions(Connection& db);
absl::StatusOr<bool> WasCollected(Connection& db, const std::string& job, const std::string& kind);
Rows<std::string> CheckIntegrity(Connection& db);
absl::Status CopyTo(Connection& db, const std::string& path);
Rows<Token> ListTokens(Connection& db, const std::string& after, int limit);
Rows<AuditEntry> ListAudit(Connection& db, const AuditFilter& filter, int limit);

}  // namespace strata::store::sqlite
