// What hub_core itself has to say in the built-in event endpoint: changes of twins, identities made and deleted,
// devices that connect and go.
//
// Bodies, properties and spelling: Microsoft docs "Azure IoT Hub non-telemetry event schemas" (2024-04). Unconfirmed
// for the real hub: what a removed property looks like in an update (null here, as in the patch), and whether `tags` of
// a twin without any are there (they are not). Several changes are never merged into one event, which the real hub may
// do. Events of one device stand in its partition among its telemetry, in the order in which things happened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/hex.hpp>
#include <iothub/hub/hub_core_interface.hpp>
#include <iothub/wire/model_json.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

namespace detail {

// The stamps of what the patch wrote.
inline json::value metadata_of(json::value const& patch, stamp const& stamps, twin_part part) {
  json::value out = json::value::make_object();
  out.set("$lastUpdated", to_iso8601(stamps.updated, 7));
  if (part == twin_part::desired && stamps.version != 0) out.set("$lastUpdatedVersion", stamps.version);
  if (!stamps.below) return out;
  for (auto const& m : patch.members())
    if (auto const child = stamps.below->find(m.key()); child != stamps.below->end())
      out.set(m.key(), metadata_of(m.value(), child->second, part));
  return out;
}

inline json::value changed_section(json::value const& patch, twin_section_state const& section, twin_part part) {
  json::value out = document(patch);
  out.set("$metadata", metadata_of(patch, section.stamps, part));
  out.set("$version", section.version);
  return out;
}

inline json::value whole_section(twin_section_state const& section, twin_part part) {
  json::value out = document(section.properties);
  out.set("$metadata", metadata(section.stamps, part));
  out.set("$version", section.version);
  return out;
}

inline json::value event_twin(identity_record const& record) {
  json::value out = json::value::make_object();
  out.set("deviceId", record.key->device_id);
  if (record.is_module()) out.set("moduleId", record.key->module_id);
  out.set("etag", twin_etag(record.twin));
  out.set("version", record.twin.version);
  if (json::value const& tags = document(record.twin.tags); tags.size() != 0) out.set("tags", tags);
  json::value properties = json::value::make_object();
  properties.set("desired", whole_section(record.twin.desired, twin_part::desired));
  properties.set("reported", whole_section(record.twin.reported, twin_part::reported));
  out.set("properties", std::move(properties));
  return out;
}

inline void append_hex(std::string& out, std::uint64_t number) {
  char bytes[8];
  for (int i = 7; i >= 0; --i, number >>= 8) bytes[i] = static_cast<char>(number & 0xff);
  for (char const digit : to_hex({bytes, sizeof bytes}))
    out += digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
}

}  // namespace detail

inline void hub_core::tell(identity_record const& record, event_kind kind, std::string_view schema,
                           std::string_view operation, json::value const& body, instant at) {
  std::string const timestamp = to_iso8601(at.utc, 7);
  std::string_view const name = std::string_view{settings_.hostname}.substr(0, settings_.hostname.find('.'));
  std::string id;
  detail::append_hex(id, tokens_());
  std::string const text = body.dump();
  std::vector<property_view> properties{{"hubName", name, true}, {"deviceId", record.key->device_id, true}};
  if (record.is_module()) properties.push_back({"moduleId", record.key->module_id, true});
  properties.push_back({"operationTimestamp", timestamp, true});
  properties.push_back({"iothub-message-schema", schema, true});
  properties.push_back({"opType", operation, true});
  d2c_message what;
  what.body = text;
  what.properties = properties;
  what.correlation_id = id;
  what.user_id = name;
  what.content_type = "application/json";
  what.content_encoding = "utf-8";
  event_source from;
  from.device_id = record.key->device_id;
  from.module_id = record.key->module_id;
  from.generation = record.generation;
  from.kind = kind;
  events_.append(events_.partition_of(record.key->device_id), from, what, at.utc);
}

inline void hub_core::tell_twin_updated(identity_record const& record, json::value const* tags,
                                        json::value const* desired, json::value const* reported, instant at) {
  if (!settings_.routes.twin || (tags == nullptr && desired == nullptr && reported == nullptr)) return;
  json::value body = json::value::make_object();
  body.set("version", record.twin.version);
  if (tags != nullptr) body.set("tags", *tags);
  if (desired != nullptr || reported != nullptr) {
    json::value properties = json::value::make_object();
    if (desired != nullptr)
      properties.set("desired", detail::changed_section(*desired, record.twin.desired, twin_part::desired));
    if (reported != nullptr)
      properties.set("reported", detail::changed_section(*reported, record.twin.reported, twin_part::reported));
    body.set("properties", std::move(properties));
  }
  tell(record, event_kind::twin_change, "twinChangeNotification", "updateTwin", body, at);
}

inline void hub_core::tell_twin_replaced(identity_record const& record, instant at) {
  if (!settings_.routes.twin) return;
  tell(record, event_kind::twin_change, "twinChangeNotification", "replaceTwin", detail::event_twin(record), at);
}

inline void hub_core::tell_lifecycle(identity_record const& record, std::string_view operation, instant at) {
  if (!settings_.routes.lifecycle) return;
  tell(record, event_kind::lifecycle, "deviceLifecycleNotification", operation, detail::event_twin(record), at);
}

// The sequence number has 256 bits and grows strictly, also over restarts of the hub: the time of its first event in
// units of 100 ns since 1601, then a count.
inline void hub_core::tell_connection(identity_record const& record, std::string_view operation, instant at) {
  if (!settings_.routes.connection) return;
  if (connection_epoch_ == 0) {
    constexpr std::int64_t years_1601_to_1970 = 11'644'473'600;
    auto const since_1970 = std::chrono::floor<std::chrono::microseconds>(at.utc.time_since_epoch()).count() * 10;
    connection_epoch_ = static_cast<std::uint64_t>(since_1970 + years_1601_to_1970 * 10'000'000);
  }
  std::string number(16, '0');
  detail::append_hex(number, connection_epoch_);
  number.append(16, '0');
  detail::append_hex(number, ++connection_events_);
  json::value body = json::value::make_object();
  body.set("sequenceNumber", number);
  tell(record, event_kind::connection, "deviceConnectionStateNotification", operation, body, at);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
