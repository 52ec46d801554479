// An event of the log as the message that readers of the event endpoint get. Names and types: Microsoft docs "Create
// and read IoT Hub messages", "IoT Hub non-telemetry event schema" (which print the annotations), and what
// @azure/event-hubs and azure-eventhub look for.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <iothub/amqp/message.hpp>
#include <iothub/amqp/writer.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/hub/amqp_words.hpp>
#include <iothub/hub/event_log.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// What a reader that asked for it is told beside each event: how far the partition is.
struct partition_end {
  std::int64_t sequence = -1;
  std::uint64_t offset = 0;
  utc_time enqueued = {};
  utc_time now = {};
};

// Appends the sections.
inline void append_event_message(event_view const& event, partition_end const* end, byte_buffer& out);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Counts what it writes.
class map_writer {
 public:
  map_writer(amqp::descriptor section, byte_buffer& out) : w_{out}, begun_{} {
    w_.describe(section);
    begun_ = w_.begin_compound();
  }
  amqp::writer& key(std::string_view symbol) {
    w_.symbol(symbol);
    count_ += 2;
    return w_;
  }
  amqp::writer& name(std::string_view text) {
    w_.string(text);
    count_ += 2;
    return w_;
  }
  // Texts that are empty are left out.
  void text(std::string_view symbol, std::string_view value) {
    if (!value.empty()) key(symbol).string(value);
  }
  void number_text(std::string_view symbol, std::uint64_t value) {
    char digits[20];
    auto const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    key(symbol).string({digits, static_cast<std::size_t>(end - digits)});
  }
  void done() { w_.end_map(begun_, count_); }

 private:
  amqp::writer w_;
  amqp::writer::mark begun_;
  std::uint32_t count_ = 0;
};

inline void append_annotations(event_view const& event, byte_buffer& out) {
  map_writer map{amqp::descriptor::message_annotations, out};
  std::int64_t const enqueued = to_timestamp(event.enqueued_time());
  map.key("x-opt-sequence-number").int64(static_cast<std::int64_t>(event.sequence_number()));
  map.number_text("x-opt-offset", event.offset());
  map.key("x-opt-enqueued-time").timestamp(enqueued);
  map.text("iothub-connection-device-id", event.device_id());
  map.text("iothub-connection-module-id", event.module_id());
  if (event.kind() == event_kind::telemetry) {  // what the hub itself says was sent by nobody
    map.text("iothub-connection-auth-method", auth_method_text(event.scope()));
    map.number_text("iothub-connection-auth-generation-id", static_cast<std::uint64_t>(event.generation()));
  }
  map.key("iothub-enqueuedtime").timestamp(enqueued);
  map.text("iothub-message-source", source_text(event.kind()));
  map.text("dt-dataschema", event.model_id());
  map.text("dt-subject", event.component_name());
  map.text("iothub-interface-id", event.interface_id());
  map.done();
}

inline void append_application_properties(event_view const& event, byte_buffer& out) {
  auto const created = event.creation_time();
  if (event.property_count() == 0 && !created && event.output_name().empty()) return;
  map_writer map{amqp::descriptor::application_properties, out};
  event.for_each_property([&](property_view const& p) { map.name(p.name).string(p.value); });
  if (!event.output_name().empty()) map.name("iothub-outputname").string(event.output_name());
  if (created) {
    char text[iso8601_max_size];
    char* const end = write_iso8601(text, *created, 3);
    map.name("iothub-creation-time-utc").string({text, static_cast<std::size_t>(end - text)});
  }
  map.done();
}

}  // namespace detail

inline void append_event_message(event_view const& event, partition_end const* end, byte_buffer& out) {
  if (end != nullptr) {
    detail::map_writer map{amqp::descriptor::delivery_annotations, out};
    map.key("last_enqueued_sequence_number").int64(end->sequence);
    map.number_text("last_enqueued_offset", end->offset);
    map.key("last_enqueued_time_utc").timestamp(to_timestamp(end->enqueued));
    map.key("runtime_info_retrieval_time_utc").timestamp(to_timestamp(end->now));
    map.done();
  }
  detail::append_annotations(event, out);
  amqp::message_properties properties;
  amqp::value id;
  amqp::value correlation;
  if (!event.message_id().empty()) id = amqp::value{event.message_id()};
  if (!event.correlation_id().empty()) correlation = amqp::value{event.correlation_id()};
  properties.message_id = id.bytes();
  properties.correlation_id = correlation.bytes();
  properties.user_id = event.user_id();
  properties.has_user_id = !event.user_id().empty();
  properties.to = event.to();
  properties.content_type = event.content_type();
  properties.content_encoding = event.content_encoding();
  if (auto const expiry = event.expiry_time()) properties.absolute_expiry_time = to_timestamp(*expiry);
  amqp::write_properties(properties, out);
  detail::append_application_properties(event, out);
  amqp::writer w{out};
  w.describe(amqp::descriptor::data);
  w.binary(event.body());
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
