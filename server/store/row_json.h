// Small lists inside a row, as JSON; states of workers by name.
#pragma once

#include <string>
#include <vector>

#include "server/core/types.h"

namespace strata::store {

std::string PlacesToJson(const std::vector<core::RankPlace>& places);
std::vector<core::RankPlace> PlacesFromJson(const std::string& json);
std::string SlotsToJson(const std::vector<core::Slot>& slots);
std::vector<core::Slot> SlotsFromJson(const std::string& json);
const char* WorkerStateName(core::WorkerState state);
core::WorkerState WorkerStateFromName(const std::string& name);  // unknown: lost

}  // namespace strata::store
