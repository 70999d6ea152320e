#include "server/store/sqlite.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace strata::store {

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenPlain(const std::string& path) {
  std::unique_ptr<Connection> connection(new Connection);
  connection->path_ = path;
  const int code = sqlite3_open_v2(path.c_str(), &connection->db_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    return absl::PermissionDeniedError(
        absl::StrCat("Cannot open the database ", path, ": ", sqlite3_errstr(code), "."));
  }
  if (sqlite3_db_readonly(connection->db_, "main") == 1) {
    return absl::PermissionDeniedError(absl::StrCat("The database ", path,
                                                    " can be read but not written. Start the coordinator as its owner, "
                                                    "or give it a folder of its own with --data-dir."));
  }
  sqlite3_extended_result_codes(connection->db_, 1);
  sqlite3_busy_timeout(connection->db_, 10000);
  return connection;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path) {
  auto opened = OpenPlain(path);
  if (!opened.ok()) return opened;
  std::unique_ptr<Connection>& connection = *opened;
  absl::Status status = connection->Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16000;");
  if (!status.ok()) return status;
  return opened;
}

Connection::~Connection() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

absl::Status Connection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, sql);
}

absl::Status Connection::Error(int code, std::string_view sql) const {
  const std::string said = sqlite3_errmsg(db_);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(
          absl::StrCat("The disk that holds ", path_, " is full: nothing was stored. Free some space and try again."));
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE) {
        return absl::AlreadyExistsError(absl::StrCat("It is stored already (", said, ")."));
      }
      return absl::InternalError(absl::StrCat("The database refuses it: ", said, ", in: ", std::string(sql)));
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return absl::DataLossError(absl::StrCat(path_, " is no intact SQLite database (", said,
                                              "). Move it away, or put a copy of it in its place."));
    default:
      return absl::InternalError(
          absl::StrCat("SQLite failed on ", path_, ": ", said, " (", code, "), in: ", std::string(sql)));
  }
}

Query::Query(Prepared, Connection& connection, const char* sql) : connection_(connection), sql_(sql) {
  sqlite3_stmt*& cached = connection.statements_[sql];
  if (cached == nullptr) {
    const int code = sqlite3_prepare_v3(connection.db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &cached, nullptr);
    if (code != SQLITE_OK) status_ = connection.Error(code, sql);
  }
  statement_ = cached;
}

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Query::Next() {
  if (!status_.ok()) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = connection_.Error(code, sql_);
  return false;
}

absl::Status Query::Run() {
  while (Next()) {
  }
  return status_;
}

void Query::Check(int code) {
  if (code != SQLITE_OK && status_.ok()) status_ = connection_.Error(code, sql_);
}

void Query::Bind(int index, int64_t value) {
  if (status_.ok()) Check(sqlite3_bind_int64(statement_, index, value));
}
void Query::Bind(int index, double value) {
  if (std::isnan(value)) return Bind(index, std::nullopt);
  if (status_.ok()) Check(sqlite3_bind_double(statement_, index, value));
}
void Query::Bind(int index, std::nullopt_t) {
  if (status_.ok()) Check(sqlite3_bind_null(statement_, index));
}
void Query::Bind(int index, std::string_view value) {
  if (!status_.ok()) return;
  // An empty view may have no address, which SQLite would take for NULL.
  const char* data = value.data() == nullptr ? "" : value.data();
  Check(sqlite3_bind_text(statement_, index, data, static_cast<int>(value.size()), SQLITE_TRANSIENT));
}
void Query::Bind(int index, Blob value) {
  if (!status_.ok()) return;
  const char* data = value.bytes.data() == nullptr ? "" : value.bytes.data();
  Check(sqlite3_bind_blob(statement_, index, data, static_cast<int>(value.bytes.size()), SQLITE_TRANSIENT));
}
void Query::Bind(int index, absl::Time value) {
  if (value == absl::InfinitePast() || value == absl::InfiniteFuture()) return Bind(index, std::nullopt);
  Bind(index, static_cast<int64_t>(absl::ToUnixMicros(value)));
}

double Query::Real(int column) const {
  return IsNull(column) ? std::numeric_limits<double>::quiet_NaN() : sqlite3_column_double(statement_, column);
}

std::string Query::Text(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

std::optional<double> Query::OptionalReal(int column) const {
  if (IsNull(column)) return std::nullopt;
  return sqlite3_column_double(statement_, column);
}

absl::Time Query::Time(int column, absl::Time otherwise) const {
  return IsNull(column) ? otherwise : absl::FromUnixMicros(Int(column));
}

}  // namespace strata::store
