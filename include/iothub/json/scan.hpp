// Eight bytes of JSON text at a time, and the exact powers of ten: what parsing and printing share.
#pragma once

#include <cstdint>
#include <cstring>

namespace iothub {
inline namespace v0 {
namespace json {
namespace detail {

constexpr std::uint64_t repeat(unsigned char byte) noexcept { return 0x0101'0101'0101'0101u * byte; }

// Of eight bytes those that end plain text in a string: control characters, quote, backslash. The high bit of such a
// byte is set; above the lowest one there may be false ones.
constexpr std::uint64_t special_bytes(std::uint64_t x) noexcept {
  std::uint64_t const quote = x ^ repeat('"');
  std::uint64_t const slash = x ^ repeat('\\');
  return (((x - repeat(0x20)) & ~x) | ((quote - repeat(1)) & ~quote) | ((slash - repeat(1)) & ~slash)) & repeat(0x80);
}

// Sixteen bytes at a time where the processor has it for certain. The vector types are the compilers' own and need no
// header.
#if defined(__SSE2__) && defined(__GNUC__)
using block16 = signed char __attribute__((vector_size(16)));

inline block16 load16(void const* from) noexcept {
  block16 out;
  std::memcpy(&out, from, 16);
  return out;
}
// One bit per byte that is true.
inline unsigned bits_of(block16 truth) noexcept {
  return static_cast<unsigned>(
      __builtin_ia32_pmovmskb128(reinterpret_cast<char __attribute__((vector_size(16)))>(truth)));
}
// Bytes that are not plain ASCII text: as signed numbers the control characters and all from 0x80 are below a space.
inline unsigned stops_plain_ascii(block16 x) noexcept { return bits_of((x < ' ') | (x == '"') | (x == '\\')); }
// Bytes that a JSON string must escape.
inline unsigned stops_plain_text(block16 x) noexcept {
  return bits_of(((x & static_cast<signed char>(0xe0)) == 0) | (x == '"') | (x == '\\'));
}
// The first `size` bytes of a block, zeros behind them.
inline void store_prefix(void* to, block16 x, unsigned size) noexcept {
  static constexpr signed char mask[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  x &= load16(mask + 16 - size);
  std::memcpy(to, &x, 16);
}
#endif

// Those that a double holds exactly.
inline constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                           1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

}  // namespace detail
}  // namespace json
}  // namespace v0
}  // namespace iothub
