// The frames of WebSocket (RFC 6455 section 5.2): their headers, and the mask of a client's payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace ws {

enum class role : unsigned char { client, server };

enum class opcode : unsigned char { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// RFC 6455 section 7.4.1.
namespace close_code {
inline constexpr std::uint16_t normal = 1000;
inline constexpr std::uint16_t going_away = 1001;
inline constexpr std::uint16_t protocol_error = 1002;
inline constexpr std::uint16_t unsupported_data = 1003;
inline constexpr std::uint16_t none = 1005;  // never on the wire: a close frame without a code
inline constexpr std::uint16_t invalid_text = 1007;
inline constexpr std::uint16_t too_large = 1009;
}  // namespace close_code

struct frame_header {
  opcode op = opcode::binary;
  bool final = true;  // the last fragment of its message
  bool masked = false;
  unsigned char mask[4] = {};
  std::uint64_t size = 0;  // of the payload
  friend bool operator==(frame_header const&, frame_header const&) = default;
};

inline constexpr std::size_t max_header_size = 14;
inline constexpr std::size_t max_control_size = 125;  // section 5.5

[[nodiscard]] constexpr bool is_control(opcode op) noexcept {
  return static_cast<unsigned char>(op) >= 8;
}

// How many bytes the header has that begins like this; 2 as long as the first two are not there.
[[nodiscard]] constexpr std::size_t header_size(byte_view begin) noexcept {
  if (begin.size() < 2) return 2;
  auto const second = static_cast<unsigned char>(begin[1]);
  std::size_t const length = (second & 0x7f) == 127 ? 8 : (second & 0x7f) == 126 ? 2 : 0;
  return 2 + length + ((second & 0x80) != 0 ? 4 : 0);
}

// Reads a whole header (header_size() bytes) that came to `reader`. Null, or the rule that it breaks.
[[nodiscard]] inline char const* read_header(byte_view bytes, role reader, frame_header& into) noexcept;
// At most max_header_size bytes at `out`; the end of them. The length takes its shortest form.
inline char* write_header(char* out, frame_header const& what) noexcept;
// Masks or unmasks `size` bytes, of which the first is byte `offset` of its payload (section 5.3). `to` may be `from`
// or lie anywhere before it.
inline void copy_masked(char* to, char const* from, std::size_t size, unsigned char const (&mask)[4],
                        std::uint64_t offset) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

inline char const* read_header(byte_view bytes, role reader, frame_header& into) noexcept {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned const op = byte(0) & 0x0fu;
  if ((byte(0) & 0x70) != 0) return "a reserved bit is set, and no extension was agreed on (section 5.2)";
  if ((op > 2 && op < 8) || op > 10) return "a reserved opcode (section 5.2)";
  into.op = static_cast<opcode>(op);
  into.final = (byte(0) & 0x80) != 0;
  into.masked = (byte(1) & 0x80) != 0;
  into.size = byte(1) & 0x7fu;
  if (into.masked != (reader == role::server))
    return reader == role::server ? "a client's frame without a mask (section 5.1)"
                                  : "a server's frame with a mask (section 5.1)";
  if (is_control(into.op) && !into.final) return "a control frame in fragments (section 5.5)";
  if (is_control(into.op) && into.size > max_control_size) return "a control frame above 125 bytes (section 5.5)";
  std::size_t at = 2;
  if (into.size >= 126) {
    std::size_t const length = into.size == 126 ? 2 : 8;
    std::uint64_t size = 0;
    for (std::size_t i = 0; i != length; ++i) size = (size << 8) | byte(at++);
    if (size >> 63 != 0) return "a length of 64 bits (section 5.2)";
    if (size < (length == 2 ? 126u : 65'536u)) return "a length that is not in its shortest form (section 5.2)";
    into.size = size;
  }
  for (std::size_t i = 0; i != 4; ++i) into.mask[i] = into.masked ? byte(at++) : static_cast<unsigned char>(0);
  return nullptr;
}

inline char* write_header(char* out, frame_header const& what) noexcept {
  unsigned const masked = what.masked ? 0x80 : 0;
  *out++ = static_cast<char>((what.final ? 0x80u : 0u) | static_cast<unsigned>(what.op));
  std::size_t length = 0;
  if (what.size < 126) {
    *out++ = static_cast<char>(masked | static_cast<unsigned>(what.size));
  } else {
    length = what.size < 65'536 ? 2 : 8;
    *out++ = static_cast<char>(masked | (length == 2 ? 126u : 127u));
  }
  while (length-- != 0) *out++ = static_cast<char>(static_cast<unsigned char>(what.size >> (8 * length)));
  if (what.masked) {
    std::memcpy(out, what.mask, 4);
    out += 4;
  }
  return out;
}

inline void copy_masked(char* to, char const* from, std::size_t size, unsigned char const (&mask)[4],
                        std::uint64_t offset) noexcept {
  unsigned char turned[8];
  for (std::size_t i = 0; i != 8; ++i) turned[i] = mask[(offset + i) % 4];
  std::uint64_t pattern;
  std::memcpy(&pattern, turned, 8);
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, from + i, 8);
    word ^= pattern;
    std::memcpy(to + i, &word, 8);
  }
  for (; i != size; ++i) to[i] = static_cast<char>(static_cast<unsigned char>(from[i]) ^ turned[i % 8]);
}

}  // namespace ws
}  // namespace v0
}  // namespace iothub
