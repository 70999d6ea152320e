#include "model/data/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "model/data/file.h"

namespace strata::model {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kFileName[] = "manifest.json";
constexpr char kRemedy[] = " Prepare the dataset again, or fetch it from the coordinator.";

// One JSON object with the file and the path within it, so that every error says where.
class Reader {
 public:
  Reader(const json& value, std::string file, std::string path) : value_(value), file_(std::move(file)), path_(path) {
    if (!value_.is_object()) Fail(path_.empty() ? "it" : path_, "is not an object");
  }

  template <typename T>
  T Get(const std::string& key) const {
    const json& value = At(key);
    try {
      if constexpr (std::is_unsigned_v<T>) {
        if (!value.is_number_unsigned()) Fail(Name(key), "is not a count");
      }
      return value.get<T>();
    } catch (const json::exception&) {
      Fail(Name(key), "has the wrong type");
    }
  }
  template <typename T>
  T GetOr(const std::string& key, T otherwise) const {
    return value_.contains(key) ? Get<T>(key) : otherwise;
  }
  Reader Object(const std::string& key) const { return {At(key), file_, Name(key)}; }
  const json& At(const std::string& key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) Fail(Name(key), "is missing");
    return *found;
  }
  const json& value() const { return value_; }
  [[noreturn]] void Fail(const std::string& what, const std::string& why) const {
    throw DataError(file_ + ": " + what + " " + why + "." + kRemedy);
  }
  std::string Name(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

 private:
  const json& value_;
  std::string file_, path_;
};

bool StaysInside(const std::string& path) {
  const std::filesystem::path p(path);
  return !path.empty() && p.is_relative() && path.find('\n') == std::string::npos &&
         std::none_of(p.begin(), p.end(), [](const auto& part) { return part == ".." || part == "." || part.empty(); });
}

std::string DigestOf(const std::vector<DatasetFile>& files) {
  std::string lines;
  for (const DatasetFile& file : files) lines += file.path + " " + file.sha256 + "\n";
  return Sha256(lines);
}

DatasetSplit ReadSplit(const Reader& r) {
  DatasetSplit split;
  split.sentences = r.Get<uint64_t>("sentences");
  split.source_tokens = r.Get<uint64_t>("source_tokens");
  split.target_tokens = r.Get<uint64_t>("target_tokens");
  split.shards = r.Get<std::vector<std::string>>("shards");
  split.source_text = r.GetOr<std::string>("source_text", "");
  split.target_text = r.GetOr<std::string>("target_text", "");
  split.features = r.GetOr<std::vector<std::string>>("features", {});
  split.frames = r.GetOr<uint64_t>("frames", 0);
  split.words = r.GetOr<uint64_t>("words", 0);
  split.lines = r.GetOr<uint64_t>("lines", 0);
  if (!split.features.empty() && split.features.size() != split.shards.size()) {
    r.Fail(r.Name("features"), "has not one file a shard");
  }
  return split;
}

std::vector<DatasetFile> ReadFiles(const Reader& r) {
  std::vector<DatasetFile> files;
  for (const json& entry : r.At("files")) {
    const Reader file(entry, r.Name(kFileName), "files[" + std::to_string(files.size()) + "]");
    files.push_back({file.Get<std::string>("path"), file.Get<uint64_t>("bytes"), file.Get<std::string>("sha256")});
    if (!StaysInside(files.back().path)) file.Fail("path '" + files.back().path + "'", "leads out of the dataset");
  }
  return files;
}

void CheckVocabulary(const Reader& r, const Manifest& manifest) {
  for (const auto& [key, id] : {std::pair{"bos", kBosId}, {"pad", kPadId}, {"eos", kEosId}, {"unk", kUnkId}}) {
    if (r.Get<int>(key) != id) r.Fail(r.Name(key), "is not " + std::to_string(id) + ", as in every dataset of ours");
  }
  if (manifest.vocabulary_size <= kUnkId) r.Fail(r.Name("size"), "is smaller than the control pieces");
}

// Every file that the manifest speaks of is one that its digest covers.
void CheckReferences(const Reader& r, const Manifest& manifest) {
  std::set<std::string> listed;
  for (const DatasetFile& file : manifest.files) listed.insert(file.path);
  if (listed.size() != manifest.files.size()) r.Fail("files", "names a path twice");
  std::vector<std::string> wanted = {manifest.vocabulary_file};
  for (const auto& [name, split] : manifest.splits) {
    wanted.insert(wanted.end(), split.shards.begin(), split.shards.end());
    wanted.insert(wanted.end(), split.features.begin(), split.features.end());
    for (const std::string& text : {split.source_text, split.target_text}) {
      if (!text.empty()) wanted.push_back(text);
    }
  }
  for (const std::string& path : wanted) {
    if (!listed.contains(path)) r.Fail("'" + path + "'", "is used but not listed in files");
  }
}

ordered_json ToJson(const Manifest& m) {
  ordered_json splits = ordered_json::object();
  for (const auto& [name, split] : m.splits) {
    ordered_json& s = splits[name];
    s = {{"sentences", split.sentences},
         {"source_tokens", split.source_tokens},
         {"target_tokens", split.target_tokens},
         {"shards", split.shards}};
    if (!split.source_text.empty()) s["source_text"] = split.source_text;
    if (!split.target_text.empty()) s["target_text"] = split.target_text;
    if (!split.features.empty()) {
      s["features"] = split.features;
      s["frames"] = split.frames;
    }
    if (split.lines > 0) {
      s["words"] = split.words;
      s["lines"] = split.lines;
    }
  }
  ordered_json files = ordered_json::array();
  for (const DatasetFile& f : m.files) files.push_back({{"path", f.path}, {"bytes", f.bytes}, {"sha256", f.sha256}});
  const ordered_json vocabulary = {
      {"size", m.vocabulary_size}, {"bos", kBosId}, {"pad", kPadId}, {"eos", kEosId}, {"unk", kUnkId},
      {"file", m.vocabulary_file}, {"kind", m.vocabulary_kind}};
  ordered_json json = {{"format", 1},
          {"name", m.name},
          {"task", m.task},
          {"source_language", m.source_language},
          {"target_language", m.target_language},
          {"vocabulary", vocabulary},
          {"splits", splits},
          {"files", files},
          {"digest", m.digest},
          {"provenance", ordered_json::parse(m.provenance_json)},
          {"statistics", ordered_json::parse(m.statistics_json)}};
  if (!m.detokeniser.empty()) json["detokeniser"] = m.detokeniser;
  if (m.features.bins > 0) json["features"] = {{"bins", m.features.bins}, {"cmvn", m.features.cmvn}};
  return json;
}

}  // namespace

