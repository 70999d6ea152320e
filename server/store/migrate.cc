#include "server/store/migrate.h"

#include "absl/strings/str_cat.h"

extern "C" const char strata_migration_0001[];
extern "C" const unsigned long strata_migration_0001_size;
extern "C" const char strata_migration_0002[];
extern "C" const unsigned long strata_migration_0002_size;
extern "C" const char strata_migration_0003[];
extern "C" const unsigned long strata_migration_0003_size;
extern "C" const char strata_migration_0004[];
extern "C" const unsigned long strata_migration_0004_size;
extern "C" const char strata_migration_0005[];
extern "C" const unsigned long strata_migration_0005_size;
extern "C" const char strata_migration_0006[];
extern "C" const unsigned long strata_migration_0006_size;

namespace strata::store {
namespace {

absl::StatusOr<int64_t> SchemaVersion(Connection& connection) {
  Query query(connection, "PRAGMA user_version");
  const int64_t version = query.Next() ? query.Int(0) : 0;
  if (!query.status().ok()) return query.status();
  return version;
}

}  // namespace

const std::vector<std::string_view>& Migrations() {
  static const auto* const migrations =
      new std::vector<std::string_view>{{strata_migration_0001, strata_migration_0001_size},
                                        {strata_migration_0002, strata_migration_0002_size},
                                        {strata_migration_0003, strata_migration_0003_size},
                                        {strata_migration_0004, strata_migration_0004_size},
                                        {strata_migration_0005, strata_migration_0005_size},
                                        {strata_migration_0006, strata_migration_0006_size}};
  return *migrations;
}

absl::Status Migrate(Connection& connection, const std::string& path, const std::vector<std::string_view>& migrations) {
  const auto version = SchemaVersion(connection);
  if (!version.ok()) return version.status();
  const auto newest = static_cast<int64_t>(migrations.size());
  if (*version > newest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "The database ", path, " has schema version ", *version, ", but this program knows versions up to ", newest,
        ". It was left as it is. Start the newer program that wrote it."));
  }
  if (*version == newest) return absl::OkStatus();
  if (*version > 0) {
    // VACUUM INTO refuses to overwrite: a copy left by an earlier try is as good, because a try that fails changes
    // nothing.
    const absl::Status status = Query(connection, "VACUUM INTO ?1", absl::StrCat(path, ".v", *version)).Run();
    if (!status.ok() && status.code() == absl::StatusCode::kResourceExhausted) return status;
  }
  absl::Status status = connection.Execute("BEGIN IMMEDIATE");
  for (int64_t next = *version; status.ok() && next < newest; ++next) {
    status = connection.Execute(std::string(migrations[static_cast<size_t>(next)]));
  }
  if (status.ok()) status = connection.Execute(absl::StrCat("PRAGMA user_version = ", newest));
  if (status.ok()) status = connection.Execute("COMMIT");
  if (!status.ok() && !connection.autocommit()) (void)connection.Execute("ROLLBACK");
  return status;
}

}  // namespace strata::store
