// Control packets to bytes and back. Encoding appends to a byte_buffer and allocates nothing beyond it; decoding gives
// views into the bytes. Every rule of the standard that can be seen in a single packet is checked here, and nowhere
// else; rules about who may send what and when are those of the sessions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <vector>

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

// Room for the filters of a decoded SUBSCRIBE or UNSUBSCRIBE, up to six times the size of the packet; empty otherwise.
struct filter_scratch {
  std::vector<subscription> subscriptions = {};
  std::vector<std::string_view> names = {};
};

enum class decode_status : std::uint8_t { complete, need_more, broken };
struct decoded {
  decode_status status = decode_status::need_more;
  std::size_t size = 0;    // complete: bytes used. need_more: bytes of the whole packet, 0 when not known yet
  violation rule = {};     // broken: which rule
};

// Decodes the first packet in `bytes`. A wrong first byte, a Remaining Length of more than four bytes and a packet
// above `max_packet_size` (fixed header included) are found before the packet is complete. `into` holds views into
// `bytes` and `scratch`. A CONNECT of another protocol level is decoded up to that level and no further.
decoded decode(byte_view bytes, std::size_t max_packet_size, packet& into, filter_scratch& scratch);

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
inline char* put_string(char* at, std::string_view text) noexcept { return put_bytes(put_u16(at, text.size()), text); }
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

namespace detail {

// Takes fields off the front of a packet's body; false means that the body ends before.
struct field_reader {
  byte_view left;

