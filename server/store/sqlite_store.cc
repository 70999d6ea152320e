#include "server/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <deque>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/mutex.h"
#include "server/store/migrate.h"
#include "server/store/sqlite_read.h"
#include "server/store/sqlite_write.h"

namespace strata::store {
namespace {

class PendingCommit final : public Commit {
 public:
  explicit PendingCommit(Transaction transaction) : transaction_(std::move(transaction)) {}

  absl::Status Wait() override {
    base::MutexLock lock(mutex_);
    while (!done_) changed_.Wait(mutex_);
    return {result_.code(), result_.message()};  // a message of the caller's own: ours goes with the writing thread
  }
  void Finish(absl::Status result) {
    base::MutexLock lock(mutex_);
    result_ = std::move(result);
    done_ = true;
    changed_.NotifyAll();
  }
  const Transaction& transaction() const { return transaction_; }

 private:
  const Transaction transaction_;
  base::Mutex mutex_;
  base::CondVar changed_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mutex_);
};

using Group = std::vector<std::shared_ptr<PendingCommit>>;

// The writer's side of a database; belongs to the writer's thread.
class Writer {
 public:
  explicit Writer(std::unique_ptr<Connection> db) : db_(std::move(db)) {}

  // Commits the group at once; where that fails as a whole, one by one. Every member is finished.
  void Run(const Group& group) {
    std::vector<absl::Status> results(group.size());
    if (group.size() == 1 || !RunAtOnce(group, results)) {
      for (size_t i = 0; i < group.size(); ++i) results[i] = RunAlone(group[i]->transaction());
    }
    for (size_t i = 0; i < group.size(); ++i) group[i]->Finish(results[i]);
  }

 private:
  // False if nothing was stored and each must be tried alone.
  bool RunAtOnce(const Group& group, std::vector<absl::Status>& results) {
    const int64_t failed_before = failed_epoch_;
    absl::Status status = db_->Execute("BEGIN IMMEDIATE");
    for (size_t i = 0; status.ok() && i < group.size(); ++i) {
      const Transaction& transaction = group[i]->transaction();
      results[i] = CheckEpoch(transaction);
      if (!results[i].ok()) continue;
      status = Query(*db_, "SAVEPOINT one").Run();
      if (!status.ok()) break;
      results[i] = ApplyAll(transaction);
      if (db_->autocommit()) {  // SQLite gave the whole group up
        status = results[i];
        break;
      }
      if (!results[i].ok()) {
        NoteFailure(transaction);
        status = Query(*db_, "ROLLBACK TO one").Run();
      }
      if (status.ok()) status = Query(*db_, "RELEASE one").Run();
    }
    if (status.ok()) status = db_->Execute("COMMIT");
    if (status.ok()) return true;
    if (!db_->autocommit()) (void)db_->Execute("ROLLBACK");
    failed_epoch_ = failed_before;
    return false;
  }

  absl::Status RunAlone(const Transaction& transaction) {
    absl::Status status = CheckEpoch(transaction);
    if (!status.ok()) return status;
    status = db_->Execute("BEGIN IMMEDIATE");
    if (status.ok()) status = ApplyAll(transaction);
    if (status.ok()) status = db_->Execute("COMMIT");
    if (status.ok()) return status;
    if (!db_->autocommit()) (void)db_->Execute("ROLLBACK");
    NoteFailure(transaction);
    return status;
  }

