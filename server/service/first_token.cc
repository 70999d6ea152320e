#include "server/service/first_token.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/rpc/credentials.h"
#include "server/base/sha256.h"
#include "server/service/data_folder.h"
#include "server/store/sqlite_store.h"

namespace strata::service {
namespace {

constexpr char kName[] = "root";
constexpr absl::Duration kLife = absl::Hours(24 * 365);
constexpr size_t kShortestSecret = 40;  // characters; 32 random bytes have 43 in base64, 64 in hex

store::Token Root(const std::string& secret, absl::Time now, const char* creator) {
  return {.name = kName,
          .role = Name(Role::kAdmin),
          .sha256 = base::Sha256Hex(secret),
          .create_time = now,
          .expire_time = now + kLife,
          .creator = creator};
}

store::AddAuditEntry Entry(absl::Time now, const char* how) {
  return {{.time = now,
           .caller = "coordinator",
           .role = "",
           .method = absl::StrCat("AccessService/CreateToken ", how),
           .target = absl::StrCat("tokens/", kName)}};
}

absl::Status Store(store::Store& store, const store::Token& token, const char* how) {
  return store.Apply({.writes = {store::PutToken{token}, Entry(token.create_time, how)}});
}

}  // namespace

absl::Status EnsureAdminToken(Access& access, Coordinator& coordinator, const std::string& path, bool given) {
  const absl::Time now = coordinator.now();
  if (given && ::access(path.c_str(), F_OK) == 0) {
    const auto secret = base::ReadTokenFile(path);
    if (!secret.ok()) return secret.status();
    if (secret->size() < kShortestSecret) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--admin-token-file: the secret in ", path, " has ", secret->size(), " characters and can be guessed. Write 32 "
          "random bytes: openssl rand -hex 32"));
    }
    if (access.ByToken(*secret).ok()) return absl::OkStatus();
    if (absl::Status status = Store(coordinator.store(), Root(*secret, now, "file"), "(from a file)"); !status.ok())
      return status;
    return access.Load();
  }
  if (access.HasValid(Role::kAdmin)) return absl::OkStatus();
  const std::string secret = NewSecret();
  if (absl::Status status = base::WriteFileAtomically(path, secret + "\n", 0600); !status.ok()) return status;
  if (absl::Status status = Store(coordinator.store(), Root(secret, now, "first start"), "(first start)"); !status.ok())
    return status;
  spdlog::warn("a first admin's token is in {}; take it from there, and remove the file", path);
  return access.Load();
}

absl::StatusOr<std::string> CreateAdminToken(const std::string& data_dir) {
  const DataFolder folder(data_dir);
  if (absl::Status status = folder.Prepare(); !status.ok()) return status;
  const auto store = store::OpenSqliteStore(folder.database());
  if (!store.ok()) return store.status();
  const std::string secret = NewSecret();
  if (absl::Status status = Store(**store, Root(secret, absl::Now(), "command line"), "(command line)"); !status.ok())
    return status;
  return secret;
}

}  // namespace strata::service
