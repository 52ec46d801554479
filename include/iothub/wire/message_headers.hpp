// A telemetry message in an HTTPS request: the body is the body, properties are header fields (IoT Hub device REST
// reference, "send device event"; names as azure-iot-sdk-node http.ts, -c iothubtransporthttp.c and -java send them).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/http/message.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// Adds the properties of a message. errc::invalid_argument: an application property with a character that HTTPS does
// not carry (Microsoft docs iot-hub-devguide-messages-construct: letters, digits and !#$%&'*+-.^_`|~), also the empty
// ones; a system property that is no UTF-8 or holds a control character. Nothing is added then.
[[nodiscard]] inline result<void> append_message_headers(http::headers& into, message const& m);

// Reads them back; header fields that are none of a message are passed over. Application properties keep the case of
// their names where the sender's HTTP library did.
[[nodiscard]] inline message read_message_headers(http::headers const& from);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

struct header_property {
  std::string_view name;
  std::string message::*field;
};
inline constexpr header_property header_properties[] = {
    {"iothub-messageid", &message::message_id},
    {"iothub-correlationid", &message::correlation_id},
    {"iothub-userid", &message::user_id},
    {"iothub-to", &message::to},
    {"iothub-contenttype", &message::content_type},
    {"iothub-contentencoding", &message::content_encoding},
    {"iothub-interface-id", &message::interface_id},
    {"dt-subject", &message::component_name},
};
inline constexpr std::string_view application_header = "iothub-app-";
inline constexpr std::string_view creation_header = "iothub-creationtimeutc";
inline constexpr std::string_view expiry_header = "iothub-expiry";

}  // namespace detail

inline result<void> append_message_headers(http::headers& into, message const& m) {
  for (auto const& p : detail::header_properties)
    if (!is_clean_text(m.*p.field))
      return error{errc::invalid_argument, std::string{p.name}.append(" is not UTF-8 or holds a control character")};
  for (auto const& p : m.properties)
    if (p.name.empty() || p.value.empty() || !detail::all_in(p.name, detail::in_header_token) ||
        !detail::all_in(p.value, detail::in_header_token))
      return error{errc::invalid_argument, "an application property is empty or holds what HTTPS does not carry"};
  for (auto const& p : detail::header_properties)
    if (!(m.*p.field).empty()) into.add(p.name, m.*p.field);
  if (m.creation_time) into.add(detail::creation_header, to_iso8601(*m.creation_time));
  if (m.expiry_time) into.add(detail::expiry_header, to_iso8601(*m.expiry_time));
  for (auto const& p : m.properties) into.add(std::string{detail::application_header}.append(p.name), p.value);
  return {};
}

inline message read_message_headers(http::headers const& from) {
  message m;
  for (http::header const& h : from) {
    if (istarts_with(h.name, detail::application_header)) {
      m.properties.push_back({std::string{h.name.substr(detail::application_header.size())}, std::string{h.value}});
      continue;
    }
    for (auto const& p : detail::header_properties)
      if (iequals(h.name, p.name)) m.*p.field = h.value;
    bool const creation = iequals(h.name, detail::creation_header);
    if (!creation && !iequals(h.name, detail::expiry_header)) continue;
    if (auto const time = parse_iso8601(h.value)) (creation ? m.creation_time : m.expiry_time) = *time;
  }
  return m;
}

}  // namespace v0
}  // namespace iothub
