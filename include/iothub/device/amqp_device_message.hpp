// Messages of a device as AMQP messages, and back. Where each thing stands: azure-iot-sdk-node amqp_message.ts,
// azure-iot-sdk-csharp MessageConverter.cs; Microsoft docs "Create and read IoT Hub messages", system properties.
//
//   properties              message-id, user-id, to, correlation-id, content-type, content-encoding,
//                           absolute-expiry-time
//   application properties  the application's; iothub-creation-time-utc, of modules iothub-outputname; to a device
//                           iothub-ack
//   message annotations     dt-subject (the component), iothub-interface-id; to a device iothub-enqueuedtime,
//                           x-opt-sequence-number, iothub-deliverycount
//   body                    data
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/amqp/message.hpp>
#include <iothub/amqp/plain_text.hpp>
#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// Appends telemetry. errc::invalid_argument as over MQTT, so that a program may change its protocol: an empty name, one
// that begins with $., text that is no UTF-8 or holds U+0000, a message id that is too long or holds a forbidden
// character.
inline result<void> append_amqp_telemetry(message const& from, byte_buffer& out);
// errc::malformed when it is no message or its body is neither bytes nor text.
inline result<void> read_amqp_c2d(byte_view payload, c2d_message& into);
// The bytes of a body, of however many sections it consists; text too. False for another body.
inline bool read_amqp_body(amqp::message_view const& from, std::string& into);

// ---------------------------------------------------------------------------------------------------------------------

inline result<void> check_amqp_telemetry(message const& m) {
  auto const bad = [](char const* why) { return error{errc::invalid_argument, why}; };
  if (!m.message_id.empty() && !is_valid_id(m.message_id))
    return bad("the message id is too long or holds a character that is not allowed");
  bool text = is_mqtt_text(m.correlation_id) && is_mqtt_text(m.user_id) && is_mqtt_text(m.to) &&
              is_mqtt_text(m.content_type) && is_mqtt_text(m.content_encoding) && is_mqtt_text(m.output_name) &&
              is_mqtt_text(m.component_name) && is_mqtt_text(m.interface_id);
  for (auto const& p : m.properties) {
    if (p.name.empty()) return bad("a message property has an empty name");
    if (p.name.starts_with("$."))
      return bad("the name of an application property begins with $., as system properties do");
    text = text && is_mqtt_text(p.name) && is_mqtt_text(p.value);
  }
  if (!text) return bad("a message property is not UTF-8 or holds U+0000");
  return {};
}

inline void append_amqp_application_properties(message const& from, byte_buffer& out) {
  if (from.properties.empty() && from.output_name.empty() && !from.creation_time) return;
  amqp::writer w{out};
  w.describe(amqp::descriptor::application_properties);
  auto const begun = w.begin_compound();
  std::uint32_t count = 0;
  auto const text = [&](std::string_view name, std::string_view value) {
    w.string(name), w.string(value);
    count += 2;
  };
  if (!from.output_name.empty()) text("iothub-outputname", from.output_name);
  if (from.creation_time) text("iothub-creation-time-utc", to_iso8601(*from.creation_time));
  for (auto const& p : from.properties) {
    w.string(p.name);
    p.has_value ? w.string(p.value) : w.null();
    count += 2;
  }
  w.end_map(begun, count);
}

