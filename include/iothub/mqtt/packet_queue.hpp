// Packets of a server on their way to a client that are not bytes: a first-in-first-out queue of values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/mqtt/packet.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// One buffer holds them all: a head and, for PUBLISH and SUBACK, the bytes that belong to it. Empty it owns at most 512
// bytes. Holds what a server sends: CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP.
class packet_queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.size(); }

  void push(packet const& what) {
    head h{what.type, 0, false, 0, 0, 0};
    byte_view first;
    byte_view second;
    switch (what.type) {
      case packet_type::connack:
        h.small = static_cast<std::uint8_t>(what.connack.code);
        h.flag = what.connack.session_present;
        break;
      case packet_type::publish:
        h.small = static_cast<std::uint8_t>(what.publish.qos | (what.publish.dup ? 4 : 0));
        h.flag = what.publish.retain;
        h.id = what.publish.id;
        first = what.publish.topic;
        second = what.publish.payload;
        break;
      case packet_type::suback:
        h.id = what.suback.id;
        first = {reinterpret_cast<char const*>(what.suback.codes.data()), what.suback.codes.size()};
        break;
      default:
        IOTHUB_ASSERT(what.type == packet_type::puback || what.type == packet_type::unsuback ||
                      what.type == packet_type::pingresp);
        h.id = what.id;
    }
    h.first = static_cast<std::uint32_t>(first.size());
    h.second = static_cast<std::uint32_t>(second.size());
    std::size_t const size = sizeof h + first.size() + second.size();
    char* at = bytes_.prepare(size).data();
    std::memcpy(at, &h, sizeof h);
    if (!first.empty()) std::memcpy(at + sizeof h, first.data(), first.size());
    if (!second.empty()) std::memcpy(at + sizeof h + first.size(), second.data(), second.size());
    bytes_.commit(size);
  }
  // The oldest; its views hold until pop() or push().
  [[nodiscard]] packet front() const noexcept {
    head const h = front_head();
    byte_view const first = bytes_.view().substr(sizeof h, h.first);
    switch (h.type) {
      case packet_type::connack: return connack{h.flag, static_cast<connect_code>(h.small)};
      case packet_type::publish: {
        publish message;
        message.topic = first;
        message.payload = bytes_.view().substr(sizeof h + h.first, h.second);
        message.id = h.id;
        message.qos = h.small & 3;
        message.dup = (h.small & 4) != 0;
        message.retain = h.flag;
        return message;
      }
      case packet_type::suback:
        return suback{h.id, {reinterpret_cast<std::uint8_t const*>(first.data()), first.size()}};
      default: return packet{h.type, h.id};
    }
  }
  void pop() noexcept {
    head const h = front_head();
    bytes_.consume(sizeof h + h.first + h.second);
    bytes_.shrink(512);
  }
  void clear() noexcept {
    bytes_.clear();
    bytes_.shrink();
  }

 private:
  struct head {
    packet_type type;
    std::uint8_t small;
    bool flag;
    std::uint16_t id;
    std::uint32_t first;
    std::uint32_t second;
  };
  [[nodiscard]] head front_head() const noexcept {
    head h;
    std::memcpy(&h, bytes_.view().data(), sizeof h);
    return h;
  }

  byte_buffer bytes_;
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