const DatasetSplit& Manifest::Split(const std::string& split) const {
  const auto found = splits.find(split);
  if (found != splits.end()) return found->second;
  std::string there;
  for (const auto& [other, unused] : splits) there += (there.empty() ? "" : ", ") + other;
  throw DataError("Dataset " + name + " has no split '" + split + "'. It has: " + there + ".");
}

Manifest ReadManifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kFileName;
  if (!std::filesystem::is_directory(folder)) {
    throw DataError("No dataset at " + folder.string() + ": there is no such folder. 'strata-data prepare' makes one.");
  }
  if (!std::filesystem::exists(path)) {
    throw DataError(folder.string() +
                    " is no dataset: it has no manifest.json (it is written last, so a preparation "
                    "was perhaps cut off)." +
                    kRemedy);
  }
  json document;
  try {
    document = json::parse(ReadFile(path));
  } catch (const json::exception& e) {
    throw DataError(path.string() + " is no JSON: " + e.what() + "." + kRemedy);
  }
  const Reader r(document, path.string(), "");
  if (r.Get<int>("format") != 1) {
    r.Fail("format " + r.At("format").dump(), "is not 1, the only one that this program reads");
  }
  Manifest m;
  m.name = r.Get<std::string>("name");
  m.task = r.Get<std::string>("task");
  m.source_language = r.GetOr<std::string>("source_language", "");
  m.target_language = r.GetOr<std::string>("target_language", "");
  const Reader vocabulary = r.Object("vocabulary");
  m.vocabulary_size = vocabulary.Get<int>("size");
  m.vocabulary_file = vocabulary.Get<std::string>("file");
  m.vocabulary_kind = vocabulary.GetOr<std::string>("kind", "bpe");
  m.detokeniser = r.GetOr<std::string>("detokeniser", "");
  if (document.contains("features")) {
    const Reader features = r.Object("features");
    m.features = {.bins = features.Get<int>("bins"), .cmvn = features.Get<std::string>("cmvn")};
  }
  CheckVocabulary(vocabulary, m);
  const Reader splits = r.Object("splits");
  for (const auto& [name, unused] : splits.value().items()) m.splits[name] = ReadSplit(splits.Object(name));
  m.files = ReadFiles(r);
  m.digest = r.Get<std::string>("digest");
  if (m.digest != DigestOf(m.files)) r.Fail("digest", "does not belong to the files that are listed");
  CheckReferences(r, m);
  if (document.contains("provenance")) m.provenance_json = document["provenance"].dump();
  if (document.contains("statistics")) m.statistics_json = document["statistics"].dump();
  return m;
}

