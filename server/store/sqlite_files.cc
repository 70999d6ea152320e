// Questions about datasets, uploads and artifacts.
#include "server/store/sqlite_read.h"
#include "server/store/sqlite_rows.h"

namespace strata::store::sqlite {
namespace {

int32_t Int32(const Query& q, int column) { return static_cast<int32_t>(q.Int(column)); }

Dataset ReadDataset(const Query& q, int c) {
  return {q.Text(c),        q.Text(c + 1), q.Text(c + 2), q.Text(c + 3), q.Int(c + 4), q.Time(c + 5, absl::UnixEpoch()),
          q.Int(c + 6) != 0};
}

DatasetFile ReadDatasetFile(const Query& q, int c) {
  return {q.Text(c), q.Int(c + 1), q.Text(c + 2), q.Int(c + 3) != 0};
}

Upload ReadUpload(const Query& q, int c) {
  return {q.Text(c),     q.Text(c + 1), Int32(q, c + 2), q.Text(c + 3),
          q.Text(c + 4), q.Int(c + 5),  Int32(q, c + 6), q.Text(c + 7)};
}

Artifact ReadArtifact(const Query& q, int c) {
  return {q.Text(c),       q.Text(c + 1), q.Text(c + 2),   q.Text(c + 3), q.Int(c + 4),
          Int32(q, c + 5), q.Text(c + 6), Int32(q, c + 7), q.Text(c + 8), q.Time(c + 9, absl::UnixEpoch())};
}

}  // namespace

#define DATASET_COLUMNS "name, digest, task, manifest, bytes, create_time, complete"
Found<Dataset> FindDataset(Connection& db, const std::string& name) {
  Query q(db, "SELECT " DATASET_COLUMNS " FROM datasets WHERE name = ?", name);
  return One(q, ReadDataset);
}

Rows<Dataset> ListDatasets(Connection& db, const std::string& after, int limit) {
  Query q(db, "SELECT " DATASET_COLUMNS " FROM datasets WHERE name > ? AND complete = 1 ORDER BY name LIMIT ?", after,
          limit);
  return All(q, ReadDataset);
}

Rows<Dataset> ListAllDatasets(Connection& db) {
  Query q(db, "SELECT " DATASET_COLUMNS " FROM datasets ORDER BY name");
  return All(q, ReadDataset);
}

Rows<DatasetFile> FilesOfDataset(Connection& db, const std::string& name) {
  Query q(db, "SELECT path, bytes, sha256, complete FROM dataset_files WHERE dataset = ? ORDER BY path", name);
  return All(q, ReadDatasetFile);
}

#define UPLOAD_COLUMNS "id, job, attempt, kind, sha256, bytes, step, file_name"
Found<Upload> FindUpload(Connection& db, const std::string& id) {
  Query q(db, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE id = ?", id);
  return One(q, ReadUpload);
}

Found<Upload> FindUploadLike(Connection& db, const Upload& same) {
  Query q(db, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE job = ? AND attempt = ? AND kind = ? AND sha256 = ?",
          same.job, same.attempt, same.kind, same.sha256);
  return One(q, ReadUpload);
}

Rows<Upload> ListUploads(Connection& db) {
  Query q(db, "SELECT " UPLOAD_COLUMNS " FROM uploads ORDER BY id");
  return All(q, ReadUpload);
}

#define ARTIFACT_COLUMNS "name, trial, kind, sha256, bytes, step, job, attempt, file_name, create_time"
Found<Artifact> FindArtifact(Connection& db, const std::string& name) {
  Query q(db, "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE name = ?", name);
  return One(q, ReadArtifact);
}

Rows<Artifact> ListArtifacts(Connection& db, const std::string& trial) {
  Query q(db, "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE trial = ? ORDER BY id DESC", trial);
  return All(q, ReadArtifact);
}

Rows<Artifact> ListAllArtifacts(Connection& db, const std::string& after, int limit) {
  Query q(db, "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE name > ? ORDER BY name LIMIT ?", after, limit);
  return All(q, ReadArtifact);
}

}  // namespace strata::store::sqlite
