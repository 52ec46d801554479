// MQTT 3.1.1 control packets as values. Strings are views: into the receive buffer on the way in, into the caller's
// memory on the way out. Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace iothub {
inline namespace v0 {
namespace mqtt {

enum class packet_type : std::uint8_t {  // 2.2.1
  connect = 1,
  connack = 2,
  publish = 3,
  puback = 4,
  pubrec = 5,
  pubrel = 6,
  pubcomp = 7,
  subscribe = 8,
  suback = 9,
  unsubscribe = 10,
  unsuback = 11,
  pingreq = 12,
  pingresp = 13,
  disconnect = 14,
};

enum class connect_code : std::uint8_t {  // 3.2.2.3
  accepted = 0,
  bad_protocol_version = 1,
  identifier_rejected = 2,
  server_unavailable = 3,
  bad_credentials = 4,
  not_authorized = 5,
};

struct will {
  std::string_view topic = {};
  std::string_view payload = {};
  std::uint8_t qos = 0;
  bool retain = false;
  friend bool operator==(will const&, will const&) = default;
};

struct connect {  // 3.1
  std::string_view client_id = {};
  std::string_view username = {};
  std::string_view password = {};
  bool has_username = false;
  bool has_password = false;
  bool clean_session = false;
  bool has_will = false;
  std::uint8_t protocol_level = 4;
  std::uint16_t keep_alive = 0;  // seconds; 0 = off
  mqtt::will will = {};
  friend bool operator==(connect const&, connect const&) = default;
};

struct connack {  // 3.2
  bool session_present = false;
  connect_code code = connect_code::accepted;
  friend bool operator==(connack const&, connack const&) = default;
};

struct publish {  // 3.3
  std::string_view topic = {};
  std::string_view payload = {};
  std::uint16_t id = 0;  // 0 at QoS 0; ignored by mqtt_transport::publish, which chooses it
  std::uint8_t qos = 0;
  bool dup = false;
  bool retain = false;
  friend bool operator==(publish const&, publish const&) = default;
};

struct subscription {  // one entry of 3.8.3
  std::string_view filter = {};
  std::uint8_t qos = 0;
  friend bool operator==(subscription const&, subscription const&) = default;
};

inline constexpr std::uint8_t subscribe_failure = 0x80;  // 3.9.3

enum class close_mode : std::uint8_t { graceful, abort };

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
