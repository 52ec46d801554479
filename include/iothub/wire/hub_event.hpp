// An event as a reader of the built-in endpoint gets it, and where a reader begins.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/time.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// Microsoft docs "Read device-to-cloud messages from the built-in endpoint" and "IoT Hub non-telemetry event schema":
// the fields are message annotations, AMQP properties and application properties.
struct hub_event {
  // Body, application properties (`content.properties`) and the system properties that the device set.
  message content = {};
  std::string device_id = {};  // iothub-connection-device-id; empty for what no device sent
  std::string module_id = {};
  std::string partition = {};
  std::string offset = {};              // opaque, rising within a partition
  std::int64_t sequence_number = -1;    // rising by one within a partition
  utc_time enqueued_time = no_time;     // when the hub had it
  std::string message_source = {};      // Telemetry, twinChangeEvents, deviceLifecycleEvents, …
  std::string generation_id = {};       // of the sender's identity
  std::string auth_method = {};         // JSON text
  std::string model_id = {};            // dt-dataschema
  property_list annotations = {};       // those that have no field here, as text
  // How many events of the partition retention dropped before this reader got to them, just before this one.
  std::uint64_t missed_before = 0;
};

// Where to begin in a partition.
struct event_position {
  enum class by : std::uint8_t { earliest, latest, offset, sequence_number, enqueued_time };
  by what = by::latest;
  std::string offset_text = {};
  std::int64_t number = 0;  // sequence number
  utc_time time = no_time;
  bool inclusive = false;   // with the event at that very offset or number

  // The first event that the hub still has.
  static event_position earliest() { return {.what = by::earliest}; }
  // What comes from now on: from the moment at which the reader first asked, also across reconnects.
  static event_position latest() { return {.what = by::latest}; }
  static event_position offset(std::string after, bool inclusive = false) {
    return {.what = by::offset, .offset_text = std::move(after), .inclusive = inclusive};
  }
  static event_position sequence_number(std::int64_t after, bool inclusive = false) {
    return {.what = by::sequence_number, .number = after, .inclusive = inclusive};
  }
  // What the hub got later than this.
  static event_position enqueued_after(utc_time when) { return {.what = by::enqueued_time, .time = when}; }
  friend bool operator==(event_position const&, event_position const&) = default;

  // The selector that the endpoint understands (@azure/event-hubs eventPosition.ts).
  [[nodiscard]] std::string selector() const {
    std::string text = "amqp.annotation.x-opt-";
    auto const is = [&](std::string_view name, std::string_view value) {
      return std::move(text.append(name).append(inclusive ? " >= '" : " > '").append(value).append("'"));
    };
    switch (what) {
      case by::earliest: return text + "offset > '-1'";
      case by::latest: return text + "offset > '@latest'";
      case by::offset: return is("offset", offset_text);
      case by::sequence_number: return is("sequence-number", std::to_string(number));
      case by::enqueued_time: break;
    }
    auto const since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
    return is("enqueued-time", std::to_string(since));
  }
};

}  // namespace v0
}  // namespace iothub
