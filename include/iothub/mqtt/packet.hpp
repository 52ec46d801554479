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

struct subscribe {  // 3.8
  std::uint16_t id = 0;
  std::span<subscription const> filters = {};
};

inline constexpr std::uint8_t subscribe_failure = 0x80;  // 3.9.3

struct suback {  // 3.9: one code per filter, in the order of the filters
  std::uint16_t id = 0;
  std::span<std::uint8_t const> codes = {};
};

struct unsubscribe {  // 3.10
  std::uint16_t id = 0;
  std::span<std::string_view const> filters = {};
};

// Any control packet: `type` says which member holds. `id` is that of PUBACK, PUBREC, PUBREL, PUBCOMP and UNSUBACK;
// PINGREQ, PINGRESP and DISCONNECT have nothing but their type.
struct packet {
  packet() noexcept : type{packet_type::pingreq}, id{0} {}
  explicit packet(packet_type t, std::uint16_t packet_id = 0) noexcept : type{t}, id{packet_id} {}
  packet(mqtt::connect const& p) noexcept : type{packet_type::connect}, connect{p} {}              // NOLINT
  packet(mqtt::connack const& p) noexcept : type{packet_type::connack}, connack{p} {}              // NOLINT
  packet(mqtt::publish const& p) noexcept : type{packet_type::publish}, publish{p} {}              // NOLINT
  packet(mqtt::subscribe const& p) noexcept : type{packet_type::subscribe}, subscribe{p} {}        // NOLINT
  packet(mqtt::suback const& p) noexcept : type{packet_type::suback}, suback{p} {}                 // NOLINT
  packet(mqtt::unsubscribe const& p) noexcept : type{packet_type::unsubscribe}, unsubscribe{p} {}  // NOLINT

  packet_type type;
  union {
    mqtt::connect connect;
    mqtt::connack connack;
    mqtt::publish publish;
    mqtt::subscribe subscribe;
    mqtt::suback suback;
    mqtt::unsubscribe unsubscribe;
    std::uint16_t id;
  };
};

// A broken rule: the id of the standard's normative statement (or its section) and what was wrong. False: none broken.
class violation {
 public:
  constexpr violation() noexcept = default;
  constexpr violation(char const* what) noexcept : what_{what} {}  // NOLINT: a static sentence is a violation
  constexpr explicit operator bool() const noexcept { return what_ != nullptr; }
  [[nodiscard]] constexpr std::string_view what() const noexcept { return what_ ? what_ : std::string_view{}; }

 private:
  char const* what_ = nullptr;
};

enum class close_mode : std::uint8_t { graceful, abort };

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
