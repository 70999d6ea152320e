#include "server/service/usage.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/service/inventory.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

using Amounts = std::map<std::string, v1::Amount>;  // by kind

void AddTo(Amounts& amounts, const std::string& kind, int64_t count, int64_t bytes) {
  v1::Amount& amount = amounts[kind];
  amount.set_kind(kind);
  amount.set_count(amount.count() + count);
  amount.set_bytes(amount.bytes() + bytes);
}

absl::Status CheckName(store::Store& store, const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  if (const auto ids = ParseName(name, "experiments/*"); !ids.ok()) return ids.status();
  const auto row = store.FindExperiment(name);
  if (!row.ok()) return row.status();
  if (row->has_value()) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("There is no experiment ", LeafOf(name), ". 'strata list' shows those there are."));
}

void MeasureDisk(const DataFolder& folder, v1::GetUsageResponse& usage) {
  struct statvfs disk;
  if (statvfs(folder.path().c_str(), &disk) != 0) return;
  usage.set_free_bytes(static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize));
  usage.set_disk_bytes(static_cast<int64_t>(disk.f_blocks) * static_cast<int64_t>(disk.f_frsize));
}

}  // namespace

absl::Status MeasureUsage(store::Store& store, const DataFolder& folder, const std::string& name,
                          v1::GetUsageResponse& usage) {
  if (absl::Status status = CheckName(store, name); !status.ok()) return status;
  const auto inventory = TakeInventory(store, folder);
  if (!inventory.ok()) return inventory.status();
  std::map<std::string, Amounts> owners;
  std::map<std::string, int64_t> bytes;
  Amounts rest;
  AddTo(rest, "other", 0, inventory->folder_bytes);
  usage.set_total_bytes(inventory->folder_bytes);
  for (const StoredFile& file : inventory->files) {
    const int64_t own = file.shared ? 0 : file.bytes;
    usage.set_total_bytes(usage.total_bytes() + own);
    if (file.owner.empty() || file.kind == "orphans" || file.kind == "uploads") {
      AddTo(rest, file.kind, 1, own);
    } else {
      AddTo(owners[file.owner], file.kind, 1, own);
      bytes[file.owner] += own;
    }
  }
  const auto sizes = store.MeasurementSizes(name);
  if (!sizes.ok()) return sizes.status();
  for (const store::MeasurementSize& size : *sizes) {
    Amounts& amounts = owners[size.job.substr(0, size.job.find("/trials/"))];
    if (size.scalars > 0) AddTo(amounts, "scalars", size.scalars, size.scalar_bytes);
    if (size.vectors > 0) AddTo(amounts, "vectors", size.vectors, size.vector_bytes);
  }
  if (!name.empty()) owners[name];  // though it has nothing
  for (const auto& [owner, amounts] : owners) {
    if (!name.empty() && owner != name) continue;
    v1::ItemUsage& item = *usage.add_items();
    item.set_name(owner);
    item.set_bytes(bytes[owner]);
    for (const auto& [kind, amount] : amounts) *item.add_amounts() = amount;
  }
  std::stable_sort(usage.mutable_items()->begin(), usage.mutable_items()->end(),
                   [](const v1::ItemUsage& a, const v1::ItemUsage& b) { return a.bytes() > b.bytes(); });
  for (const auto& [kind, amount] : rest) *usage.add_rest() = amount;
  MeasureDisk(folder, usage);
  return absl::OkStatus();
}

}  // namespace strata::service
