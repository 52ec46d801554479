// Bytes to control packets. Decoding gives views into the bytes. Every rule of the standard that can be seen in a
// single packet is checked here, and nowhere else; rules about who may send what and when are those of the sessions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/mqtt/packet.hpp>
#include <iothub/mqtt/topic_filter.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// Room for the filters of a decoded SUBSCRIBE or UNSUBSCRIBE, up to six times the size of the packet; empty otherwise.
struct filter_scratch {
  lean_vector<subscription> subscriptions = {};
  lean_vector<std::string_view> names = {};
};

enum class decode_status : std::uint8_t { complete, need_more, broken };
struct decoded {
  decode_status status = decode_status::need_more;
  std::size_t size = 0;  // complete: bytes used. need_more: bytes of the whole packet, 0 when not known yet
  violation rule = {};   // broken: which rule
};

// Decodes the first packet in `bytes`. A wrong first byte, a Remaining Length of more than four bytes and a packet
// above `max_packet_size` (fixed header included) are found before the packet is complete. `into` holds views into
// `bytes` and `scratch`. A CONNECT of another protocol level is decoded up to that level and no further.
decoded decode(byte_view bytes, std::size_t max_packet_size, packet& into, filter_scratch& scratch);

// ---------------------------------------------------------------------------------------------------------------------

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

inline violation decode_subscribe(byte_view body, subscribe& into, lean_vector<subscription>& filters) {
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

inline violation decode_unsubscribe(byte_view body, unsubscribe& into, lean_vector<std::string_view>& names) {
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
    case packet_type::unsubscribe: return decode_unsubscribe(body, become(into, type, into.unsubscribe), scratch.names);
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
