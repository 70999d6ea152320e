// The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes.
// Files are untrusted: every length and offset is checked before it is used.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace strata::model {

// Reads a file by mapping it. Throws std::runtime_error, naming the file and what is wrong, for anything that is no
// sound safetensors file: truncated, overlapping or gaping offsets, unknown types, sizes that do not multiply out.
// Thread-safe once made.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::filesystem::path& file);
  ~SafetensorsReader();
  SafetensorsReader(SafetensorsReader&&) noexcept;
  SafetensorsReader& operator=(SafetensorsReader&&) noexcept;

  const std::map<std::string, std::string>& metadata() const;
  // In the order of the file's bytes.
  const std::vector<std::string>& names() const;
  bool Has(const std::string& name) const;
  std::vector<int64_t> Shape(const std::string& name) const;  // without reading the tensor
  // A copy that owns its memory. Throws std::runtime_error naming file and tensor if there is none of that name.
  at::Tensor Get(const std::string& name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Writes `tensors` one after the other (they are not gathered in memory first), syncs the file and closes it. Not
// atomic: write to a temporary name and rename. Throws std::system_error with the cause (disk full, ...), naming the
// file; std::invalid_argument for a repeated name or a type that the format lacks.
void WriteSafetensors(const std::filesystem::path& file, const NamedTensors& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace strata::model
