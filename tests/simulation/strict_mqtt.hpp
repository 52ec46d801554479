// A second, strict decoder of what an MQTT 3.1.1 client and a hub may send, written from the standard alone: the
// witness that every byte the library emits is MQTT. It shares nothing with the library's codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iothub_test {

struct seen_packet {
  char const* wrong = nullptr;  // the rule that is broken
  int type = 0;
  bool dup = false, retain = false, session_present = false;
  int qos = 0, code = 0;
  std::uint16_t id = 0, keep_alive = 0;
  std::string_view topic, payload, client_id, user, password;
  std::vector<std::string_view> filters;
  std::vector<int> codes;
};

namespace strict {

class reader {
 public:
  explicit reader(std::string_view bytes) : rest_{bytes} {}
  unsigned byte() {
    if (rest_.empty()) return failed_ = true, 0u;
    auto const b = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    return b;
  }
  std::uint16_t two() {
    unsigned const high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }
  std::string_view text() {
    std::size_t const size = two();
    if (failed_ || rest_.size() < size) return failed_ = true, std::string_view{};
    auto const found = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return found;
  }
  std::string_view rest() {
    auto const all = rest_;
    rest_ = {};
    return all;
  }
  bool empty() const { return rest_.empty(); }
  bool failed() const { return failed_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

// Well-formed, and without U+0000 (1.5.3-1, 1.5.3-2).
inline bool utf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    auto const c = static_cast<unsigned char>(s[i]);
    int const more = c < 0x80 ? 0 : c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : -1;
    if (c == 0 || more < 0 || i + static_cast<std::size_t>(more) >= s.size()) return false;
    std::uint32_t point = more == 0 ? c : c & (0x3fu >> more);
    for (int k = 1; k <= more; ++k) {
      auto const d = static_cast<unsigned char>(s[i + static_cast<std::size_t>(k)]);
      if ((d & 0xc0) != 0x80) return false;
      point = point << 6 | (d & 0x3f);
    }
    if ((more == 2 && point < 0x800) || (more == 3 && (point < 0x10000 || point > 0x10ffff))) return false;
    if (point >= 0xd800 && point <= 0xdfff) return false;
    i += 1 + static_cast<std::size_t>(more);
  }
  return true;
}

}  // namespace strict

enum class sender : unsigned char { client, hub, anybody };

