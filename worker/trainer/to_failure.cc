// ToFailure knows LibTorch's errors, so it stands apart from the rest of failure.h.
#include <c10/util/Exception.h>

#include <cerrno>
#include <new>
#include <string_view>
#include <system_error>

#include "model/data/shard.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

bool IsFullDisk(const std::system_error& error) {
  const int code = error.code().value();
  return error.code().category() == std::generic_category() || error.code().category() == std::system_category()
             ? code == ENOSPC || code == EDQUOT || code == EFBIG
             : false;
}

Failure FullDisk(const std::string& what) {
  return {Cause::kDiskFull, what + (what.ends_with('.') ? "" : ".") + " Free some space on that disk."};
}

// What LibTorch says when the CPU's or the device's allocator gets no memory.
bool IsOutOfMemory(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  const std::string_view text = error.what_without_backtrace();
  return text.find("can't allocate memory") != std::string_view::npos ||
         text.find("out of memory") != std::string_view::npos ||
         text.find("STATUS_ALLOC_FAILED") != std::string_view::npos;  // cuBLAS's workspace
}

}  // namespace

Failure ToFailure(const std::exception& error) {
  if (const auto* failure = dynamic_cast<const Failure*>(&error)) return *failure;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    return {Cause::kOutOfMemory, "There is no memory left for this trainer."};
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error)) {
    if (!IsOutOfMemory(*torch)) return {Cause::kInternal, torch->what_without_backtrace()};
    return {Cause::kOutOfMemory,
            std::string("There is no memory left for this trainer: ") + torch->what_without_backtrace()};
  }
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    return IsFullDisk(*system) ? FullDisk(system->what()) : Failure(Cause::kInternal, system->what());
  }
  if (dynamic_cast<const model::DataError*>(&error) != nullptr) {
    const std::string_view text = error.what();
    const bool full =
        text.find("No space left") != std::string_view::npos || text.find("quota exceeded") != std::string_view::npos;
    return full ? FullDisk(error.what()) : Failure(Cause::kDataError, error.what());
  }
  return {Cause::kInternal, error.what()};
}

}  // namespace strata::trainer
