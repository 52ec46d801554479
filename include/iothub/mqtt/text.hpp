// MQTT's strings (1.5.3): UTF-8 without surrogates and without U+0000. U+FEFF is ordinary data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <iothub/base/utf8.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

enum class text_fault : std::uint8_t { none, not_utf8, has_nul };

// Walks the string once; `wildcards` tells whether + or # occurs.
struct text_scan {
  text_fault fault = text_fault::none;
  bool wildcards = false;
};
text_scan scan_text(std::string_view text) noexcept;

namespace detail {

// Sixteen bytes at once, by the vector types that gcc and clang have on every target.
using byte_lanes = std::uint8_t __attribute__((vector_size(16)));

// Not zero in each byte that is 0, '#', '+' or not ASCII. '#' and '+' differ in one bit.
inline byte_lanes suspects(byte_lanes bytes) noexcept {
  return static_cast<byte_lanes>(bytes == 0) | static_cast<byte_lanes>((bytes | 0x08) == 0x2B) | (bytes & 0x80);
}

// True for ASCII without NUL, '#' and '+': nearly every topic there is. False says nothing.
inline bool plain_ascii(std::string_view text) noexcept {
  char const* p = text.data();
  std::size_t n = text.size();
  if (n < 16) {
    unsigned seen = 0;
    for (; n != 0; ++p, --n) {
      unsigned const c = static_cast<unsigned char>(*p);
      seen |= (c & 0x80u) | static_cast<unsigned>(c == 0 || (c | 8u) == 0x2B);
    }
    return seen == 0;
  }
  byte_lanes seen{};
  byte_lanes some;
  for (; n > 16; p += 16, n -= 16) {
    std::memcpy(&some, p, 16);
    seen |= suspects(some);
  }
  std::memcpy(&some, p + n - 16, 16);  // the last sixteen, some of them for the second time
  seen |= suspects(some);
  std::uint64_t halves[2];
  std::memcpy(halves, &seen, 16);
  return (halves[0] | halves[1]) == 0;
}

inline text_scan scan_slowly(std::string_view text) noexcept {
  text_scan found;
  auto const* p = reinterpret_cast<unsigned char const*>(text.data());
  for (std::size_t left = text.size(); left != 0;) {
    if (*p == 0) return {text_fault::has_nul, found.wildcards};
    if (*p == '#' || *p == '+') found.wildcards = true;
    std::size_t const length = *p < 0x80 ? 1 : iothub::detail::utf8_sequence(p, left);
    if (length == 0) return {text_fault::not_utf8, found.wildcards};
    p += length;
    left -= length;
  }
  return found;
}

}  // namespace detail

inline text_scan scan_text(std::string_view text) noexcept {
  if (detail::plain_ascii(text)) return {};
  return detail::scan_slowly(text);
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
