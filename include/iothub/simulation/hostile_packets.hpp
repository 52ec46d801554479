// What a hub that is broken or hostile sends to a client over MQTT, byte for byte: all of
// tests/data/mqtt_server_to_client.json is here, and a test compares the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace iothub {
inline namespace v0 {
namespace sim {

namespace detail {
using namespace std::string_view_literals;

// To a client that is connected, which has to end the connection (OASIS MQTT 3.1.1, sections 2.2.2, 2.2.3, 3, 4.8).
inline constexpr std::string_view illegal_packets[] = {
      "\x00\x00"sv,                  // type 0
      "\xf0\x00"sv,                  // type 15
      "\x20\x02\x00\x00"sv,          // a second CONNACK
      "\x21\x02\x00\x00"sv,          // CONNACK with a flag
      "\x30\xff\xff\xff\xff\x01"sv,  // a length of five bytes
      "\x30\x00"sv,                  // PUBLISH without a topic
      "\x32\x05\x00\x01\x61\x00\x00"sv,  // PUBLISH at QoS 1 with the packet id 0
      "\x36\x05\x00\x01\x61\x00\x01"sv,  // PUBLISH at QoS 3
      "\x30\x04\x00\x01\x23\x78"sv,  // PUBLISH with # in the topic
      "\x30\x05\x00\x02\xc0\x80\x78"sv,  // PUBLISH with a topic that is no UTF-8
      "\x30\x03\x00\x09\x61"sv,      // PUBLISH with a topic longer than the packet
      "\x40\x01\x00"sv,              // PUBACK of one byte
      "\x90\x02\x00\x01"sv,          // SUBACK without a code
      "\x90\x03\x00\x01\x07"sv,      // SUBACK with a code that is none
      "\xd0\x01\x00"sv,              // PINGRESP with a body
      "\xd4\x00"sv,                  // PINGRESP with a flag
      "\xc0\x00"sv,                  // PINGREQ
      "\xe0\x00"sv,                  // DISCONNECT
      "\x82\x06\x00\x01\x00\x01\x61\x00"sv,  // SUBSCRIBE
      "\x10\x02\x00\x00"sv,          // CONNECT
      "\x50\x02\x00\x01"sv,          // PUBREC
      "\x34\x05\x00\x01\x61\x00\x01"sv,  // PUBLISH at QoS 2
      "\x38\x04\x00\x01\x61\x78"sv,  // PUBLISH at QoS 0 with DUP
      "\x7f\x00"sv,                  // PUBCOMP with flags, empty
      "\x36\x07\x00\x01\x74\x00\x01\x6f\x6b"sv,  // publish qos3
      "\x30\x07\xff\xff\x41\x42\x43\x44\x45"sv,  // publish topic longer than packet
      "\x30\x05\x00\x04\x61\x62\x63"sv,  // publish topic one too long
      "\x32\x03\x00\x01\x74"sv,  // publish qos1 no id
      "\x32\x04\x00\x01\x74\x00"sv,  // publish qos1 half id
      "\x30\x07\x00\x03\x74\x2f\x23\x6f\x6b"sv,  // publish wildcard #
      "\x30\x05\x00\x01\x2b\x6f\x6b"sv,  // publish wildcard +
      "\x30\x06\x00\x02\x74\x00\x6f\x6b"sv,  // publish NUL topic
      "\x30\x08\x00\x04\x74\xed\xa0\x80\x6f\x6b"sv,  // publish surrogate
      // length all continuation
      "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv,
      "\x90\x00"sv,  // suback empty
      "\xb0\x00"sv,  // unsuback empty
      "\xd1\x00"sv,  // pingresp flags
      "\x10\x0e\x00\x04\x4d\x51\x54\x54\x04\x02\x00\x3c\x00\x02\x63\x31"sv,  // client packet connect from a server
      "\xa2\x05\x00\x01\x00\x01\x61"sv,  // client packet unsubscribe from a server
      "\x60\x02\x00\x01"sv,  // pubrel flags 0000
      // A client may wait for the rest, or live with it; this one does not.
      "\x30\xff\xff\xff\x7f\x00\x01\x74"sv,  // publish 268435455 declared
      "\x50\x02\x00\x63"sv,  // pubrec unknown
};

// The same, behind its SUBACK; it lives with it.
inline constexpr std::string_view unexpected_packets[] = {
      "\x30\x05\x00\x01\x74\x6f\x6b"sv,  // publish qos0
      "\x32\x07\x00\x01\x74\x00\x0a\x6f\x6b"sv,  // publish qos1
      "\x31\x05\x00\x01\x74\x6f\x6b"sv,  // publish retain
      "\x30\x03\x00\x01\x74"sv,  // publish empty payload
      "\x40\x02\x77\x77"sv,  // puback unknown
      "\x90\x03\x77\x77\x00"sv,  // suback unknown
      "\x90\x0a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"sv,  // suback too many codes
      "\xd0\x00"sv,  // pingresp unasked
      // ten publishes in one write
      "\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00"
       "\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f"
       "\x6b\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f\x6b\x30\x05\x00\x01\x74\x6f\x6b"sv,
      "\x30\x05\x00\x01\x74\x6f\x6b"sv,  // byte by byte publish: the last, one byte a read
};

// In place of CONNACK; nothing: the connection ends.
inline constexpr std::string_view wrong_connacks[] = {
      "\x20\x02\x00\x00"sv,  // connack ok
      "\x20\x02\x01\x00"sv,  // connack session present on clean session
      "\x20\x02\x00\x02"sv,  // connack 2
      "\x20\x02\x00\x04"sv,  // connack 4
      "\x20\x02\x00\x06"sv,  // connack reserved code 6
      "\x20\x02\x01\x05"sv,  // connack session present with refusal
      "\x20\x01\x00"sv,  // connack short
      "\x20\x00"sv,  // connack empty
      "\x20\x03\x00\x00\x00"sv,  // connack long
      "\x21\x02\x00\x00"sv,  // connack flags
      "\x30\x04\x00\x01\x74\x78"sv,  // publish before connack
      "\xd0\x00"sv,  // pingresp before connack
      ""sv,  // close before connack
      // length all continuation before connack
      "\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"
       "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"
       "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"sv,
};
}  // namespace detail

[[nodiscard]] constexpr std::string_view illegal_packet(std::uint64_t which) noexcept {
  return detail::illegal_packets[which % std::size(detail::illegal_packets)];
}
struct unexpected {
  std::string_view bytes;
  bool one_by_one;
};
[[nodiscard]] constexpr unexpected unexpected_packet(std::uint64_t which) noexcept {
  auto const at = static_cast<std::size_t>(which % std::size(detail::unexpected_packets));
  return {detail::unexpected_packets[at], at + 1 == std::size(detail::unexpected_packets)};
}
[[nodiscard]] constexpr std::string_view wrong_connack(std::uint64_t which) noexcept {
  return detail::wrong_connacks[which % std::size(detail::wrong_connacks)];
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
