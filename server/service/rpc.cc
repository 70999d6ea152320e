#include "server/service/rpc.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace strata::service {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // Both take their numbers from the same list.
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

absl::StatusOr<int> PageSize(int32_t asked, int usual, int most) {
  if (asked < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size is ", asked, ". Give 0 for the usual size or a number above it."));
  }
  return asked == 0 ? usual : std::min<int>(asked, most);
}

std::string PageToken(const std::string& list, const std::string& position) {
  std::string token;
  absl::WebSafeBase64Escape(absl::StrCat(list, "\n", position), &token);
  return token;
}

absl::StatusOr<std::string> ReadPageToken(const std::string& list, const std::string& token) {
  if (token.empty()) return std::string();
  std::string text;
  const std::string head = list + "\n";
  if (!absl::WebSafeBase64Unescape(token, &text) || text.rfind(head, 0) != 0) {
    return absl::InvalidArgumentError(
        "The page token is none of this list. Give next_page_token of the page before, with the other fields as they "
        "were.");
  }
  return text.substr(head.size());
}

absl::StatusOr<int64_t> ReadPageNumber(const std::string& list, const std::string& token, int64_t first) {
  const absl::StatusOr<std::string> text = ReadPageToken(list, token);
  if (!text.ok()) return text.status();
  if (token.empty()) return first;
  int64_t number = 0;
  if (!absl::SimpleAtoi(*text, &number)) return absl::InvalidArgumentError("The page token is none of ours.");
  return number;
}

}  // namespace strata::service
