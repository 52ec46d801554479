// Event Hubs-compatible connection strings, as the Azure portal shows them under "Built-in endpoints":
//   Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=service;SharedAccessKey=…;EntityPath=hub
//
// Source: Microsoft docs "Get an Event Hubs connection string"; @azure/core-amqp connectionConfig.ts and azure-eventhub
// _connection_string_parser.py, which take names without regard to case and know UseDevelopmentEmulator=true: plain
// AMQP on port 5672 instead of TLS on 5671. SharedAccessSignature may stand in place of the key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/wire/identity_rules.hpp>

namespace iothub {
inline namespace v0 {

struct event_hub_string {
  std::string host = {};
  std::uint16_t port = 0;  // as written behind the host; 0: the usual one
  std::string entity = {};
  std::string shared_access_key_name = {};
  secret shared_access_key = {};  // base64, whose text is the HMAC key
  secret shared_access_signature = {};
  bool emulator = false;
};

// Whether the text is meant to be one: it has an Endpoint.
[[nodiscard]] inline bool is_event_hub_string(std::string_view text) noexcept;
// errc::malformed, with a sentence for a person that repeats no value.
[[nodiscard]] inline result<event_hub_string> parse_event_hub_string(std::string_view text);

// ---------------------------------------------------------------------------------------------------------------------

inline bool is_event_hub_string(std::string_view text) noexcept {
  splitter elements{text, ';'};
  std::string_view element;
  while (elements.next(element))
    if (iequals(trim(split_once(element, '=').before), "Endpoint")) return true;
  return false;
}

namespace detail {
inline error bad_event_hub_string(std::string_view why) {
  return error{errc::malformed, std::string{"Event Hubs connection string: "}.append(why)};
}

inline result<void> take_event_endpoint(std::string_view url, event_hub_string& into) {
  std::size_t const scheme = url.find("://");
  if (scheme == std::string_view::npos || !iequals(url.substr(0, scheme), "sb"))
    return bad_event_hub_string("Endpoint does not begin with sb://");
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('/'));
  auto const host = split_once(url, ':');
  if (host.found) {
    auto const port = parse_int<std::uint16_t>(host.after);
    if (!port || *port == 0) return bad_event_hub_string("the port of Endpoint is no port");
    into.port = *port;
  }
  if (!is_valid_host_name(host.before)) return bad_event_hub_string("Endpoint has no host name");
  into.host = host.before;
  return {};
}
}  // namespace detail

inline result<event_hub_string> parse_event_hub_string(std::string_view text) {
  using detail::bad_event_hub_string;
  event_hub_string made;
  std::string_view endpoint, policy, key, signature, entity, emulator;
  struct {
    std::string_view name;
    std::string_view* place;
  } const fields[] = {{"Endpoint", &endpoint},           {"SharedAccessKeyName", &policy},
                      {"SharedAccessKey", &key},         {"SharedAccessSignature", &signature},
                      {"EntityPath", &entity},           {"UseDevelopmentEmulator", &emulator}};
  splitter elements{text, ';'};
  std::string_view element;
  for (std::size_t number = 1; elements.next(element); ++number) {
    if (trim(element).empty()) continue;
    split_pair const pair = split_once(element, '=');
    auto const bad = [&](std::string_view why) {
      return bad_event_hub_string(std::string{"element "}.append(std::to_string(number)).append(why));
    };
    if (!pair.found) return bad(" has no =");
    std::string_view* place = nullptr;
    for (auto const& each : fields)
      if (iequals(trim(pair.before), each.name)) place = each.place;
    if (place == nullptr) return bad(" has an unknown name");
    if (!place->empty()) return bad(" is there twice");
    if (*place = trim(pair.after); place->empty()) return bad(" is empty");
  }
  if (endpoint.empty()) return bad_event_hub_string("Endpoint is missing");
  if (auto ok = detail::take_event_endpoint(endpoint, made); !ok) return std::move(ok).error();
  if (entity.empty()) return bad_event_hub_string("EntityPath is missing");
  if (key.empty() == signature.empty())
    return bad_event_hub_string("it needs SharedAccessKey or SharedAccessSignature, one of them");
  if (!key.empty() && policy.empty()) return bad_event_hub_string("SharedAccessKeyName is missing");
  if (!signature.empty() && !signature.starts_with("SharedAccessSignature "))
    return bad_event_hub_string("SharedAccessSignature does not begin with SharedAccessSignature and a blank");
  if (!emulator.empty() && !iequals(emulator, "true") && !iequals(emulator, "false"))
    return bad_event_hub_string("UseDevelopmentEmulator is true or false");
  made.entity = entity;
  made.shared_access_key_name = policy;
  made.shared_access_key = secret{key};
  made.shared_access_signature = secret{signature};
  made.emulator = iequals(emulator, "true");
  return made;
}

}  // namespace v0
}  // namespace iothub
