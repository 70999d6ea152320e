// Upkeep as SQL: what refers to what, sizes, erasing, copying and checking.
#include <map>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite_read.h"
#include "server/store/sqlite_write.h"

namespace strata::store {
namespace {

absl::Status RunForEach(Connection& db, const std::vector<std::string>& names,
                        std::initializer_list<const char*> statements) {
  for (const char* sql : statements) {
    for (const std::string& name : names) {
      if (absl::Status status = Query(db, sql, name).Run(); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

Rows<std::string> Texts(Query& query) {
  std::vector<std::string> rows;
  while (query.Next()) rows.push_back(query.Text(0));
  if (!query.status().ok()) return query.status();
  return rows;
}

}  // namespace

absl::Status Erase(Connection& db, const EraseExperiments& w) {
  // References among those that go do not hold them; others do.
  absl::Status status =
      RunForEach(db, w.names,
                 {"UPDATE trials SET reused_from = NULL, extended_from = NULL WHERE experiment = ?",
                  "DELETE FROM trial_jobs WHERE trial IN (SELECT name FROM trials WHERE experiment = ?)"});
  if (!status.ok()) return status;
  for (const std::string& name : w.names) {
    const Rows<Reference> references = sqlite::ReferencesTo(db, name);
    if (!references.ok()) return references.status();
    if (references->empty()) continue;
    const Reference& first = references->front();
    return absl::FailedPreconditionError(
        absl::StrCat(name, " cannot be deleted: ", first.from, " refers to ", first.to, "."));
  }
#define JOBS_OF_IT "(SELECT j.name FROM jobs j JOIN trials t ON t.name = j.trial WHERE t.experiment = ?)"
  return RunForEach(
      db, w.names,
      {"DELETE FROM measurement_scalars WHERE job IN " JOBS_OF_IT,
       "DELETE FROM measurement_vectors WHERE job IN " JOBS_OF_IT,
       "DELETE FROM checkpoint_events WHERE job IN " JOBS_OF_IT, "DELETE FROM collected WHERE job IN " JOBS_OF_IT,
       "DELETE FROM event_cursors WHERE job IN " JOBS_OF_IT, "DELETE FROM attempt_warnings WHERE job IN " JOBS_OF_IT,
       "DELETE FROM attempts WHERE job IN " JOBS_OF_IT, "DELETE FROM uploads WHERE job IN " JOBS_OF_IT,
       "DELETE FROM artifacts WHERE job IN " JOBS_OF_IT,
       "DELETE FROM jobs WHERE trial IN (SELECT name FROM trials WHERE experiment = ?)",
       "DELETE FROM trials WHERE experiment = ?", "DELETE FROM requests WHERE experiment = ?",
       "DELETE FROM experiments WHERE name = ?"});
#undef JOBS_OF_IT
}

absl::Status Erase(Connection& db, const EraseDataset& w) {
  if (!w.though_used) {
    const Rows<std::string> users = sqlite::ExperimentsOfDataset(db, w.name);
    if (!users.ok()) return users.status();
    if (!users->empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("datasets/", w.name, " cannot be deleted: ", users->front(), " uses it."));
    }
  }
  return Query(db, "DELETE FROM datasets WHERE name = ?", w.name).Run();
}

absl::Status Erase(Connection& db, const EraseVectors& w) {
  return Query(db, "DELETE FROM measurement_vectors WHERE job = ?", w.job).Run();
}

namespace sqlite {

Rows<Reference> ReferencesTo(Connection& db, const std::string& experiment) {
  std::vector<Reference> rows;
  for (const char* sql :
       {"SELECT r.name, 'reused_from', t.name FROM trials t JOIN trials r ON r.reused_from = t.name "
        "WHERE t.experiment = ?1 AND r.experiment <> ?1 ORDER BY r.name",
        "SELECT r.name, 'extended_from', t.name FROM trials t JOIN trials r ON r.extended_from = "
        "t.name WHERE t.experiment = ?1 AND r.experiment <> ?1 ORDER BY r.name",
        "SELECT l.trial, 'shows', l.job FROM trials t JOIN jobs j ON j.trial = t.name JOIN trial_jobs "
        "l ON l.job = j.name JOIN trials r ON r.name = l.trial WHERE t.experiment = ?1 AND "
        "r.experiment <> ?1 ORDER BY l.trial, l.job"}) {
    Query q(db, sql, experiment);
    while (q.Next()) rows.push_back({q.Text(0), q.Text(1), q.Text(2)});
    if (!q.status().ok()) return q.status();
  }
  return rows;
}

Rows<std::string> ExperimentsOfDataset(Connection& db, const std::string& dataset) {
  Query q(db, "SELECT DISTINCT experiment FROM trials WHERE dataset = ? ORDER BY experiment", dataset);
  return Texts(q);
}

Rows<MeasurementSize> MeasurementSizes(Connection& db, const std::string& experiment) {
  // Jobs of an experiment stand between its name with a slash and its name with what follows the slash.
  const std::string from = experiment.empty() ? "" : experiment + "/", to = experiment.empty() ? "~" : experiment + "0";
  std::map<std::string, MeasurementSize> sizes;
  Query scalars(db,
                "SELECT job, count(*), sum(length(job) + length(name) + 16) FROM measurement_scalars "
                "WHERE job >= ? AND job < ? GROUP BY job",
                from, to);
  while (scalars.Next()) {
    MeasurementSize& size = sizes[scalars.Text(0)];
    size.scalars = scalars.Int(1);
    size.scalar_bytes = scalars.Int(2);
  }
  if (!scalars.status().ok()) return scalars.status();
  Query vectors(db,
                "SELECT job, count(*), sum(length(job) + length(stack) + length(name) + 10 + length(\"values\")) "
                "FROM measurement_vectors WHERE job >= ? AND job < ? GROUP BY job",
                from, to);
  while (vectors.Next()) {
    MeasurementSize& size = sizes[vectors.Text(0)];
    size.vectors = vectors.Int(1);
    size.vector_bytes = vectors.Int(2);
  }
  if (!vectors.status().ok()) return vectors.status();
  std::vector<MeasurementSize> rows;
  for (auto& [job, size] : sizes) {
    size.job = job;
    rows.push_back(size);
  }
  return rows;
}

Found<std::string> FindDeletion(Connection& db, const std::string& request_id) {
  Query q(db, "SELECT answer FROM deletions WHERE request_id = ?", request_id);
  std::optional<std::string> answer;
  if (q.Next()) answer = q.Text(0);
  if (!q.status().ok()) return q.status();
  return answer;
}

Rows<std::string> ListDeletions(Connection& db) {
  Query q(db, "SELECT answer FROM deletions ORDER BY request_id");
  return Texts(q);
}

absl::StatusOr<bool> WasCollected(Connection& db, const std::string& job, const std::string& kind) {
  Query q(db, "SELECT 1 FROM collected WHERE job = ? AND kind = ?", job, kind);
  const bool found = q.Next();
  if (!q.status().ok()) return q.status();
  return found;
}

Rows<std::string> CheckIntegrity(Connection& db) {
  Query integrity(db, "PRAGMA integrity_check");
  Rows<std::string> findings = Texts(integrity);
  if (!findings.ok()) return findings;
  if (findings->size() == 1 && findings->front() == "ok") findings->clear();
  Query keys(db, "PRAGMA foreign_key_check");
  while (keys.Next()) {
    findings->push_back(
        absl::StrCat("a row of ", keys.Text(0), " refers to a row of ", keys.Text(2), " that is not there"));
  }
  if (!keys.status().ok()) return keys.status();
  return findings;
}

absl::Status CopyTo(Connection& db, const std::string& path) {
  auto copy = Connection::OpenPlain(path);
  if (!copy.ok()) return copy.status();
  sqlite3_backup* backup = sqlite3_backup_init((*copy)->db(), "main", db.db(), "main");
  if (backup == nullptr) return (*copy)->Error(sqlite3_errcode((*copy)->db()), "backup");
  const int code = sqlite3_backup_step(backup, -1);
  (void)sqlite3_backup_finish(backup);
  if (code != SQLITE_DONE) return (*copy)->Error(code, "backup");
  return absl::OkStatus();
}

}  // namespace sqlite
}  // namespace strata::store
