#include "server/service/events.h"

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace strata::service {
namespace {

using nlohmann::json;

constexpr size_t kLongestName = 128;
constexpr size_t kMostValues = 16384;  // of a row: 100 x 100 layers, or a stack of 10,000

const std::map<std::string, EventType>& Types() {
  static const auto* const types = new std::map<std::string, EventType>{{"started", EventType::kStarted},
                                                                        {"progress", EventType::kProgress},
                                                                        {"measurements", EventType::kMeasurements},
                                                                        {"checkpoint", EventType::kCheckpoint},
                                                                        {"verdict", EventType::kVerdict},
                                                                        {"artifact", EventType::kArtifact},
                                                                        {"rendezvous", EventType::kRendezvous},
                                                                        {"warning", EventType::kWarning},
                                                                        {"finished", EventType::kFinished},
                                                                        {"stopped", EventType::kStopped},
                                                                        {"failed", EventType::kFailed}};
  return *types;
}

// Reads the fields of one event; remembers the first error.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  std::string Text(const char* field, bool required = true) {
    const json* value = Find(field, required);
    if (value == nullptr) return "";
    if (!value->is_string()) return Wrong(field, "must be text"), "";
    return value->get<std::string>();
  }

  int64_t Whole(const char* field, int64_t least, int64_t most, bool required = true) {
    const json* value = Find(field, required);
    if (value == nullptr) return least;
    if (!value->is_number_integer() || *value < least || *value > most) {
      return Wrong(field, absl::StrCat("must be a whole number from ", least, " to ", most)), least;
    }
    return value->get<int64_t>();
  }
  int32_t Update(const char* field) {
    return static_cast<int32_t>(Whole(field, 0, std::numeric_limits<int32_t>::max()));
  }

  // A number, or one of the strings "NaN", "Infinity", "-Infinity"; null is none.
  std::optional<double> Number(const char* field, bool required = true) {
    const json* value = Find(field, required);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return NumberOf(*value, field);
  }

  double NumberOf(const json& value, const std::string& field) {
    if (value.is_number()) return value.get<double>();
    if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (value == "Infinity") return std::numeric_limits<double>::infinity();
    if (value == "-Infinity") return -std::numeric_limits<double>::infinity();
    Wrong(field, "must be a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
    return 0;
  }

  const json* Find(const char* field, bool required) {
    const auto found = object_.find(field);
    if (found != object_.end()) return &*found;
    if (required) Wrong(field, "is missing");
    return nullptr;
  }

  void Wrong(const std::string& field, const std::string& what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(where_, ": ", field, " ", what, "."));
  }
  const absl::Status& status() const { return status_; }

 private:
  const json& object_;
  const std::string where_;
  absl::Status status_;
};

void ReadMeasurements(Reader& reader, TrainerEvent& event) {
  event.update = reader.Update("update");
  if (const json* scalars = reader.Find("scalars", false)) {
    if (!scalars->is_object()) return reader.Wrong("scalars", "must be an object of names and values");
    for (const auto& [name, value] : scalars->items()) {
      if (name.empty() || name.size() > kLongestName)
        return reader.Wrong("scalars", "has a name that is empty or too long");
      event.scalars.push_back({name, event.update, reader.NumberOf(value, "scalars." + name)});
    }
  }
  const json* vectors = reader.Find("vectors", false);
  if (vectors == nullptr) return;
  if (!vectors->is_array()) return reader.Wrong("vectors", "must be a list");
  for (const json& item : *vectors) {
    if (!item.is_object() || !item.contains("name") || !item["name"].is_string() || !item.contains("stack") ||
        !item["stack"].is_string() || !item.contains("values") || !item["values"].is_array()) {
      return reader.Wrong("vectors", "has an item without name, stack or values");
    }
    store::VectorPoint point{item["stack"], item["name"], event.update, {}};
    if (point.series.empty() || point.series.size() > kLongestName || point.stack.empty() ||
        point.stack.size() > kLongestName || item["values"].size() > kMostValues) {
      return reader.Wrong("vectors", absl::StrCat("has an item whose name is empty or longer than ", kLongestName,
                                                  ", or with more than ", kMostValues, " values"));
    }
    for (const json& value : item["values"]) point.values.push_back(reader.NumberOf(value, "vectors." + point.series));
    event.vectors.push_back(std::move(point));
  }
}

