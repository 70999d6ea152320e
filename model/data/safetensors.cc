#include "model/data/safetensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <system_error>
#include <unordered_map>

namespace strata::model {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr std::array kTypes = {
    TypeName{"F64", at::kDouble}, TypeName{"F32", at::kFloat}, TypeName{"F16", at::kHalf}, TypeName{"BF16", at::kBFloat16},
    TypeName{"I64", at::kLong},   TypeName{"I32", at::kInt},   TypeName{"I16", at::kShort}, TypeName{"I8", at::kChar},
    TypeName{"U8", at::kByte},    TypeName{"BOOL", at::kBool}};

struct Entry {
  at::ScalarType type;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // offset within the data
  uint64_t end = 0;
};

class File {
 public:
  File(const std::filesystem::path& path, int flags, mode_t mode = 0) : path_(path), fd_(::open(path.c_str(), flags, mode)) {
    if (fd_ < 0) Fail("cannot be opened");
  }
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }

  [[noreturn]] void Fail(const std::string& what) const {
    throw std::system_error(errno, std::generic_category(), path_.string() + " " + what);
  }

  void Write(const void* data, size_t bytes) {
    for (const char* at = static_cast<const char*>(data); bytes > 0;) {
      const ssize_t written = ::write(fd_, at, std::min<size_t>(bytes, size_t{1} << 30));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) Fail("cannot be written");
      at += written;
      bytes -= static_cast<size_t>(written);
    }
  }

  void SyncAndClose() {
    if (::fsync(fd_) != 0) Fail("cannot be synced");
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0) Fail("cannot be closed");
  }

 private:
  std::filesystem::path path_;
  int fd_;
};

const TypeName* FindType(const std::string& name) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& type) { return name == type.name; });
  return found == kTypes.end() ? nullptr : found;
}

const char* NameOfType(at::ScalarType scalar) {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& type) { return scalar == type.type; });
  return found == kTypes.end() ? nullptr : found->name;
}

}  // namespace

struct SafetensorsReader::Impl {
  std::filesystem::path file;
  const uint8_t* mapped = nullptr;
  uint64_t size = 0;
  uint64_t data_offset = 0;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> names;
  std::unordered_map<std::string, Entry> entries;

  ~Impl() {
    if (mapped != nullptr) ::munmap(const_cast<uint8_t*>(mapped), size);
  }

  [[noreturn]] void Bad(const std::string& what) const {
    throw std::runtime_error(file.string() + " is no sound safetensors file: " + what + ".");
  }

