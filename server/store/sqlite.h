// A thin skin over SQLite's C interface: connections with cached statements, queries that carry their error.
// A Connection and its queries belong to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace strata::store {

class Connection {
 public:
  // Opens or creates the file, in WAL mode, synced at every commit, foreign keys enforced.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path);
  // Without WAL and without foreign keys: for a copy that is written once.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenPlain(const std::string& path);
  ~Connection();
  Connection(const Connection&) = delete;

  // Runs one or several statements that return nothing.
  absl::Status Execute(const std::string& sql);
  // ResourceExhausted for a full disk, AlreadyExists for a taken key, else Internal; says what SQLite said.
  absl::Status Error(int code, std::string_view sql) const;
  // True while no transaction is open: SQLite rolls back by itself on some errors.
  bool autocommit() const { return sqlite3_get_autocommit(db_) != 0; }
  sqlite3* db() { return db_; }

 private:
  friend class Query;
  Connection() = default;
  sqlite3* db_ = nullptr;
  std::string path_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;  // by the address of the literal
};

// One use of a prepared statement. `sql` must be a string literal. Values are bound in the order given.
class Query {
 public:
  template <typename... Values>
  Query(Connection& connection, const char* sql, const Values&... values) : Query(Prepared{}, connection, sql) {
    int index = 0;
    (Bind(++index, values), ...);
  }
  ~Query();
  Query(const Query&) = delete;

  // Goes to the next row; false at the end or on an error (see status).
  bool Next();
  // Runs a statement that returns no rows.
  absl::Status Run();
  const absl::Status& status() const { return status_; }

  int64_t Int(int column) const { return sqlite3_column_int64(statement_, column); }
  bool IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  double Real(int column) const;  // NULL is NaN
  std::string Text(int column) const;
  std::optional<double> OptionalReal(int column) const;
  // NULL is `otherwise`.
  absl::Time Time(int column, absl::Time otherwise) const;

 private:
  struct Prepared {};
  Query(Prepared, Connection& connection, const char* sql);
  void Check(int code);
  void Bind(int index, int64_t value);
  void Bind(int index, int32_t value) { Bind(index, static_cast<int64_t>(value)); }
  void Bind(int index, bool value) { Bind(index, static_cast<int64_t>(value)); }
  void Bind(int index, double value);  // NaN is NULL
  void Bind(int index, std::nullopt_t);
  void Bind(int index, std::string_view value);
  void Bind(int index, const std::string& value) { Bind(index, std::string_view(value)); }
  void Bind(int index, const char* value) { Bind(index, std::string_view(value)); }
  void Bind(int index, absl::Time value);  // infinite is NULL
  template <typename T>
  void Bind(int index, const std::optional<T>& value) {
    value.has_value() ? Bind(index, *value) : Bind(index, std::nullopt);
  }
  struct Blob {
    std::string_view bytes;
  };
  void Bind(int index, Blob value);

  Connection& connection_;
  const char* sql_;
  sqlite3_stmt* statement_ = nullptr;
  absl::Status status_;

 public:
  // Marks bytes to be bound as a BLOB.
  static Blob Bytes(std::string_view bytes) { return Blob{bytes}; }
};

}  // namespace strata::store
