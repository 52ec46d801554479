// A hub_event for people and for scripts: one line of text, or a JSON document.
#pragma once

#include <string>
#include <string_view>

#include <iothub/base/base64.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/hub_event.hpp>

namespace iothub {
inline namespace v0 {

// "2024-01-01T00:00:00.000Z pump-7 {"t":21} alert=no": time, sender, body, properties. What could move the cursor of a
// terminal is escaped, a body that is no text is only counted; so it is one line, whatever a device sent.
[[nodiscard]] inline std::string to_line(hub_event const& event);
// Every field. `body` is the document itself where it is JSON, a string where it is other text, else `bodyBase64` is
// there in its place. Empty fields are left out.
[[nodiscard]] inline json::value to_json(hub_event const& event);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {
inline void append_visible(std::string& out, std::string_view text) {
  for (char const c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) {
      out.push_back(c);
      continue;
    }
    char digits[2];
    write_hex(digits, {&c, 1});
    out.append("\\x").append(digits, 2);
  }
}
}  // namespace detail

inline std::string to_line(hub_event const& event) {
  std::string line = to_iso8601(event.enqueued_time);
  line.push_back(' ');
  detail::append_visible(line, event.device_id.empty() ? std::string_view{"-"} : std::string_view{event.device_id});
  if (!event.module_id.empty()) detail::append_visible(line.append("/"), event.module_id);
  if (event.message_source != "Telemetry" && !event.message_source.empty())
    detail::append_visible(line.append(" "), event.message_source);
  line.push_back(' ');
  std::string_view const body = event.content.body.bytes();
  // C1 control characters, U+0080 to U+009F, are two bytes: c2 80 to c2 9f.
  bool text = is_utf8(body);
  for (std::size_t i = 0; text && i + 1 < body.size(); ++i)
    text = body[i] != '\xc2' || static_cast<unsigned char>(body[i + 1]) >= 0xa0;
  if (text)
    detail::append_visible(line, body);
  else
    line.append("<").append(std::to_string(body.size())).append(" bytes>");
  for (property const& each : event.content.properties) {
    detail::append_visible(line.append(" "), each.name);
    if (each.has_value) detail::append_visible(line.append("="), each.value);
  }
  return line;
}

inline json::value to_json(hub_event const& event) {
  json::value made = json::value::make_object();
  auto const text = [&](std::string_view name, std::string const& value) {
    if (value.empty()) return;
    if (is_utf8(value))
      made.set(name, value);
    else
      made.set(std::string{name} + "Base64", to_base64(value));
  };
  auto const list = [](property_list const& from) {
    json::value all = json::value::make_object();
    for (property const& each : from)
      if (is_utf8(each.name) && is_utf8(each.value))
        all.set(each.name, each.has_value ? json::value{each.value} : json::value{});
    return all;
  };
  made.set("enqueuedTime", to_iso8601(event.enqueued_time));
  text("deviceId", event.device_id);
  text("moduleId", event.module_id);
  text("partition", event.partition);
  text("offset", event.offset);
  made.set("sequenceNumber", event.sequence_number);
  std::string_view const body = event.content.body.bytes();
  if (auto document = json::parse(body))
    made.set("body", *std::move(document));
  else if (is_utf8(body))
    made.set("body", body);
  else
    made.set("bodyBase64", to_base64(body));
  if (!event.content.properties.empty()) made.set("properties", list(event.content.properties));
  text("messageId", event.content.message_id);
  text("correlationId", event.content.correlation_id);
  text("userId", event.content.user_id);
  text("contentType", event.content.content_type);
  text("contentEncoding", event.content.content_encoding);
  text("outputName", event.content.output_name);
  if (event.content.creation_time) made.set("creationTime", to_iso8601(*event.content.creation_time));
  text("messageSource", event.message_source);
  text("generationId", event.generation_id);
  text("authMethod", event.auth_method);
  text("modelId", event.model_id);
  text("componentName", event.content.component_name);
  text("interfaceId", event.content.interface_id);
  if (!event.annotations.empty()) made.set("annotations", list(event.annotations));
  if (event.missed_before != 0) made.set("missedBefore", static_cast<std::int64_t>(event.missed_before));
  return made;
}

}  // namespace v0
}  // namespace iothub