// One whole packet. What is in an answer of a hub, and who may send what, is not judged where anybody may have sent it.
inline seen_packet read_packet(std::string_view bytes, sender from) {
  bool const known = from != sender::anybody;
  seen_packet p;
  auto const wrong = [&p](char const* rule) { return p.wrong = rule, p; };
  if (bytes.size() < 2) return wrong("2.2: no packet");
  auto const head = static_cast<unsigned char>(bytes[0]);
  std::size_t length = 0, at = 1;
  for (int shift = 0;; shift += 7, ++at) {
    if (at == 5 || at >= bytes.size()) return wrong("2.2.3: the length has more than four bytes");
    auto const b = static_cast<unsigned char>(bytes[at]);
    length |= static_cast<std::size_t>(b & 127) << shift;
    if ((b & 128) == 0) {
      if (at > 1 && b == 0) return wrong("2.2.3: the length is longer than it needs to be");
      break;
    }
  }
  ++at;
  if (bytes.size() != at + length) return wrong("2.2.3: the length is not that of the packet");
  strict::reader in{bytes.substr(at)};
  p.type = head >> 4;
  unsigned const flags = head & 15u;
  unsigned const due = p.type == 6 || p.type == 8 || p.type == 10 ? 2 : 0;
  if (p.type != 3 && flags != due) return wrong("MQTT-2.2.2-1: flags");
  switch (p.type) {
    case 1: {
      if (in.text() != "MQTT" || in.byte() != 4) return wrong("MQTT-3.1.2-1: protocol name or level");
      unsigned const f = in.byte();
      p.keep_alive = in.two();
      p.client_id = in.text();
      if ((f & 1) != 0) return wrong("MQTT-3.1.2-3: the reserved flag");
      if ((f & 4) == 0 && (f & 0x38) != 0) return wrong("MQTT-3.1.2-11: will flags without a will");
      if ((f & 4) != 0) in.text(), in.text();
      if ((f & 0x80) == 0 && (f & 0x40) != 0) return wrong("MQTT-3.1.2-22: a password without a user name");
      if ((f & 0x80) != 0) p.user = in.text();
      if ((f & 0x40) != 0) p.password = in.text();
      if (!strict::utf8(p.client_id) || !strict::utf8(p.user)) return wrong("MQTT-1.5.3-1: UTF-8");
      if (p.client_id.empty() && (f & 2) == 0) return wrong("MQTT-3.1.3-7: no client id");
      break;
    }
    case 2: {
      unsigned const f = in.byte();
      p.session_present = f == 1;
      p.code = static_cast<int>(in.byte());
      if (!known) break;
      if (f > 1) return wrong("3.2.2.1: reserved flags of CONNACK");
      if (p.code > 5) return wrong("3.2.2.3: a reserved return code");
      if (p.code != 0 && p.session_present) return wrong("MQTT-3.2.2-4: a refusal with a session");
      break;
    }
    case 3:
      p.dup = (flags & 8) != 0;
      p.qos = static_cast<int>(flags >> 1 & 3);
      p.retain = (flags & 1) != 0;
      if (p.qos == 3) return wrong("MQTT-3.3.1-4: QoS 3");
      if (p.qos == 0 && p.dup) return wrong("MQTT-3.3.1-2: DUP at QoS 0");
      p.topic = in.text();
      if (p.topic.empty() || !strict::utf8(p.topic)) return wrong("MQTT-3.3.2-1: the topic");
      if (p.topic.find_first_of("+#") != std::string_view::npos) return wrong("MQTT-3.3.2-2: a wildcard in a topic");
      if (p.qos != 0 && (p.id = in.two()) == 0) return wrong("MQTT-2.3.1-1: packet id 0");
      p.payload = in.rest();
      break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 11:
      if ((p.id = in.two()) == 0 && known) return wrong("MQTT-2.3.1-1: packet id 0");
      break;
    case 8:
    case 10:
      if ((p.id = in.two()) == 0) return wrong("MQTT-2.3.1-1: packet id 0");
      if (in.empty()) return wrong("MQTT-3.8.3-3: no filter");
      while (!in.empty() && !in.failed()) {
        p.filters.push_back(in.text());
        if (p.filters.back().empty() || !strict::utf8(p.filters.back())) return wrong("MQTT-3.8.3-1: a filter");
        if (p.type == 8 && in.byte() > 2) return wrong("MQTT-3.8.3-4: reserved bits of the QoS");
      }
      break;
    case 9:
      if ((p.id = in.two()) == 0 && known) return wrong("MQTT-2.3.1-1: packet id 0");
      while (!in.empty()) {
        p.codes.push_back(static_cast<int>(in.byte()));
        if (known && p.codes.back() > 2 && p.codes.back() != 0x80) return wrong("MQTT-3.9.3-2: a reserved return code");
      }
      break;
    case 12:
    case 13:
    case 14: break;
    default: return wrong("2.2.1: a reserved type");
  }
  if (in.failed() || !in.empty()) return wrong("the packet is shorter or longer than what it holds");
  bool const client_sends = p.type == 1 || p.type == 3 || p.type == 4 || p.type == 8 || p.type == 10 || p.type == 12 ||
      p.type == 14;
  if (from == sender::client && !client_sends) return wrong("a packet that this client never sends");
  bool const hub_sends = p.type == 2 || p.type == 3 || p.type == 4 || p.type == 9 || p.type == 11 || p.type == 13;
  if (from == sender::hub && !hub_sends) return wrong("a packet that the hub never sends");
  return p;
}

}  // namespace iothub_test