  bool u8(std::uint8_t& value) noexcept {
    if (left.empty()) return false;
    value = static_cast<std::uint8_t>(left[0]);
    left.remove_prefix(1);
    return true;
  }
  bool u16(std::uint16_t& value) noexcept {
    if (left.size() < 2) return false;
    value = static_cast<std::uint16_t>(static_cast<unsigned char>(left[0]) << 8 | static_cast<unsigned char>(left[1]));
    left.remove_prefix(2);
    return true;
  }
  bool string(std::string_view& value) noexcept {
    std::uint16_t size = 0;
    if (!u16(size) || left.size() < size) return false;
    value = left.substr(0, size);
    left.remove_prefix(size);
    return true;
  }
};

inline violation decode_connect_flags(std::uint8_t flags, connect& into) noexcept {
  if (flags & 0x01) return "MQTT-3.1.2-3: the reserved connect flag is set";
  into.clean_session = flags & 0x02;
  into.has_will = flags & 0x04;
  into.will.qos = static_cast<std::uint8_t>(flags >> 3 & 3);
  into.will.retain = flags & 0x20;
  into.has_password = flags & 0x40;
  into.has_username = flags & 0x80;
  if (!into.has_will && into.will.qos != 0) return "MQTT-3.1.2-13: a Will QoS without a Will";
  if (!into.has_will && into.will.retain) return "MQTT-3.1.2-15: Will retain without a Will";
  if (into.will.qos == 3) return "MQTT-3.1.2-14: the Will QoS is 3";
  if (into.has_password && !into.has_username) return "MQTT-3.1.2-22: a password without a user name";
  return {};
}

inline violation decode_connect(byte_view body, connect& into) noexcept {
  field_reader in{body};
  std::string_view name;
  std::uint8_t flags = 0;
  if (!in.string(name)) return "MQTT-3.1.4-1: CONNECT ends inside its protocol name";
  if (name != "MQTT") return "MQTT-3.1.2-1: the protocol name is not MQTT";
  if (!in.u8(into.protocol_level)) return "MQTT-3.1.4-1: CONNECT ends before its protocol level";
  if (into.protocol_level != 4) return {};
  if (!in.u8(flags)) return "MQTT-3.1.4-1: CONNECT ends before its flags";
  if (violation const bad = decode_connect_flags(flags, into)) return bad;
  if (!in.u16(into.keep_alive)) return "MQTT-3.1.4-1: CONNECT ends before its keep-alive";
  if (!in.string(into.client_id)) return "MQTT-3.1.3-3: CONNECT has no whole client id";
  if (violation const bad = check_string(into.client_id)) return bad;
  if (into.has_will) {
    if (!in.string(into.will.topic) || !in.string(into.will.payload))
      return "MQTT-3.1.2-9: CONNECT has a Will flag and no whole Will";
    if (violation const bad = check_topic_name(into.will.topic)) return bad;
  }
  if (into.has_username) {
    if (!in.string(into.username)) return "MQTT-3.1.2-19: CONNECT has a user name flag and no whole user name";
    if (violation const bad = check_string(into.username)) return bad;
  }
  if (into.has_password && !in.string(into.password))
    return "MQTT-3.1.2-21: CONNECT has a password flag and no whole password";
  if (!in.left.empty())
    return "MQTT-3.1.4-1: CONNECT has bytes after its last field (fields without their flag: MQTT-3.1.2-18, 3.1.2-20)";
  return {};
}

inline violation decode_connack(byte_view body, connack& into) noexcept {
  if (body.size() != 2) return "MQTT-4.8.0-1: the length of CONNACK is not 2";
  auto const flags = static_cast<unsigned char>(body[0]);
  auto const code = static_cast<unsigned char>(body[1]);
  if (flags > 1) return "3.2.2.1: reserved flags are set in CONNACK";
  if (code > 5) return "3.2.2.3: the return code of CONNACK is a reserved one";
  into.session_present = flags != 0;
  into.code = static_cast<connect_code>(code);
  return {};
}

inline violation decode_publish(unsigned flags, byte_view body, publish& into) noexcept {
  field_reader in{body};
  into.dup = (flags & 8) != 0;
  into.qos = static_cast<std::uint8_t>(flags >> 1 & 3);
  into.retain = (flags & 1) != 0;
  if (!in.string(into.topic)) return "MQTT-3.3.2-1: PUBLISH has no whole topic name";
  if (into.qos != 0) {
    if (into.qos == 3) return "MQTT-3.3.1-4: the QoS of PUBLISH is 3";
    if (!in.u16(into.id) || into.id == 0) return "MQTT-2.3.1-1: PUBLISH above QoS 0 has no packet id";
  } else {
    if (into.dup) return "MQTT-3.3.1-2: PUBLISH at QoS 0 has DUP set";
    into.id = 0;
  }
  into.payload = in.left;
  return check_topic_name(into.topic);
}

inline violation decode_subscribe(byte_view body, subscribe& into, std::vector<subscription>& filters) {
  field_reader in{body};
  if (!in.u16(into.id) || into.id == 0) return "MQTT-2.3.1-1: SUBSCRIBE has no packet id";
  filters.clear();
  while (!in.left.empty()) {
    subscription entry;
    if (!in.string(entry.filter)) return "MQTT-3.8.3-1: SUBSCRIBE ends inside a topic filter";
    if (!in.u8(entry.qos)) return "MQTT-3.8.3-3: SUBSCRIBE has a topic filter without its QoS";
    if (entry.qos > 2) return "MQTT-3.8.3-4: a requested QoS is 3 or has reserved bits set";
    if (violation const bad = check_topic_filter(entry.filter)) return bad;
    filters.push_back(entry);
  }
  if (filters.empty()) return "MQTT-3.8.3-3: SUBSCRIBE has no topic filter";
  into.filters = filters;
  return {};
}

inline violation decode_unsubscribe(byte_view body, unsubscribe& into, std::vector<std::string_view>& names) {
  field_reader in{body};
  if (!in.u16(into.id) || into.id == 0) return "MQTT-2.3.1-1: UNSUBSCRIBE has no packet id";
  names.clear();
  while (!in.left.empty()) {
    std::string_view name;
    if (!in.string(name)) return "MQTT-3.10.3-1: UNSUBSCRIBE ends inside a topic filter";
    if (violation const bad = check_topic_filter(name)) return bad;
    names.push_back(name);
  }
  if (names.empty()) return "MQTT-3.10.3-2: UNSUBSCRIBE has no topic filter";
  into.filters = names;
  return {};
}

inline violation decode_suback(byte_view body, suback& into) noexcept {
  field_reader in{body};
  if (!in.u16(into.id) || into.id == 0) return "MQTT-2.3.1-7: SUBACK has no packet id";
  if (in.left.empty()) return "MQTT-3.8.4-5: SUBACK has no return code";
  into.codes = {reinterpret_cast<std::uint8_t const*>(in.left.data()), in.left.size()};
  for (std::uint8_t const code : into.codes)
    if (code > 2 && code != subscribe_failure) return "MQTT-3.9.3-2: a return code of SUBACK is none of 0, 1, 2, 0x80";
  return {};
}

inline violation decode_id(byte_view body, std::uint16_t& into) noexcept {
  field_reader in{body};
  if (body.size() != 2) return "MQTT-4.8.0-1: the length of an acknowledgement is not 2";
  if (!in.u16(into) || into == 0) return "MQTT-2.3.1-1: the packet id of an acknowledgement is 0";
  return {};
}

template <class T>
T& become(packet& into, packet_type type, T& member) noexcept {
  into.type = type;
  return *::new (static_cast<void*>(&member)) T{};
}

inline violation decode_body(unsigned first, byte_view body, packet& into, filter_scratch& scratch) {
  auto const type = static_cast<packet_type>(first >> 4);
  switch (type) {
    case packet_type::publish: return decode_publish(first & 15, body, become(into, type, into.publish));
    case packet_type::connect: return decode_connect(body, become(into, type, into.connect));
    case packet_type::connack: return decode_connack(body, become(into, type, into.connack));
    case packet_type::subscribe:
      return decode_subscribe(body, become(into, type, into.subscribe), scratch.subscriptions);
    case packet_type::unsubscribe:
      return decode_unsubscribe(body, become(into, type, into.unsubscribe), scratch.names);
    case packet_type::suback: return decode_suback(body, become(into, type, into.suback));
    case packet_type::puback:
    case packet_type::pubrec:
    case packet_type::pubrel:
    case packet_type::pubcomp:
    case packet_type::unsuback: return decode_id(body, become(into, type, into.id));
    default:
      become(into, type, into.id);
      if (!body.empty()) return "MQTT-4.8.0-1: PINGREQ, PINGRESP or DISCONNECT with a body";
      return {};
  }
}

// Table 2.2: a bit per legal first byte of each type, PUBLISH apart.
inline violation check_first_byte(unsigned first) noexcept {
  unsigned const type = first >> 4;
  unsigned const flags = first & 15;
  if (type == 3) return {};
  if (type == 0 || type == 15) return "MQTT-4.8.0-1: a reserved packet type";
  unsigned const expected = type == 6 || type == 8 || type == 10 ? 2 : 0;
  if (flags == expected) return {};
  switch (type) {
    case 6: return "MQTT-3.6.1-1: wrong flags in the fixed header of PUBREL";
    case 8: return "MQTT-3.8.1-1: wrong flags in the fixed header of SUBSCRIBE";
    case 10: return "MQTT-3.10.1-1: wrong flags in the fixed header of UNSUBSCRIBE";
    case 14: return "MQTT-3.14.1-1: wrong flags in the fixed header of DISCONNECT";
    default: return "MQTT-2.2.2-2: wrong flags in the fixed header";
  }
}

}  // namespace detail

inline decoded decode(byte_view bytes, std::size_t max_packet_size, packet& into, filter_scratch& scratch) {
  if (bytes.empty()) return {};
  auto const first = static_cast<unsigned char>(bytes[0]);
  if (violation const bad = detail::check_first_byte(first)) return {decode_status::broken, 0, bad};
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (shift == 28) return {decode_status::broken, 0, "2.2.3: Remaining Length has more than four bytes"};
    if (at == bytes.size()) return {};
    auto const byte = static_cast<unsigned char>(bytes[at++]);
    length |= static_cast<std::size_t>(byte & 127) << shift;
    if (byte < 128) break;
  }
  if (at + length > max_packet_size)
    return {decode_status::broken, 0, "2.2.3: the packet is longer than this side accepts"};
  if (bytes.size() - at < length) return {decode_status::need_more, at + length, {}};
  violation const bad = detail::decode_body(first, bytes.substr(at, length), into, scratch);
  if (bad) return {decode_status::broken, 0, bad};
  return {decode_status::complete, at + length, {}};
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
