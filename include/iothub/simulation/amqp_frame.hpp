// Frames of AMQP 1.0 as an onlooker reads them: cut out of a stream of bytes, with the fields of their performative.
//
// Written from the standard alone (OASIS AMQP 1.0, Part 1 section 1.6 and Part 2 section 2.3), by code that has nothing
// in common with the library's codec: a second pair of eyes, for the simulation's faults and for its judges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// How long the encoded value at the front of the bytes is; 0: it is none, or not all of it is there.
[[nodiscard]] inline std::size_t amqp_value_size(byte_view bytes, int depth = 0) noexcept {
  if (bytes.empty() || depth > 16) return 0;
  auto const at = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  auto const whole = [&](std::size_t size) { return size <= bytes.size() ? size : 0; };
  switch (at(0) >> 4) {
    case 0x0: {  // described: a descriptor and a value
      if (at(0) != 0) return 0;
      std::size_t const name = amqp_value_size(bytes.substr(1), depth + 1);
      if (name == 0) return 0;
      std::size_t const value = amqp_value_size(bytes.substr(1 + name), depth + 1);
      return value == 0 ? 0 : 1 + name + value;
    }
    case 0x4: return 1;
    case 0x5: return whole(2);
    case 0x6: return whole(3);
    case 0x7: return whole(5);
    case 0x8: return whole(9);
    case 0x9: return whole(17);
    case 0xa:
    case 0xc:
    case 0xe: return bytes.size() < 2 ? 0 : whole(2 + at(1));
    case 0xb:
    case 0xd:
    case 0xf: return bytes.size() < 5 ? 0 : whole(5 + (at(1) << 24 | at(2) << 16 | at(3) << 8 | at(4)));
    default: return 0;
  }
}

// An encoded value, to be asked what it is.
struct amqp_field {
  byte_view bytes = {};
  [[nodiscard]] unsigned code() const noexcept { return bytes.empty() ? 0x40u : static_cast<unsigned char>(bytes[0]); }
  [[nodiscard]] bool is_null() const noexcept { return code() == 0x40; }
  [[nodiscard]] bool is_true() const noexcept { return code() == 0x41 || (code() == 0x56 && bytes[1] == 1); }
  // An unsigned number of whatever width.
  [[nodiscard]] std::uint64_t number(std::uint64_t otherwise = 0) const noexcept {
    switch (code()) {
      case 0x43:
      case 0x44: return 0;
      case 0x50:
      case 0x52:
      case 0x53:
      case 0x60:
      case 0x70:
      case 0x80: break;
      default: return otherwise;
    }
    std::uint64_t n = 0;
    for (std::size_t i = 1; i < bytes.size(); ++i) n = n << 8 | static_cast<unsigned char>(bytes[i]);
    return n;
  }
  // Of a string, a symbol or a binary.
  [[nodiscard]] byte_view text() const noexcept {
    if (code() == 0xa0 || code() == 0xa1 || code() == 0xa3) return bytes.substr(2);
    if (code() == 0xb0 || code() == 0xb1 || code() == 0xb3) return bytes.substr(5);
    return {};
  }
  // Of a described value: the number that describes it, and what it describes.
  [[nodiscard]] std::uint64_t descriptor() const noexcept {
    if (code() != 0) return 0;
    std::size_t const size = amqp_value_size(bytes.substr(1));
    return amqp_field{bytes.substr(1, size)}.number();
  }
  [[nodiscard]] amqp_field described() const noexcept {
    if (code() != 0) return {};
    return {bytes.substr(1 + amqp_value_size(bytes.substr(1)))};
  }
  // Of a list: the field at that place; null where it has no such. Of a map: its keys and values, one after the other.
  [[nodiscard]] amqp_field at(std::size_t which) const noexcept {
    byte_view rest = items();
    for (std::size_t size; !rest.empty(); rest.remove_prefix(size)) {
      size = amqp_value_size(rest);
      if (size == 0) return {};
      if (which-- == 0) return {rest.substr(0, size)};
    }
    return {};
  }
  [[nodiscard]] bool is_list() const noexcept { return code() == 0x45 || code() == 0xc0 || code() == 0xd0; }
  [[nodiscard]] bool is_map() const noexcept { return code() == 0xc1 || code() == 0xd1; }
  // The count that a list or map says it has.
  [[nodiscard]] std::size_t count() const noexcept {
    if (code() == 0xc0 || code() == 0xc1) return bytes.size() < 3 ? 0 : static_cast<unsigned char>(bytes[2]);
    if ((code() != 0xd0 && code() != 0xd1) || bytes.size() < 9) return 0;
    std::size_t n = 0;
    for (std::size_t i = 5; i != 9; ++i) n = n << 8 | static_cast<unsigned char>(bytes[i]);
    return n;
  }
  [[nodiscard]] byte_view items() const noexcept {
    if ((code() == 0xc0 || code() == 0xc1) && bytes.size() >= 3) return bytes.substr(3);
    if ((code() == 0xd0 || code() == 0xd1) && bytes.size() >= 9) return bytes.substr(9);
    return {};
  }
};

enum class amqp_performative : std::uint8_t {
  none = 0,  // a protocol header, an empty frame, or what is no frame
  open = 0x10, begin, attach, flow, transfer, disposition, detach, end, close,
};

struct amqp_frame {
  bool protocol = false;  // "AMQP" and four bytes more
  bool good = true;       // false: no frame of AMQP or SASL
  bool sasl = false;
  std::uint16_t channel = 0;
  std::uint64_t code = 0;  // descriptor of the performative; 0: an empty frame
  amqp_field fields = {};  // a list
  byte_view payload = {};
  [[nodiscard]] amqp_performative what() const noexcept {
    return !sasl && code >= 0x10 && code <= 0x18 ? static_cast<amqp_performative>(code) : amqp_performative::none;
  }
};

// How long the first frame, or protocol header, in the bytes is; 0: not all of it is there. More than there is: it
// never will be one.
[[nodiscard]] inline std::size_t amqp_frame_size(byte_view bytes) noexcept {
  if (bytes.size() < 8) return 0;
  if (bytes.substr(0, 4) == "AMQP") return 8;
  std::size_t size = 0;
  for (std::size_t i = 0; i != 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[i]);
  if (size < 8 || size > (std::size_t{1} << 22)) return bytes.size() + 1;
  return bytes.size() >= size ? size : 0;
}

// One whole frame, as amqp_frame_size() cut it.
[[nodiscard]] inline amqp_frame read_amqp_frame(byte_view bytes) noexcept {
  amqp_frame f;
  f.good = false;
  if (bytes.size() < 8) return f;
  if (bytes.substr(0, 4) == "AMQP") {
    f.good = f.protocol = true;
    return f;
  }
  auto const at = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  std::size_t const size = at(0) << 24 | at(1) << 16 | at(2) << 8 | at(3);
  std::size_t const body = 4 * at(4);
  if (size != bytes.size() || body < 8 || body > size || at(5) > 1) return f;
  f.sasl = at(5) == 1;
  f.channel = static_cast<std::uint16_t>(at(6) << 8 | at(7));
  byte_view const rest = bytes.substr(body);
  if (rest.empty()) {
    f.good = !f.sasl;
    return f;
  }
  std::size_t const performative = amqp_value_size(rest);
  if (performative == 0 || rest[0] != 0) return f;
  amqp_field const described{rest.substr(0, performative)};
  f.code = described.descriptor();
  f.fields = described.described();
  f.payload = rest.substr(performative);
  f.good = f.fields.is_list() && f.code != 0;
  return f;
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