void WriteManifest(const std::filesystem::path& folder, Manifest* manifest) {
  manifest->files.clear();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = entry.path().lexically_relative(folder).generic_string();
    if (path == kFileName) continue;
    manifest->files.push_back({path, entry.file_size(), FileSha256(entry.path())});
  }
  std::sort(manifest->files.begin(), manifest->files.end(),
            [](const DatasetFile& a, const DatasetFile& b) { return a.path < b.path; });
  manifest->digest = DigestOf(manifest->files);
  WriteFileAtomically(folder / kFileName, ToJson(*manifest).dump(1) + "\n");
}

void VerifyFiles(const std::filesystem::path& folder, const Manifest& manifest, Verify verify) {
  for (const DatasetFile& file : manifest.files) {
    const std::filesystem::path path = folder / file.path;
    std::error_code error;
    const uint64_t bytes = std::filesystem::file_size(path, error);
    if (error) throw DataError(path.string() + " is missing (" + error.message() + ")." + kRemedy);
    if (bytes < file.bytes) {
      throw DataError(path.string() + " is truncated: " + Grouped(bytes) + " of " + Grouped(file.bytes) + " bytes." +
                      kRemedy);
    }
    if (bytes > file.bytes) {
      throw DataError(path.string() + " has " + Grouped(bytes) + " bytes instead of " + Grouped(file.bytes) + "." +
                      kRemedy);
    }
    if (verify == Verify::kHashes && FileSha256(path) != file.sha256) {
      throw DataError(path.string() + " is damaged: its content is not what the manifest states (SHA-256)." + kRemedy);
    }
  }
}

std::vector<Shard> OpenSplit(const std::filesystem::path& folder, const Manifest& manifest, const std::string& name) {
  const DatasetSplit& split = manifest.Split(name);
  std::vector<Shard> shards;
  uint64_t sentences = 0, source = 0, target = 0;
  for (const std::string& file : split.shards) {
    shards.push_back(Shard::Open(folder / file));
    const Shard& shard = shards.back();
    if (shard.pieces().size() != static_cast<size_t>(manifest.vocabulary_size)) {
      throw DataError((folder / file).string() + " has a vocabulary of " + Grouped(shard.pieces().size()) +
                      " pieces, the manifest one of " + Grouped(manifest.vocabulary_size) + "." + kRemedy);
    }
    sentences += shard.sentences();
    target += shard.tokens(shard.streams() - 1);
    if (shard.streams() > 1) source += shard.tokens(0);
  }
  if (sentences != split.sentences || source != split.source_tokens || target != split.target_tokens) {
    throw DataError((folder / kFileName).string() + ": splits." + name + " claims " + Grouped(split.sentences) +
                    " sentences, its shards hold " + Grouped(sentences) + " (or their tokens differ)." + kRemedy);
  }
  return shards;
}

}  // namespace strata::model
