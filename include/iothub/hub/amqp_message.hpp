// Messages between AMQP and the hub. Names: Microsoft docs "Create and read IoT Hub messages", system properties; for
// devices azure-iot-sdk-node amqp_message.ts, -csharp MessageConverter.cs.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/message.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/hub/amqp_event_message.hpp>
#include <iothub/hub/amqp_words.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Telemetry or a cloud-to-device message. Several data sections are one body. errc::bad_request: a body that is no
// bytes, more than 1024 application properties. `iothub-ack` is not taken for an application property.
inline result<void> read_amqp_message(amqp::message_view const& from, message& into);
// As a device gets it.
inline void append_c2d_message(c2d_message const& what, byte_buffer& out);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline void read_amqp_annotations(amqp::encoded annotations, message& into) {
  auto const map = amqp::view_of(annotations);
  into.component_name = text_of(amqp::find(map, "dt-subject"));
  into.interface_id = text_of(amqp::find(map, "iothub-interface-id"));
}

// A name that the hub knows, which some devices give among the application's.
inline bool take_amqp_property(std::string_view name, amqp::value_view const& value, message& into) {
  if (name == "iothub-ack") return true;
  if (name == "iothub-outputname") return into.output_name = text_of(value), true;  // of modules
  if (name == "iothub-creation-time-utc") {
    auto const time = parse_iso8601(text_of(value));
    if (time) into.creation_time = *time;
    return time.has_value();
  }
  return false;
}

constexpr std::string_view ack_word(feedback_request what) noexcept {
  switch (what) {
    case feedback_request::positive: return "positive";
    case feedback_request::negative: return "negative";
    case feedback_request::full: return "full";
    default: return "none";
  }
}

}  // namespace detail

inline result<void> read_amqp_message(amqp::message_view const& from, message& into) {
  auto const& p = from.properties;
  into.message_id = amqp::id_text(p.message_id);
  into.correlation_id = amqp::id_text(p.correlation_id);
  into.user_id = p.user_id;
  into.to = p.to;
  into.content_type = p.content_type;
  into.content_encoding = p.content_encoding;
  if (p.absolute_expiry_time && *p.absolute_expiry_time > 0)
    into.expiry_time = from_timestamp(*p.absolute_expiry_time);
  if (p.creation_time && *p.creation_time > 0) into.creation_time = from_timestamp(*p.creation_time);
  detail::read_amqp_annotations(from.message_annotations, into);

  auto const properties = amqp::view_of(from.application_properties);
  if (properties.count() > 2048) return hub::refuse(errc::bad_request, 400004, "more than 1024 properties");
  amqp::reader in{properties};
  amqp::value_view key;
  amqp::value_view value;
  while (in.next(key) && in.next(value)) {
    auto const name = key.as_text();
    if (!name || detail::take_amqp_property(*name, value, into)) continue;
    into.properties.push_back({std::string{*name}, text_of(value), !value.is_null()});
  }

  std::string body;
  if (from.body == amqp::body_kind::data) {
    amqp::for_each_data(from, [&](byte_view part) { body.append(part); });
  } else if (from.body == amqp::body_kind::value) {
    auto const content = amqp::view_of(from.value);
    auto const bytes = content.type() == amqp::kind::binary ? content.as_binary() : content.as_text();
    if (!bytes && !content.is_null())
      return hub::refuse(errc::bad_request, 400004, "the body is neither bytes nor text");
    if (bytes) body.assign(*bytes);
  } else if (from.body == amqp::body_kind::sequence) {
    return hub::refuse(errc::bad_request, 400004, "the body is a sequence");
  }
  into.body = message_body{std::move(body)};
  return {};
}

inline void append_c2d_message(c2d_message const& what, byte_buffer& out) {
  message const& m = what.content;
  amqp::message_view view;
  view.has_header = true;
  view.header.delivery_count = what.delivery_count;
  view.header.durable = true;
  auto const annotations = amqp::value::symbol_map(
      {{"x-opt-sequence-number", static_cast<std::int64_t>(what.sequence_number)},
       {"iothub-enqueuedtime", amqp::value::timestamp(to_timestamp(what.enqueued_time))},
       {"iothub-deliverycount", static_cast<std::int32_t>(what.delivery_count)}});
  view.message_annotations = annotations.bytes();
  view.has_properties = true;
  amqp::value id;
  amqp::value correlation;
  if (!m.message_id.empty()) id = amqp::value{m.message_id};
  if (!m.correlation_id.empty()) correlation = amqp::value{m.correlation_id};
  view.properties.message_id = id.bytes();
  view.properties.correlation_id = correlation.bytes();
  view.properties.user_id = m.user_id;
  view.properties.has_user_id = !m.user_id.empty();
  view.properties.to = m.to;
  view.properties.content_type = m.content_type;
  view.properties.content_encoding = m.content_encoding;
  if (m.expiry_time) view.properties.absolute_expiry_time = to_timestamp(*m.expiry_time);
  if (m.creation_time) view.properties.creation_time = to_timestamp(*m.creation_time);
  auto const properties = amqp::value::made([&](amqp::writer& w) {
    auto const begun = w.begin_compound();
    w.string("iothub-ack"), w.string(detail::ack_word(what.ack));
    for (auto const& p : m.properties) {
      w.string(p.name);
      p.has_value ? w.string(p.value) : w.null();
    }
    w.end_map(begun, static_cast<std::uint32_t>(2 * m.properties.size() + 2));
  });
  view.application_properties = properties.bytes();
  view.body = amqp::body_kind::data;
  view.data = m.body.bytes();
  amqp::write_message(view, out);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
