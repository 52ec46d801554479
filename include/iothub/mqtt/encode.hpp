// Control packets to bytes. Encoding appends to a byte_buffer and allocates nothing beyond it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/mqtt/packet.hpp>
#include <iothub/mqtt/topic_filter.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// Appends the packet. The fields must be valid: check_connect(), check_topic_name(), check_topic_filter(), ids that are
// not 0 where there is one.
void encode(mqtt::publish const& what, byte_buffer& out);
void encode(packet const& what, byte_buffer& out);

// Everything a CONNECT may break before it is encoded: lengths, UTF-8, Will topic, password without user name
// (MQTT-3.1.2-22), empty client id without clean session (MQTT-3.1.3-7).
violation check_connect(mqtt::connect const& what) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline char* put_byte(char* at, unsigned value) noexcept {
  *at = static_cast<char>(value);
  return at + 1;
}
inline char* put_u16(char* at, std::size_t value) noexcept {
  return put_byte(put_byte(at, static_cast<unsigned>(value >> 8)), static_cast<unsigned>(value & 0xFF));
}
inline char* put_bytes(char* at, std::string_view bytes) noexcept {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}
inline char* put_string(char* at, std::string_view text) noexcept {
  return put_bytes(put_u16(at, text.size()), text);
}
// 2.2.3: seven bits a byte, least significant first, the high bit says that one more follows.
inline char* put_length(char* at, std::size_t length) noexcept {
  while (length > 127) {
    at = put_byte(at, static_cast<unsigned>(length & 127) | 128);
    length >>= 7;
  }
  return put_byte(at, static_cast<unsigned>(length));
}
// The fixed header of a packet whose body has `length` bytes; room for the body follows.
inline char* put_header(byte_buffer& out, unsigned first, std::size_t length) {
  IOTHUB_ASSERT(length <= max_remaining_length);
  return put_length(put_byte(out.prepare(length + 5).data(), first), length);
}
inline void commit_until(byte_buffer& out, char const* end) noexcept {
  out.commit(static_cast<std::size_t>(end - (out.view().data() + out.size())));
}
constexpr unsigned first_byte(packet_type type, unsigned flags = 0) noexcept {
  return static_cast<unsigned>(type) << 4 | flags;
}

inline void encode_connect(connect const& what, byte_buffer& out) {
  std::size_t length = 10 + 2 + what.client_id.size();
  unsigned flags = what.clean_session ? 0x02 : 0;
  if (what.has_will) {
    length += 4 + what.will.topic.size() + what.will.payload.size();
    flags |= 0x04u | static_cast<unsigned>(what.will.qos) << 3 | (what.will.retain ? 0x20u : 0u);
  }
  if (what.has_username) {
    length += 2 + what.username.size();
    flags |= 0x80;
  }
  if (what.has_password) {
    length += 2 + what.password.size();
    flags |= 0x40;
  }
  char* at = put_header(out, first_byte(packet_type::connect), length);
  at = put_string(at, "MQTT");
  at = put_byte(at, what.protocol_level);
  at = put_byte(at, flags);
  at = put_u16(at, what.keep_alive);
  at = put_string(at, what.client_id);  // the order of the payload: MQTT-3.1.3-1
  if (what.has_will) at = put_string(put_string(at, what.will.topic), what.will.payload);
  if (what.has_username) at = put_string(at, what.username);
  if (what.has_password) at = put_string(at, what.password);
  commit_until(out, at);
}

inline void encode_subscribe(subscribe const& what, byte_buffer& out) {
  std::size_t length = 2;
  for (subscription const& entry : what.filters) length += 3 + entry.filter.size();
  char* at = put_header(out, first_byte(packet_type::subscribe, 2), length);
  at = put_u16(at, what.id);
  for (subscription const& entry : what.filters) at = put_byte(put_string(at, entry.filter), entry.qos);
  commit_until(out, at);
}

