// An AMQP message of the event endpoint as a hub_event. What each annotation is: wire/hub_event.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/message.hpp>
#include <iothub/amqp/plain_text.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/wire/hub_event.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// AMQP's timestamps, which count milliseconds since 1970.
[[nodiscard]] constexpr utc_time from_amqp_time(std::int64_t milliseconds) noexcept {
  return amqp::from_timestamp(milliseconds);
}
[[nodiscard]] constexpr std::int64_t to_amqp_time(utc_time t) noexcept {
  return amqp::to_timestamp(t);
}

// Calls f(key text, value) for each entry; stops where the map is broken, which read_message() has excluded.
template <class F>
void for_each_entry(amqp::encoded map, F f) {
  if (map.empty()) return;
  amqp::reader in{amqp::view_of(map)};
  amqp::value_view key, content;
  while (in.next(key) && in.next(content))
    if (auto const name = key.as_text()) f(*name, static_cast<amqp::value_view const&>(content));
}

inline void read_event_annotation(std::string_view name, amqp::value_view const& value, hub_event& into) {
  auto const is = [&](std::string_view wanted, std::string& place) {
    if (name != wanted) return false;
    place = amqp::plain_text(value);
    return true;
  };
  if (name == "x-opt-sequence-number") {
    if (auto const number = value.as_int()) into.sequence_number = *number;
    return;
  }
  if (name == "x-opt-enqueued-time") {
    if (auto const when = value.as_timestamp()) into.enqueued_time = from_amqp_time(*when);
    return;
  }
  if (name == "iothub-enqueuedtime" && into.enqueued_time == no_time) {
    if (auto const when = value.as_timestamp()) into.enqueued_time = from_amqp_time(*when);
    return;
  }
  if (is("x-opt-offset", into.offset) || is("iothub-connection-device-id", into.device_id) ||
      is("iothub-connection-module-id", into.module_id) || is("iothub-message-source", into.message_source) ||
      is("iothub-connection-auth-generation-id", into.generation_id) ||
      is("iothub-connection-auth-method", into.auth_method) || is("dt-dataschema", into.model_id) ||
      is("dt-subject", into.content.component_name) || is("iothub-interface-id", into.content.interface_id))
    return;
  if (name == "iothub-enqueuedtime") return;
  into.annotations.push_back({std::string{name}, amqp::plain_text(value), !value.is_null()});
}

// An amqp-value body becomes text, as JSON where it is a scalar that JSON has; the service itself sends data sections.
inline std::string body_of(amqp::message_view const& m) {
  std::string body;
  if (m.body == amqp::body_kind::data) amqp::for_each_data(m, [&](byte_view part) { body.append(part); });
  if (m.body == amqp::body_kind::value) body = amqp::plain_text(amqp::view_of(m.value));
  return body;
}

}  // namespace detail

// False when the bytes are no message.
[[nodiscard]] inline bool read_event(byte_view payload, hub_event& into) {
  amqp::message_view m;
  if (amqp::read_message(payload, m)) return false;
  detail::for_each_entry(m.message_annotations, [&](std::string_view name, amqp::value_view const& value) {
    detail::read_event_annotation(name, value, into);
  });
  message& content = into.content;
  content.message_id = amqp::id_text(m.properties.message_id);
  content.correlation_id = amqp::id_text(m.properties.correlation_id);
  content.user_id = m.properties.user_id;
  content.to = m.properties.to;
  content.content_type = m.properties.content_type;
  content.content_encoding = m.properties.content_encoding;
  if (auto const t = m.properties.absolute_expiry_time) content.expiry_time = detail::from_amqp_time(*t);
  if (auto const t = m.properties.creation_time) content.creation_time = detail::from_amqp_time(*t);
  detail::for_each_entry(m.application_properties, [&](std::string_view name, amqp::value_view const& value) {
    if (name == "iothub-outputname") {
      content.output_name = amqp::plain_text(value);
      return;
    }
    if (name == "iothub-creation-time-utc" && !content.creation_time) {
      if (auto const when = parse_iso8601(amqp::plain_text(value))) {
        content.creation_time = *when;
        return;
      }
    }
    content.properties.push_back({std::string{name}, amqp::plain_text(value), !value.is_null()});
  });
  content.body = message_body{detail::body_of(m)};
  return true;
}

}  // namespace v0
}  // namespace iothub
