// Device-to-cloud messages over HTTPS: one, whose properties are header fields, or a batch as JSON.
//
//   Content-Type: application/vnd.microsoft.iothub.json
//   [{"body":"aGVsbG8=","base64Encoded":true,"properties":{"iothub-messageid":"m1","iothub-app-colour":"red"}}, …]
//
// Source of the batch: azure-iot-sdk-c iothubtransporthttp.c, azure-iot-sdk-node http.ts. base64Encoded is true where
// it is absent.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/result.hpp>
#include <iothub/http/message.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/message_headers.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

inline constexpr std::string_view batch_content_type = "application/vnd.microsoft.iothub.json";

// What a POST to .../messages/events holds. errc::bad_request: a batch that is none.
[[nodiscard]] inline result<std::vector<message>> read_http_telemetry(http::request&& what);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline result<message> read_batched(json::value const& entry) {
  auto const body = entry["body"].as_string();
  if (!body) return error{errc::bad_request, "a message of the batch has no body"};
  http::headers fields;
  for (auto const& p : entry["properties"].members()) {
    auto const value = p.value().as_string();
    if (!value) return error{errc::bad_request, "a property of a message of the batch is no text"};
    fields.add(std::string{p.key()}, std::string{*value});
  }
  message made = read_message_headers(fields);
  if (!entry["base64Encoded"].as_bool().value_or(true)) {
    made.body = message_body{*body};
    return made;
  }
  auto bytes = from_base64(*body);
  if (!bytes) return error{errc::bad_request, "the body of a message of the batch is no base64"};
  made.body = message_body{std::move(*bytes)};
  return made;
}

}  // namespace detail

inline result<std::vector<message>> read_http_telemetry(http::request&& what) {
  std::vector<message> messages;
  auto const type = trim(split_once(what.headers.get("Content-Type"), ';').before);
  if (!iequals(type, batch_content_type)) {
    messages.push_back(read_message_headers(what.headers));
    messages.back().body = message_body{std::move(what.body)};
    return messages;
  }
  auto const batch = json::parse(what.body);
  if (!batch || !batch->is_array()) return error{errc::bad_request, "the batch is no JSON array"};
  for (auto const& entry : batch->elements()) {
    auto read = detail::read_batched(entry);
    if (!read) return std::move(read).error();
    messages.push_back(std::move(*read));
  }
  return messages;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
