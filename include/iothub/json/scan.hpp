// Eight bytes of JSON text at a time, and the exact powers of ten: what parsing and printing share.
#pragma once

#include <cstdint>

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

// Those that a double holds exactly.
inline constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                           1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

}  // namespace detail
}  // namespace json
}  // namespace v0
}  // namespace iothub
