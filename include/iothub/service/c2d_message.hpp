// A cloud-to-device message as a back end sends it over AMQP (azure-iot-sdk-node amqp_message.ts).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/amqp/message.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/amqp/writer.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/service/event_message.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// Appends the sections.
inline void write_c2d_message(std::string_view device_id, message const& what, feedback_request ack, byte_buffer& out) {
  std::string to = "/devices/";
  append_percent(to, device_id);
  to += "/messages/devicebound";
  amqp::value const id{what.message_id};
  amqp::value const correlation{what.correlation_id};
  amqp::message_properties p;
  p.message_id = id.bytes();
  p.to = to;
  if (!what.correlation_id.empty()) p.correlation_id = correlation.bytes();
  p.user_id = what.user_id;
  p.has_user_id = !what.user_id.empty();
  p.content_type = what.content_type;
  p.content_encoding = what.content_encoding;
  if (what.expiry_time) p.absolute_expiry_time = detail::to_amqp_time(*what.expiry_time);
  if (what.creation_time) p.creation_time = detail::to_amqp_time(*what.creation_time);
  amqp::write_properties(p, out);
  amqp::writer w{out};
  if (!what.properties.empty() || ack != feedback_request::none) {
    w.describe(amqp::descriptor::application_properties);
    auto const begun = w.begin_compound();
    std::uint32_t count = 0;
    for (property const& each : what.properties) {
      w.string(each.name);
      each.has_value ? w.string(each.value) : w.null();
      count += 2;
    }
    if (ack != feedback_request::none) w.string("iothub-ack"), w.string(to_string(ack)), count += 2;
    w.end_map(begun, count);
  }
  w.describe(amqp::descriptor::data);
  w.binary(what.body.bytes());
}

}  // namespace v0
}  // namespace iothub
