// Streams a file to a caller, piece by piece.
#pragma once

#include <fcntl.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/file.h"

namespace strata::service {

// OutOfRange if `offset` is not within the file's `bytes`; DataLoss if the file on disk is shorter.
template <typename Response>
absl::Status StreamFile(grpc::ServerContext& context, const std::string& path, int64_t bytes, int64_t offset,
                        grpc::ServerWriter<Response>& writer) {
  constexpr int64_t kPiece = 1 << 20;
  if (offset < 0 || offset > bytes) {
    return absl::OutOfRangeError(absl::StrCat("offset is ", offset, ", but the file has ", bytes, " bytes."));
  }
  auto file = base::OpenFile(path, O_RDONLY);
  if (!file.ok()) return file.status();
  while (offset < bytes && !context.IsCancelled()) {
    auto data = base::ReadAt(*file, offset, std::min(kPiece, bytes - offset), path);
    if (!data.ok()) return data.status();
    if (data->empty()) return absl::DataLossError(absl::StrCat(path, " ends at ", offset, " of ", bytes, " bytes."));
    offset += static_cast<int64_t>(data->size());
    Response response;
    response.set_data(*std::move(data));
    if (!writer.Write(response)) break;
  }
  return absl::OkStatus();
}

}  // namespace strata::service
