// Questions about tokens and the audit log.
#include "server/store/sqlite_read.h"

namespace strata::store::sqlite {

Rows<Token> ListTokens(Connection& db, const std::string& after, int limit) {
  Query q(db,
          "SELECT name, role, sha256, create_time, expire_time, revoke_time, creator FROM tokens "
          "WHERE name > ? ORDER BY name LIMIT ?",
          after, limit);
  std::vector<Token> rows;
  while (q.Next()) {
    rows.push_back({q.Text(0), q.Text(1), q.Text(2), q.Time(3, absl::UnixEpoch()), q.Time(4, absl::UnixEpoch()),
                    q.Time(5, absl::InfiniteFuture()), q.Text(6)});
  }
  if (!q.status().ok()) return q.status();
  return rows;
}

Rows<AuditEntry> ListAudit(Connection& db, const AuditFilter& filter, int limit) {
  Query q(db,
          "SELECT id, time, caller, role, method, target, request_id, peer FROM audit WHERE id < ?1 "
          "AND (?2 = '' OR caller = ?2) "
          "AND (?3 = '' OR method = ?3 OR substr(method, instr(method, '/') + 1) = ?3) "
          "AND (?4 = '' OR target = ?4 OR substr(target, 1, length(?4) + 1) = ?4 || '/') "
          "AND time >= ?5 AND (?6 IS NULL OR time < ?6) ORDER BY id DESC LIMIT ?7",
          filter.before, filter.caller, filter.method, filter.target, filter.start, filter.end, limit);
  std::vector<AuditEntry> rows;
  while (q.Next()) {
    rows.push_back({q.Int(0), q.Time(1, absl::UnixEpoch()), q.Text(2), q.Text(3), q.Text(4), q.Text(5), q.Text(6),
                    q.Text(7)});
  }
  if (!q.status().ok()) return q.status();
  return rows;
}

}  // namespace strata::store::sqlite
