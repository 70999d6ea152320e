#include "server/service/manifest.h"

#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/sha256.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

using nlohmann::json;

constexpr size_t kLargestManifest = 2 << 20;
constexpr size_t kMostFiles = 10000;

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(absl::StrCat("manifest: ", what)); }

bool IsSafePath(const std::string& path) {
  if (path.empty() || path.size() > 255 || path == "manifest.json") return false;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(path, '/'))) {
    if (part.empty() || part[0] == '.' || part.find('\\') != std::string::npos || part.find('\0') != std::string::npos)
      return false;
  }
  return true;
}

bool IsHash(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

absl::StatusOr<std::string> Text(const json& object, const char* field) {
  if (!object.contains(field) || !object[field].is_string())
    return Wrong(absl::StrCat(field, " is missing or no text."));
  return object[field].get<std::string>();
}

absl::StatusOr<store::DatasetFile> ReadFileEntry(const json& item, size_t index) {
  if (!item.is_object() || !item.contains("path") || !item["path"].is_string() || !item.contains("sha256") ||
      !item["sha256"].is_string() || !item.contains("bytes") || !item["bytes"].is_number_integer()) {
    return Wrong(absl::StrCat("files[", index, "] needs path, bytes and sha256."));
  }
  store::DatasetFile file{.path = item["path"], .bytes = item["bytes"], .sha256 = item["sha256"]};
  if (!IsSafePath(file.path)) {
    return Wrong(
        absl::StrCat("files[", index, "].path: \"", file.path, "\" is no plain relative path inside the dataset."));
  }
  if (file.bytes < 0) return Wrong(absl::StrCat("files[", index, "].bytes is ", file.bytes, "."));
  if (!IsHash(file.sha256))
    return Wrong(absl::StrCat("files[", index, "].sha256: \"", file.sha256, "\" is no SHA-256 in lower-case hex."));
  return file;
}

}  // namespace

absl::StatusOr<Manifest> ParseManifest(const std::string& text) {
  if (text.size() > kLargestManifest) {
    return Wrong(absl::StrCat("it has ", text.size(), " bytes; at most ", kLargestManifest,
                              " are taken. Shorten provenance or statistics."));
  }
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return Wrong("it is no JSON object.");
  if (!object.contains("format") || object["format"] != 1) {
    return Wrong(
        absl::StrCat("format is ", object.contains("format") ? object["format"].dump() : "missing",
                     ", but this coordinator knows 1. Prepare the dataset with the strata-data of this version."));
  }
  Manifest manifest;
  const auto name = Text(object, "name"), task = Text(object, "task"), digest = Text(object, "digest");
  for (const auto* field : {&name, &task, &digest}) {
    if (!field->ok()) return field->status();
  }
  if (!IsId(*name, 63)) {
    return Wrong(
        absl::StrCat("name: \"", *name,
                     "\" is no name of a dataset. Use lower-case letters, digits, dots and hyphens, at most 63."));
  }
  manifest.dataset = {.name = *name, .digest = *digest, .task = *task, .manifest = text};
  if (!object.contains("files") || !object["files"].is_array() || object["files"].empty())
    return Wrong("files is missing or empty.");
  if (object["files"].size() > kMostFiles)
    return Wrong(absl::StrCat("files: ", object["files"].size(), "; at most ", kMostFiles, "."));
  std::string lines;
  for (size_t i = 0; i < object["files"].size(); ++i) {
    auto file = ReadFileEntry(object["files"][i], i);
    if (!file.ok()) return file.status();
    if (i > 0 && file->path <= manifest.files.back().path) {
      return Wrong(absl::StrCat("files[", i, "].path: ", file->path, " is there twice, or not in order."));
    }
    absl::StrAppend(&lines, file->path, " ", file->sha256, "\n");
    manifest.dataset.bytes += file->bytes;
    manifest.files.push_back(*std::move(file));
  }
  if (base::Sha256Hex(lines) != *digest) {
    return Wrong(absl::StrCat("digest is ", *digest, ", but its files give ", base::Sha256Hex(lines),
                              ". The manifest was changed by hand: prepare the dataset again."));
  }
  return manifest;
}

}  // namespace strata::service