inline result<void> append_amqp_telemetry(message const& from, byte_buffer& out) {
  if (auto good = check_amqp_telemetry(from); !good) return good;
  amqp::writer w{out};
  if (!from.component_name.empty() || !from.interface_id.empty()) {
    w.describe(amqp::descriptor::message_annotations);
    auto const begun = w.begin_compound();
    std::uint32_t count = 0;
    if (!from.component_name.empty()) w.symbol("dt-subject"), w.string(from.component_name), count += 2;
    if (!from.interface_id.empty()) w.symbol("iothub-interface-id"), w.string(from.interface_id), count += 2;
    w.end_map(begun, count);
  }
  amqp::message_properties properties;
  amqp::value const id = from.message_id.empty() ? amqp::value{} : amqp::value{from.message_id};
  amqp::value const correlation = from.correlation_id.empty() ? amqp::value{} : amqp::value{from.correlation_id};
  properties.message_id = id.bytes();
  properties.correlation_id = correlation.bytes();
  properties.user_id = from.user_id;
  properties.has_user_id = !from.user_id.empty();
  properties.to = from.to;
  properties.content_type = from.content_type;
  properties.content_encoding = from.content_encoding;
  if (from.expiry_time) properties.absolute_expiry_time = amqp::to_timestamp(*from.expiry_time);
  amqp::write_properties(properties, out);
  append_amqp_application_properties(from, out);
  w.describe(amqp::descriptor::data);
  w.binary(from.body.bytes());
  return {};
}

inline bool read_amqp_body(amqp::message_view const& from, std::string& into) {
  switch (from.body) {
    case amqp::body_kind::none: return true;
    case amqp::body_kind::sequence: return false;
    case amqp::body_kind::data: amqp::for_each_data(from, [&](byte_view part) { into.append(part); }); return true;
    case amqp::body_kind::value: break;
  }
  auto const content = amqp::view_of(from.value);
  auto const bytes = content.type() == amqp::kind::binary ? content.as_binary() : content.as_text();
  if (bytes) into.append(*bytes);
  return bytes.has_value() || content.is_null();
}

inline feedback_request amqp_ack(std::string_view word) noexcept {
  for (auto const each : {feedback_request::positive, feedback_request::negative, feedback_request::full})
    if (to_string(each) == word) return each;
  return feedback_request::none;
}

inline result<void> read_amqp_c2d(byte_view payload, c2d_message& into) {
  amqp::message_view from;
  if (amqp::violation const rule = amqp::read_message(payload, from))
    return error{errc::malformed, std::string{rule.what()}};
  message& content = into.content;
  std::string body;
  if (!read_amqp_body(from, body)) return error{errc::malformed, "the body is neither bytes nor text"};
  content.body = message_body{std::move(body)};
  auto const& p = from.properties;
  content.message_id = amqp::id_text(p.message_id);
  content.correlation_id = amqp::id_text(p.correlation_id);
  content.user_id = p.user_id;
  content.to = p.to;
  content.content_type = p.content_type;
  content.content_encoding = p.content_encoding;
  if (p.absolute_expiry_time && *p.absolute_expiry_time > 0)
    content.expiry_time = amqp::from_timestamp(*p.absolute_expiry_time);
  if (p.creation_time && *p.creation_time > 0) content.creation_time = amqp::from_timestamp(*p.creation_time);

  auto const annotation = [&](std::string_view name) { return amqp::find(from.message_annotations, name); };
  into.delivery_count = from.header.delivery_count;
  if (auto const n = annotation("iothub-deliverycount").as_uint(); n && *n <= 0xffffffff)
    into.delivery_count = static_cast<std::uint32_t>(*n);
  if (auto const n = annotation("x-opt-sequence-number").as_uint()) into.sequence_number = *n;
  if (auto const t = annotation("iothub-enqueuedtime").as_timestamp()) into.enqueued_time = amqp::from_timestamp(*t);

  if (from.application_properties.empty()) return {};
  amqp::reader in{amqp::view_of(from.application_properties)};
  amqp::value_view name;
  amqp::value_view value;
  while (in.next(name) && in.next(value)) {
    auto const key = name.as_text();
    if (!key) continue;
    if (*key == "iothub-ack")
      into.ack = amqp_ack(amqp::plain_text(value));
    else
      content.properties.push_back({std::string{*key}, amqp::plain_text(value), !value.is_null()});
  }
  return {};
}

}  // namespace detail
}  // namespace v0
}  // namespace iothub
