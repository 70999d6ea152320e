// Whole files, written so that a crash or a full disk leaves either the old file or the new one. Plain C++.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace strata::model {

// The whole of a file. Throws DataError naming the file and the system's reason.
std::string ReadFile(const std::filesystem::path& path);

// Writes to `path` + ".partial", syncs file and folder, renames. Throws DataError naming the file and the reason; the
// partial file is removed then.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view content);

// Syncs a folder, so that the names in it survive a crash. Throws DataError.
void SyncFolder(const std::filesystem::path& folder);

// SHA-256 in lower-case hexadecimal, of bytes and of a file (read in pieces). FileSha256 throws DataError.
std::string Sha256(std::string_view bytes);
std::string FileSha256(const std::filesystem::path& path);

// 1234567 -> "1,234,567", for messages.
std::string Grouped(uint64_t number);

}  // namespace strata::model