void ReadFields(Reader& reader, TrainerEvent& event) {
  switch (event.type) {
    case EventType::kStarted:
      if (const json* from = reader.Find("resumed_from", true); from != nullptr && !from->is_null()) {
        event.resumed_from = reader.Update("resumed_from");
      }
      event.unigram_nll = reader.Number("unigram_nll", false);
      break;
    case EventType::kProgress:
      event.update = reader.Update("update");
      event.seconds_per_update = reader.Number("seconds_per_update", false).value_or(0);
      event.tokens_per_second = reader.Number("tokens_per_second", false).value_or(0);
      event.phase = reader.Text("phase", false);
      break;
    case EventType::kMeasurements:
      ReadMeasurements(reader, event);
      break;
    case EventType::kCheckpoint:
      event.update = reader.Update("update");
      event.sha256 = reader.Text("sha256");
      event.kind = reader.Text("kind");
      break;
    case EventType::kVerdict:
      event.update = reader.Update("update");
      reader.Text("rule");
      break;
    case EventType::kRendezvous:
      event.address = absl::StrCat(reader.Text("host"), ":", reader.Whole("port", 1, 65535));
      break;
    case EventType::kWarning:
      event.message = reader.Text("message");
      break;
    case EventType::kFinished:
      reader.Text("state");
      event.update = reader.Find("updates", false) ? reader.Update("updates") : 0;
      event.weights_sha256 = reader.Find("weights_sha256", false) && reader.Find("weights_sha256", false)->is_string()
                                 ? reader.Text("weights_sha256")
                                 : "";
      event.best_nll = reader.Number("best_nll", false);
      event.final_nll = reader.Number("final_nll", false);
      break;
    case EventType::kStopped:
      break;
    case EventType::kFailed:
      reader.Text("cause");
      break;
    case EventType::kArtifact:
      break;
  }
}

// Evidence and environment keep only what a person wants to see again.
std::string WithoutEnvelope(json object) {
  for (const char* field : {"seq", "attempt", "rank", "time", "type"}) object.erase(field);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<TrainerEvent> ParseEvent(std::string_view line) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("An event is no JSON object: ", std::string(line.substr(0, 80)), line.size() > 80 ? "..." : ""));
  }
  TrainerEvent event;
  Reader envelope(object, "An event");
  event.seq = envelope.Whole("seq", 1, std::numeric_limits<int64_t>::max());
  event.attempt = static_cast<int32_t>(envelope.Whole("attempt", 1, std::numeric_limits<int32_t>::max()));
  event.rank = static_cast<int32_t>(envelope.Whole("rank", 0, 1 << 20));
  const std::string type = envelope.Text("type");
  if (!envelope.status().ok()) return envelope.status();
  Reader reader(object, absl::StrCat("Event ", event.seq, " (", type, ")"));
  const auto known = Types().find(type);
  if (known == Types().end()) {
    reader.Wrong("type", "is none that this coordinator knows");
    return reader.status();
  }
  event.type = known->second;
  ReadFields(reader, event);
  if (!reader.status().ok()) return reader.status();
  if (event.type == EventType::kStarted || event.type == EventType::kVerdict) event.text = WithoutEnvelope(object);
  return event;
}

absl::StatusOr<std::vector<TrainerEvent>> ParseEvents(const std::vector<std::string>& lines, int32_t attempt,
                                                      int32_t rank) {
  std::vector<TrainerEvent> events;
  for (const std::string& line : lines) {
    absl::StatusOr<TrainerEvent> event = ParseEvent(line);
    if (!event.ok()) return event.status();
    if (event->attempt != attempt || event->rank != rank) {
      return absl::InvalidArgumentError(absl::StrCat("Event ", event->seq, " is of attempt ", event->attempt, " rank ",
                                                     event->rank, ", but was sent as attempt ", attempt, " rank ", rank,
                                                     "."));
    }
    if (!events.empty() && event->seq != events.back().seq + 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("Event ", event->seq, " follows event ", events.back().seq, ": seq must rise by one."));
    }
    events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace strata::service
