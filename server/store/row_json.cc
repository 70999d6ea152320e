#include "server/store/row_json.h"

#include <nlohmann/json.hpp>

namespace strata::store {

using nlohmann::json;

std::string PlacesToJson(const std::vector<core::RankPlace>& places) {
  json list = json::array();
  for (const auto& place : places) {
    json item = {
        {"rank", place.rank}, {"worker", place.worker}, {"slot", place.slot}, {"up", place.up}, {"done", place.done}};
    if (place.sequence >= 0) {
      item["sequence"] = place.sequence;
      item["collective"] = place.collective;
    }
    if (place.failed) item["failed"] = true;
    list.push_back(std::move(item));
  }
  // What a trainer calls its collectives may be no UTF-8; such bytes are replaced, not thrown over.
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<core::RankPlace> PlacesFromJson(const std::string& text) {
  std::vector<core::RankPlace> places;
  for (const json& item : json::parse(text, nullptr, false)) {
    if (!item.is_object()) continue;
    places.push_back({item.value("rank", 0), item.value("worker", ""), item.value("slot", 0), item.value("up", false),
                      item.value("done", false), item.value("sequence", int64_t{-1}), item.value("collective", ""),
                      item.value("failed", false)});
  }
  return places;
}

std::string SlotsToJson(const std::vector<core::Slot>& slots) {
  json list = json::array();
  for (const auto& slot : slots) {
    json item = {{"index", slot.index}, {"device", slot.device}, {"cores", slot.cores}};
    if (slot.gpu()) {
      item["uuid"] = slot.uuid;
      item["memory_bytes"] = slot.memory_bytes;
    }
    list.push_back(std::move(item));
  }
  // What an agent calls its device may be no UTF-8; such bytes are replaced, not thrown over.
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<core::Slot> SlotsFromJson(const std::string& text) {
  std::vector<core::Slot> slots;
  for (const json& item : json::parse(text, nullptr, false)) {
    if (!item.is_object()) continue;
    slots.push_back({item.value("index", 0), item.value("device", ""), item.value("cores", ""), item.value("uuid", ""),
                     item.value("memory_bytes", int64_t{0})});
  }
  return slots;
}

const char* WorkerStateName(core::WorkerState state) {
  switch (state) {
    case core::WorkerState::kReady:
      return "READY";
    case core::WorkerState::kLost:
      return "LOST";
    case core::WorkerState::kGone:
      return "GONE";
  }
  return "LOST";
}

core::WorkerState WorkerStateFromName(const std::string& name) {
  if (name == "READY") return core::WorkerState::kReady;
  return name == "GONE" ? core::WorkerState::kGone : core::WorkerState::kLost;
}

}  // namespace strata::store
