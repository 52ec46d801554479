// Where a reader of a partition begins, as it says in the filter of its source.
//
//   apache.org:selector-filter:string = amqp.annotation.x-opt-offset > '4711'
//
// over x-opt-offset, x-opt-sequence-number or x-opt-enqueued-time (milliseconds since 1970), with > or >=, with and
// without quotes; the offset '-1' is the beginning and '@latest' the end. azure-iot-cli-extension spells the time
// x-opt-enqueuedtimeutc (telemetry.py). Sources: @azure/event-hubs eventPosition.ts,
// azure-eventhub _utils.py, azure-sdk-for-net AmqpFilter.cs, which describe the value each in its own way.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/amqp/reader.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/result.hpp>
#include <iothub/hub/amqp_words.hpp>
#include <iothub/hub/event_log.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

struct event_position {
  enum class by : std::uint8_t { earliest, latest, offset, sequence_number, enqueued_time };
  by what = by::earliest;
  bool inclusive = false;
  std::int64_t value = 0;
  friend bool operator==(event_position const&, event_position const&) = default;
};

// errc::bad_request for another selector.
[[nodiscard]] inline result<event_position> parse_event_selector(std::string_view text);
// From the filter of a source; without one: the earliest event (unconfirmed for the real hub).
[[nodiscard]] inline result<event_position> read_event_filter(amqp::encoded filter);
// The sequence number to begin with.
[[nodiscard]] inline std::uint64_t find_position(event_log const& log, std::uint32_t partition, event_position from);

// ---------------------------------------------------------------------------------------------------------------------

inline result<event_position> parse_event_selector(std::string_view text) {
  auto const wrong = [] {
    return error{errc::bad_request,
                 "the filter is none of amqp.annotation.x-opt-offset, -sequence-number, -enqueued-time"};
  };
  text = trim(text);
  constexpr std::string_view prefix = "amqp.annotation.x-opt-";
  if (!text.starts_with(prefix)) return wrong();
  text.remove_prefix(prefix.size());
  event_position made;
  std::size_t const end = text.find_first_of(" >");
  std::string_view const name = text.substr(0, end);
  if (name == "offset")
    made.what = event_position::by::offset;
  else if (name == "sequence-number")
    made.what = event_position::by::sequence_number;
  else if (name == "enqueued-time" || name == "enqueuedtimeutc")
    made.what = event_position::by::enqueued_time;
  else
    return wrong();
  text = trim(text.substr(name.size()));
  if (!text.starts_with('>')) return wrong();
  text.remove_prefix(1);
  made.inclusive = text.starts_with('=');
  if (made.inclusive) text.remove_prefix(1);
  text = trim(text);
  if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'') text = text.substr(1, text.size() - 2);
  if (text == "@latest") return event_position{event_position::by::latest};
  auto const number = parse_int<std::int64_t>(text);
  if (!number) return wrong();
  made.value = *number;
  if (made.value < 0) made = {};
  return made;
}

inline result<event_position> read_event_filter(amqp::encoded filter) {
  auto const found = amqp::find(filter, "apache.org:selector-filter:string");
  if (found.is_null()) return event_position{};
  amqp::value_view descriptor;
  amqp::value_view content = found;
  if (found.type() == amqp::kind::described) (void)amqp::split_described(found, descriptor, content);
  auto const text = content.type() == amqp::kind::binary ? content.as_binary() : content.as_text();
  if (!text) return error{errc::bad_request, "the filter is no text"};
  return parse_event_selector(*text);
}

inline std::uint64_t find_position(event_log const& log, std::uint32_t partition, event_position from) {
  auto const number = static_cast<std::uint64_t>(from.value);
  std::uint64_t const next = log.next(partition);
  switch (from.what) {
    case event_position::by::earliest: return log.first(partition);
    case event_position::by::latest: return next;
    case event_position::by::offset: return log.find_offset(partition, from.inclusive ? number : number + 1);
    case event_position::by::sequence_number: {
      // One that is not there yet: what comes next, whatever its number will be.
      std::uint64_t const wanted = from.inclusive ? number : number + 1;
      return wanted < next ? wanted : next;
    }
    case event_position::by::enqueued_time: {
      utc_time const when = from_timestamp(from.value);
      return log.find_time(partition, from.inclusive ? when - duration{1} : when + std::chrono::microseconds{999});
    }
  }
  return next;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
