// What a client session tells its owner.
#pragma once

#include <cstdint>
#include <span>

#include <iothub/base/error.hpp>
#include <iothub/mqtt/packet.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

enum class client_event_kind : std::uint8_t {
  connected,     // CONNACK 0; session_present holds
  refused,       // CONNACK 1 to 5; `code` holds; the connection is closed, no `closed` follows
  published,     // PUBACK for `id`
  subscribed,    // SUBACK for `id`; granted holds, one code per filter
  unsubscribed,  // UNSUBACK for `id`
  message,       // PUBLISH; `publish` holds; at QoS 1 the owner acknowledges publish.id
  closed,        // the connection ended without being asked to; `reason` holds
};

struct client_event {
  client_event_kind kind = client_event_kind::closed;
  bool session_present = false;
  connect_code code = connect_code::accepted;
  std::uint16_t id = 0;
  std::span<std::uint8_t const> granted = {};
  mqtt::publish publish = {};
  error reason = errc::connection_lost;
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