  absl::Status ApplyAll(const Transaction& transaction) {
    for (const Write& write : transaction.writes) {
      if (absl::Status status = ApplyWrite(*db_, write); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status CheckEpoch(const Transaction& transaction) const {
    if (transaction.epoch == 0 || transaction.epoch > failed_epoch_) return absl::OkStatus();
    return absl::AbortedError("A change that this one rests on could not be stored. Try again.");
  }
  void NoteFailure(const Transaction& transaction) { failed_epoch_ = std::max(failed_epoch_, transaction.epoch); }

  std::unique_ptr<Connection> db_;
  int64_t failed_epoch_ = 0;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(std::string path, base::FileDescriptor lock, std::unique_ptr<Connection> writer,
              SqliteStoreOptions options)
      : path_(std::move(path)), options_(options), lock_(std::move(lock)), writer_(std::move(writer)), thread_([this] {
          WriteUntilClosed();
        }) {}

  ~SqliteStore() override {
    {
      base::MutexLock lock(mutex_);
      closing_ = true;
      queued_.NotifyAll();
    }
    thread_.join();
  }

  std::shared_ptr<Commit> Enqueue(Transaction transaction) override {
    auto pending = std::make_shared<PendingCommit>(std::move(transaction));
    base::MutexLock lock(mutex_);
    queue_.push_back(pending);
    queued_.NotifyOne();
    return pending;
  }

  absl::StatusOr<core::State> LoadState() override { return Read(sqlite::LoadState); }
  absl::StatusOr<int64_t> NextExperimentId() override { return Read(sqlite::NextExperimentId); }
  Found<Experiment> FindExperiment(const std::string& name) override { return Read(sqlite::FindExperiment, name); }
  Found<Experiment> FindRequest(const std::string& id) override { return Read(sqlite::FindRequest, id); }
  Rows<Experiment> ListExperiments(int64_t before, int limit) override {
    return Read(sqlite::ListExperiments, before, limit);
  }
  Found<Trial> FindTrial(const std::string& name) override { return Read(sqlite::FindTrial, name); }
  Rows<Trial> ListTrials(const std::string& experiment, int32_t position, int limit) override {
    return Read(sqlite::ListTrials, experiment, position, limit);
  }
  Rows<Trial> TrialsWithFingerprint(const std::string& f) override { return Read(sqlite::TrialsWithFingerprint, f); }
  Found<double> SecondsPerUpdate(const std::string& c) override { return Read(sqlite::SecondsPerUpdate, c); }
  Rows<TrialJob> JobsOfTrial(const std::string& trial) override { return Read(sqlite::JobsOfTrial, trial); }
  Rows<TrialJob> JobsOfExperiment(const std::string& e) override { return Read(sqlite::JobsOfExperiment, e); }
  Rows<core::Job> ListJobs(int64_t order, int limit) override { return Read(sqlite::ListJobs, order, limit); }
  Found<core::Job> FindJob(const std::string& name) override { return Read(sqlite::FindJob, name); }
  Rows<AttemptRecord> AttemptsOfJob(const std::string& job) override { return Read(sqlite::AttemptsOfJob, job); }
  Rows<AttemptRecord> AttemptsOfExperiment(const std::string& e) override {
    return Read(sqlite::AttemptsOfExperiment, e);
  }
  absl::StatusOr<std::map<int32_t, int64_t>> Cursors(const std::string& job, int32_t attempt) override {
    return Read(sqlite::Cursors, job, attempt);
  }
  Rows<ScalarPoint> Scalars(const std::string& job, const std::string& series, int32_t min_update, int limit) override {
    return Read(sqlite::Scalars, job, series, min_update, limit);
  }
  Rows<VectorPoint> Vectors(const std::string& job, const std::string& stack, const std::string& series,
                            int32_t min_update, int limit) override {
    return Read(sqlite::Vectors, job, stack, series, min_update, limit);
  }
  Rows<Series> ListSeries(const std::string& job) override { return Read(sqlite::ListSeries, job); }
  Found<Dataset> FindDataset(const std::string& name) override { return Read(sqlite::FindDataset, name); }
  Rows<Dataset> ListDatasets(const std::string& after, int limit) override {
    return Read(sqlite::ListDatasets, after, limit);
  }
  Rows<DatasetFile> FilesOfDataset(const std::string& name) override { return Read(sqlite::FilesOfDataset, name); }
  Found<Upload> FindUpload(const std::string& id) override { return Read(sqlite::FindUpload, id); }
  Found<Upload> FindUpload(const Upload& same) override { return Read(sqlite::FindUploadLike, same); }
  Found<Artifact> FindArtifact(const std::string& name) override { return Read(sqlite::FindArtifact, name); }
  Rows<Artifact> ListArtifacts(const std::string& trial) override { return Read(sqlite::ListArtifacts, trial); }
  absl::StatusOr<bool> HasCheckpointEvent(const std::string& job, const std::string& sha256) override {
    return Read(sqlite::HasCheckpointEvent, job, sha256);
  }
  Rows<Reference> ReferencesTo(const std::string& e) override { return Read(sqlite::ReferencesTo, e); }
  Rows<std::string> ExperimentsOfDataset(const std::string& name) override {
    return Read(sqlite::ExperimentsOfDataset, name);
  }
  Rows<MeasurementSize> MeasurementSizes(const std::string& e) override { return Read(sqlite::MeasurementSizes, e); }
  Rows<Artifact> ListAllArtifacts(const std::string& after, int limit) override {
    return Read(sqlite::ListAllArtifacts, after, limit);
  }
  Rows<Upload> ListUploads() override { return Read(sqlite::ListUploads); }
  Rows<Dataset> ListAllDatasets() override { return Read(sqlite::ListAllDatasets); }
  Found<std::string> FindDeletion(const std::string& id) override { return Read(sqlite::FindDeletion, id); }
  Rows<std::string> ListDeletions() override { return Read(sqlite::ListDeletions); }
  absl::StatusOr<bool> WasCollected(const std::string& job, const std::string& kind) override {
    return Read(sqlite::WasCollected, job, kind);
  }
  Rows<std::string> CheckIntegrity() override { return Read(sqlite::CheckIntegrity); }
  absl::Status CopyTo(const std::string& path) override { return Read(sqlite::CopyTo, path); }
  Rows<Token> ListTokens(const std::string& after, int limit) override {
    return Read(sqlite::ListTokens, after, limit);
  }
  Rows<AuditEntry> ListAudit(const AuditFilter& filter, int limit) override {
    return Read(sqlite::ListAudit, filter, limit);
  }

 private:
  void WriteUntilClosed() {
    for (;;) {
      Group group;
      {
        base::MutexLock lock(mutex_);
        while (queue_.empty() && !closing_) queued_.Wait(mutex_);
        if (queue_.empty()) return;
        while (!queue_.empty() && group.size() < static_cast<size_t>(options_.max_group)) {
          group.push_back(std::move(queue_.front()));
          queue_.pop_front();
        }
      }
      writer_.Run(group);
    }
  }

  // Answers a question on a connection that nobody else uses meanwhile.
  template <typename Function, typename... Arguments>
  auto Read(Function function, const Arguments&... arguments)
      -> decltype(function(std::declval<Connection&>(), arguments...)) {
    absl::StatusOr<std::unique_ptr<Connection>> db = TakeReader();
    if (!db.ok()) return db.status();
    auto answer = function(**db, arguments...);
    base::MutexLock lock(mutex_);
    readers_.push_back(*std::move(db));
    return answer;
  }

  absl::StatusOr<std::unique_ptr<Connection>> TakeReader() {
    {
      base::MutexLock lock(mutex_);
      if (!readers_.empty()) {
        auto reader = std::move(readers_.back());
        readers_.pop_back();
        return reader;
      }
    }
    auto reader = Connection::Open(path_);
    if (reader.ok()) {
      if (absl::Status status = (*reader)->Execute("PRAGMA query_only = ON"); !status.ok()) return status;
    }
    return reader;
  }

  const std::string path_;
  const SqliteStoreOptions options_;
  const base::FileDescriptor lock_;
  Writer writer_;
  base::Mutex mutex_;
  base::CondVar queued_;
  std::deque<std::shared_ptr<PendingCommit>> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Connection>> readers_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of the above
};

absl::StatusOr<base::FileDescriptor> TakeLock(const std::string& path) {
  auto lock = base::OpenFile(absl::StrCat(path, ".lock"), O_RDWR | O_CREAT);
  if (!lock.ok()) return lock;
  if (flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return base::FileError(errno, "lock", absl::StrCat(path, ".lock"));
    return absl::FailedPreconditionError(absl::StrCat("Another coordinator has the database ", path,
                                                      " open. Stop it first, or give this one a folder of its own."));
  }
  return lock;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path, SqliteStoreOptions options) {
  auto lock = TakeLock(path);
  if (!lock.ok()) return lock.status();
  auto writer = Connection::Open(path);
  if (!writer.ok()) return writer.status();
  if (absl::Status status = Migrate(**writer, path, Migrations()); !status.ok()) return status;
  if (options.max_pages > 0) {
    absl::Status status = (*writer)->Execute(absl::StrCat("PRAGMA max_page_count = ", options.max_pages));
    if (!status.ok()) return status;
  }
  return std::make_unique<SqliteStore>(path, *std::move(lock), *std::move(writer), options);
}

}  // namespace strata::store
