// The rows of a query, made by a function that reads one from its columns.
#pragma once

#include <optional>
#include <vector>

#include "server/store/sqlite.h"
#include "server/store/store.h"

namespace strata::store::sqlite {

template <typename T>
Rows<T> All(Query& query, T (*read)(const Query&, int)) {
  std::vector<T> rows;
  while (query.Next()) rows.push_back(read(query, 0));
  if (!query.status().ok()) return query.status();
  return rows;
}

template <typename T>
Found<T> One(Query& query, T (*read)(const Query&, int)) {
  std::optional<T> row;
  if (query.Next()) row = read(query, 0);
  if (!query.status().ok()) return query.status();
  return row;
}

}  // namespace strata::store::sqlite
