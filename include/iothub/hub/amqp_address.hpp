// Link addresses: what the node behind a source or target is.
//
// Clients write them as a path, with or without a slash in front, or as a URI with any scheme, host and port
// ("amqps://host:5671/messages/deviceBound"); azure-iot-sdk-csharp and -java differ in the case of the fixed words. Ids
// of devices and modules keep their case; they come percent-encoded from some clients and as they are from others.
//
//   $cbs                                                     tokens
//   [ENTITY/]$management                                     questions about the event endpoint
//   ENTITY/ConsumerGroups/GROUP/Partitions/N                 events of a partition
//   /messages/events/...                                     the same by the name of the IoT hub: a redirect
//   /messages/devicebound                                    cloud-to-device messages, for the back end to send
//   /messages/servicebound/feedback, .../filenotifications   what became of them; uploaded files
//   /devices/D[/modules/M]/messages/events, .../messages/devicebound, .../methods/devicebound, .../twin
//
// Sources: Microsoft docs "Communicate with your IoT hub by using the AMQP protocol"; azure-iot-sdk-node amqp.ts of
// both sides; azure-event-hubs-node for the event endpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

enum class amqp_place : std::uint8_t {
  unknown,
  cbs,
  management,
  events,        // entity, group, partition
  hub_events,    // rest: what follows "/messages/events/"
  send_c2d,
  feedback,
  file_notifications,
  device_events,
  device_c2d,
  device_methods,
  device_twin,
};

// Views into the address; `who` is decoded.
struct amqp_address {
  amqp_place place = amqp_place::unknown;
  std::string_view path = {};  // without scheme, host and slashes at the ends
  std::string_view entity = {};
  std::string_view group = {};
  std::string_view partition = {};
  std::string_view rest = {};
  device_key who = {};

  [[nodiscard]] bool of_device() const noexcept { return place >= amqp_place::device_events; }
};

[[nodiscard]] inline amqp_address parse_amqp_address(std::string_view text);

// The path of a URI, or of what is one already.
[[nodiscard]] constexpr std::string_view path_of_address(std::string_view text) noexcept {
  if (std::size_t const scheme = text.find("://"); scheme != std::string_view::npos) {
    text.remove_prefix(scheme + 3);
    std::size_t const slash = text.find('/');
    text = slash == std::string_view::npos ? std::string_view{} : text.substr(slash);
  }
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}
// The host of a URI, without its port; empty for a path.
[[nodiscard]] constexpr std::string_view host_of_address(std::string_view text) noexcept {
  std::size_t const scheme = text.find("://");
  if (scheme == std::string_view::npos) return {};
  text.remove_prefix(scheme + 3);
  text = text.substr(0, text.find('/'));
  std::size_t const colon = text.rfind(':');
  if (colon != std::string_view::npos && !text.ends_with(']')) text = text.substr(0, colon);
  return text;
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// The segments of a path. More than eight: none of the addresses above.
struct address_segments {
  std::string_view at[8] = {};
  std::size_t count = 0;

  explicit address_segments(std::string_view path) noexcept {
    while (!path.empty()) {
      std::size_t const slash = path.find('/');
      if (count == 8) {
        count = 9;
        return;
      }
      at[count++] = path.substr(0, slash);
      path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    }
  }
  // Whether the segments from `from` on are these and no more.
  template <class... Words>
  [[nodiscard]] bool ends_with(std::size_t from, Words... words) const noexcept {
    if (count != from + sizeof...(words)) return false;
    return (iequals(at[from++], words) && ...);
  }
};

inline std::string decoded_id(std::string_view text) {
  auto plain = percent_decode(text);
  return plain ? std::move(*plain) : std::string{text};
}

inline amqp_place place_of_device(address_segments const& s, std::size_t from) noexcept {
  if (s.ends_with(from, "messages", "events")) return amqp_place::device_events;
  if (s.ends_with(from, "messages", "devicebound")) return amqp_place::device_c2d;
  if (s.ends_with(from, "methods", "devicebound")) return amqp_place::device_methods;
  if (s.ends_with(from, "twin")) return amqp_place::device_twin;
  return amqp_place::unknown;
}

inline void read_messages_address(address_segments const& s, amqp_address& into) noexcept {
  if (s.ends_with(1, "devicebound")) into.place = amqp_place::send_c2d;
  if (s.ends_with(1, "servicebound", "feedback")) into.place = amqp_place::feedback;
  // The second word is that of the documentation, the first is what the SDKs use.
  if (s.ends_with(1, "servicebound", "filenotifications") || s.ends_with(1, "servicebound", "fileuploadnotifications"))
    into.place = amqp_place::file_notifications;
  if (s.count >= 2 && iequals(s.at[1], "events")) {
    into.place = amqp_place::hub_events;
    std::size_t const prefix = std::string_view{"messages/events/"}.size();
    if (into.path.size() > prefix) into.rest = into.path.substr(prefix);
  }
}

}  // namespace detail

inline amqp_address parse_amqp_address(std::string_view text) {
  amqp_address a;
  a.path = path_of_address(text);
  detail::address_segments const s{a.path};
  if (s.count == 0 || s.count > 8) return a;
  if (iequals(s.at[0], "$cbs") && s.count == 1) {
    a.place = amqp_place::cbs;
  } else if (iequals(s.at[0], "devices") && s.count >= 3) {
    bool const module = s.count >= 5 && iequals(s.at[2], "modules");
    a.place = detail::place_of_device(s, module ? 4 : 2);
    if (a.of_device()) a.who = {detail::decoded_id(s.at[1]), module ? detail::decoded_id(s.at[3]) : std::string{}};
  } else if (iequals(s.at[0], "messages")) {
    detail::read_messages_address(s, a);
  } else if (iequals(s.at[s.count - 1], "$management") && s.count <= 2) {
    a.place = amqp_place::management;
    if (s.count == 2) a.entity = s.at[0];
  } else if (s.count == 5 && iequals(s.at[1], "consumergroups") && iequals(s.at[3], "partitions")) {
    a.place = amqp_place::events;
    a.entity = s.at[0];
    a.group = s.at[2];
    a.partition = s.at[4];
  }
  return a;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
