// SHA-1 (FIPS 180-4 section 6.1), for the one use that is left of it here: the answer to a WebSocket handshake
// (RFC 6455 section 1.3), which proves that a server understood the request and protects nothing. Never for signatures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {

using digest160 = std::array<unsigned char, 20>;

[[nodiscard]] inline digest160 sha1(byte_view bytes) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

constexpr std::uint32_t rotate_left(std::uint32_t x, int bits) noexcept {
  return (x << bits) | (x >> (32 - bits));
}

inline void sha1_block(std::uint32_t (&state)[5], unsigned char const* block) noexcept {
  std::uint32_t w[80];
  for (std::size_t i = 0; i != 16; ++i)
    w[i] = (std::uint32_t{block[4 * i]} << 24) | (std::uint32_t{block[4 * i + 1]} << 16) |
           (std::uint32_t{block[4 * i + 2]} << 8) | block[4 * i + 3];
  for (std::size_t i = 16; i != 80; ++i) w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (std::size_t i = 0; i != 80; ++i) {
    std::uint32_t f = b ^ c ^ d, k = 0xca62c1d6;
    if (i < 20)
      f = (b & c) | (~b & d), k = 0x5a827999;
    else if (i < 40)
      k = 0x6ed9eba1;
    else if (i < 60)
      f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
    std::uint32_t const next = rotate_left(a, 5) + f + e + k + w[i];
    e = d, d = c, c = rotate_left(b, 30), b = a, a = next;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

}  // namespace detail

inline digest160 sha1(byte_view bytes) noexcept {
  std::uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::uint64_t const bits = std::uint64_t{bytes.size()} * 8;
  auto const* const in = reinterpret_cast<unsigned char const*>(bytes.data());
  std::size_t const whole = bytes.size() / 64 * 64;
  for (std::size_t at = 0; at != whole; at += 64) detail::sha1_block(state, in + at);
  // The rest, a bit 1, zeros, and the length in bits: in one block, or in two where it does not fit.
  unsigned char last[128] = {};
  std::size_t const rest = bytes.size() - whole;
  if (rest != 0) std::memcpy(last, in + whole, rest);
  last[rest] = 0x80;
  std::size_t const size = rest < 56 ? 64 : 128;
  for (std::size_t i = 0; i != 8; ++i) last[size - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
  for (std::size_t at = 0; at != size; at += 64) detail::sha1_block(state, last + at);
  digest160 out{};
  for (std::size_t i = 0; i != out.size(); ++i) out[i] = static_cast<unsigned char>(state[i / 4] >> (24 - i % 4 * 8));
  return out;
}

}  // namespace v0
}  // namespace iothub