inline void encode_unsubscribe(unsubscribe const& what, byte_buffer& out) {
  std::size_t length = 2;
  for (std::string_view const name : what.filters) length += 2 + name.size();
  char* at = put_header(out, first_byte(packet_type::unsubscribe, 2), length);
  at = put_u16(at, what.id);
  for (std::string_view const name : what.filters) at = put_string(at, name);
  commit_until(out, at);
}

inline void encode_suback(suback const& what, byte_buffer& out) {
  char* at = put_header(out, first_byte(packet_type::suback), 2 + what.codes.size());
  at = put_u16(at, what.id);
  for (std::uint8_t const code : what.codes) at = put_byte(at, code);
  commit_until(out, at);
}

inline void encode_short(unsigned first, byte_view body, byte_buffer& out) {
  commit_until(out, put_bytes(put_header(out, first, body.size()), body));
}

}  // namespace detail

inline void encode(mqtt::publish const& what, byte_buffer& out) {
  IOTHUB_ASSERT(what.topic.size() <= 65535 && what.qos <= 2 && (what.qos != 0) == (what.id != 0));
  std::size_t const length = 2 + what.topic.size() + (what.qos != 0 ? 2 : 0) + what.payload.size();
  unsigned const flags = (what.dup ? 8u : 0u) | static_cast<unsigned>(what.qos) << 1 | (what.retain ? 1u : 0u);
  char* at = detail::put_header(out, detail::first_byte(packet_type::publish, flags), length);
  at = detail::put_string(at, what.topic);
  if (what.qos != 0) at = detail::put_u16(at, what.id);  // MQTT-2.3.1-5: none at QoS 0
  detail::commit_until(out, detail::put_bytes(at, what.payload));
}

inline void encode(packet const& what, byte_buffer& out) {
  switch (what.type) {
    case packet_type::connect: return detail::encode_connect(what.connect, out);
    case packet_type::publish: return encode(what.publish, out);
    case packet_type::subscribe: return detail::encode_subscribe(what.subscribe, out);
    case packet_type::unsubscribe: return detail::encode_unsubscribe(what.unsubscribe, out);
    case packet_type::suback: return detail::encode_suback(what.suback, out);
    case packet_type::connack: {
      char const body[] = {what.connack.session_present ? '\1' : '\0', static_cast<char>(what.connack.code)};
      return detail::encode_short(detail::first_byte(what.type), {body, 2}, out);
    }
    case packet_type::puback:
    case packet_type::pubrec:
    case packet_type::pubrel:
    case packet_type::pubcomp:
    case packet_type::unsuback: {
      char const body[] = {static_cast<char>(what.id >> 8), static_cast<char>(what.id & 0xFF)};
      unsigned const flags = what.type == packet_type::pubrel ? 2 : 0;
      return detail::encode_short(detail::first_byte(what.type, flags), {body, 2}, out);
    }
    case packet_type::pingreq:
    case packet_type::pingresp:
    case packet_type::disconnect: return detail::encode_short(detail::first_byte(what.type), {}, out);
  }
}

inline violation check_connect(connect const& what) noexcept {
  if (violation const bad = check_string(what.client_id)) return bad;
  if (what.client_id.empty() && !what.clean_session) return "MQTT-3.1.3-7: an empty client id needs a clean session";
  if (what.has_will) {
    if (violation const bad = check_topic_name(what.will.topic)) return bad;
    if (what.will.payload.size() > 65535) return "3.1.3.3: a Will message is longer than 65535 bytes";
    if (what.will.qos > 2) return "MQTT-3.1.2-14: the Will QoS is 3";
  }
  if (what.has_username)
    if (violation const bad = check_string(what.username)) return bad;
  if (what.has_password && !what.has_username) return "MQTT-3.1.2-22: a password without a user name";
  if (what.has_password && what.password.size() > 65535) return "3.1.3.5: a password is longer than 65535 bytes";
  return {};
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