  void Map() {
    File handle(file, O_RDONLY | O_CLOEXEC);
    struct stat status = {};
    if (::fstat(handle.fd(), &status) != 0) handle.Fail("cannot be read");
    if (!S_ISREG(status.st_mode)) Bad("it is no regular file");
    size = static_cast<uint64_t>(status.st_size);
    if (size < 8) Bad("it has " + std::to_string(size) + " bytes, fewer than the length of a header");
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, handle.fd(), 0);
    if (address == MAP_FAILED) handle.Fail("cannot be mapped");
    mapped = static_cast<const uint8_t*>(address);
  }

  json Header() {
    uint64_t length = 0;
    std::memcpy(&length, mapped, sizeof length);
    if (length > kMaxHeaderBytes) Bad("its header claims " + std::to_string(length) + " bytes");
    if (length > size - 8) {
      Bad("its header of " + std::to_string(length) + " bytes does not fit into " + std::to_string(size) + " (truncated?)");
    }
    data_offset = 8 + length;
    const char* text = reinterpret_cast<const char*>(mapped + 8);
    json header = json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
    if (!header.is_object()) Bad("its header is no JSON object");
    return header;
  }

  Entry ParseEntry(const std::string& name, const json& value) const {
    const auto bad = [&](const std::string& what) { Bad("tensor \"" + name + "\" " + what); };
    if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets")) {
      bad("lacks dtype, shape or data_offsets");
    }
    const json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
    const TypeName* type = dtype.is_string() ? FindType(dtype.get<std::string>()) : nullptr;
    if (type == nullptr) bad("has the unknown type " + dtype.dump());
    if (!shape.is_array() || shape.size() > 16) bad("has no sound shape");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
      bad("has no sound data_offsets");
    }
    Entry entry{.type = type->type, .begin = offsets[0].get<uint64_t>(), .end = offsets[1].get<uint64_t>()};
    uint64_t bytes = c10::elementSize(type->type);
    for (const json& extent : shape) {
      if (!extent.is_number_unsigned() || extent.get<uint64_t>() > uint64_t{INT64_MAX}) bad("has no sound shape");
      if (__builtin_mul_overflow(bytes, extent.get<uint64_t>(), &bytes)) bad("has a shape too large");
      entry.shape.push_back(extent.get<int64_t>());
    }
    if (entry.begin > entry.end || entry.end > size - data_offset) {
      bad("reaches beyond the end of the file (truncated?)");
    }
    if (entry.end - entry.begin != bytes) bad("has offsets that do not fit its shape");
    return entry;
  }

  void ParseMetadata(const json& value) {
    if (!value.is_object()) Bad("its __metadata__ is no object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) Bad("its __metadata__ holds \"" + key + "\", which is no string");
      metadata[key] = text.get<std::string>();
    }
  }

  void Parse() {
    const json header = Header();
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__") {
        ParseMetadata(value);
      } else {
        entries.emplace(name, ParseEntry(name, value));
        names.push_back(name);
      }
    }
    const auto key = [&](const std::string& name) { return std::pair(entries.at(name).begin, entries.at(name).end); };
    std::stable_sort(names.begin(), names.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    uint64_t at = 0;
    for (const std::string& name : names) {
      const Entry& entry = entries.at(name);
      if (entry.begin != at) Bad("tensor \"" + name + "\" overlaps the one before or leaves a gap");
      at = entry.end;
    }
    if (at != size - data_offset) Bad("it has " + std::to_string(size - data_offset - at) + " bytes behind the last tensor");
  }

  const Entry& Find(const std::string& name) const {
    const auto found = entries.find(name);
    if (found == entries.end()) throw std::runtime_error(file.string() + " holds no tensor \"" + name + "\".");
    return found->second;
  }
};

SafetensorsReader::SafetensorsReader(const std::filesystem::path& file) : impl_(std::make_unique<Impl>()) {
  impl_->file = file;
  impl_->Map();
  impl_->Parse();
}
SafetensorsReader::~SafetensorsReader() = default;
SafetensorsReader::SafetensorsReader(SafetensorsReader&&) noexcept = default;
SafetensorsReader& SafetensorsReader::operator=(SafetensorsReader&&) noexcept = default;

const std::map<std::string, std::string>& SafetensorsReader::metadata() const { return impl_->metadata; }
const std::vector<std::string>& SafetensorsReader::names() const { return impl_->names; }
bool SafetensorsReader::Has(const std::string& name) const { return impl_->entries.count(name) != 0; }
std::vector<int64_t> SafetensorsReader::Shape(const std::string& name) const { return impl_->Find(name).shape; }

at::Tensor SafetensorsReader::Get(const std::string& name) const {
  const Entry& entry = impl_->Find(name);
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.type));
  if (entry.end > entry.begin) {
    std::memcpy(tensor.data_ptr(), impl_->mapped + impl_->data_offset + entry.begin, entry.end - entry.begin);
  }
  return tensor;
}

void WriteSafetensors(const std::filesystem::path& file, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t at = 0;
  std::set<std::string> seen;
  for (const auto& [name, tensor] : tensors) {
    if (name == "__metadata__" || !seen.insert(name).second) {
      throw std::invalid_argument(file.string() + ": a tensor cannot be named \"" + name + "\" (again).");
    }
    const char* type = NameOfType(tensor.scalar_type());
    if (type == nullptr) throw std::invalid_argument(file.string() + ": tensor \"" + name + "\" has a type that safetensors lacks.");
    header[name] = {{"dtype", type}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, at + tensor.nbytes()}}};
    at += tensor.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned

  File out(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const uint64_t length = text.size();
  out.Write(&length, sizeof length);
  out.Write(text.data(), text.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
    out.Write(plain.const_data_ptr(), plain.nbytes());
  }
  out.SyncAndClose();
}

}  // namespace strata::model
