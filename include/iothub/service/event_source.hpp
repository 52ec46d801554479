// From where events are read: an IoT Hub by its own connection string, which redirects, or its event endpoint directly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/service/event_reader_options.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/event_hub_string.hpp>

namespace iothub {
inline namespace v0 {

struct event_source_address {
  endpoint where = {};
  std::string entity = {};  // empty: an IoT hub, which says it with the redirect
  std::string policy = {};
  secret key = {};
  secret signature = {};
  bool plain = false;  // no TLS
};

// Either kind of connection string. errc::malformed; errc::invalid_argument for an IoT Hub string with a ready-made
// token: behind the redirect another one is needed.
[[nodiscard]] inline result<event_source_address> parse_event_source(std::string_view text,
                                                                     event_reader_options const& options) {
  event_source_address made;
  if (is_event_hub_string(text)) {
    auto parsed = parse_event_hub_string(text);
    if (!parsed) return std::move(parsed).error();
    made.plain = parsed->emulator;
    std::uint16_t const usual = made.plain ? options.amqp_port : options.amqps_port;
    made.where = {std::move(parsed->host), parsed->port != 0 ? parsed->port : usual};
    made.entity = std::move(parsed->entity);
    made.policy = std::move(parsed->shared_access_key_name);
    made.key = std::move(parsed->shared_access_key);
    made.signature = std::move(parsed->shared_access_signature);
    return made;
  }
  auto parsed = parse_service_connection_string(text);
  if (!parsed) return std::move(parsed).error();
  if (parsed->shared_access_key.empty())
    return error{errc::invalid_argument,
                 "reading events needs the policy's key: the event endpoint wants another token"};
  made.where = {parsed->connect_host(), options.amqps_port};
  made.policy = std::move(parsed->shared_access_key_name);
  made.key = std::move(parsed->shared_access_key);
  return made;
}

}  // namespace v0
}  // namespace iothub
