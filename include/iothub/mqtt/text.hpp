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

inline constexpr std::uint64_t every_byte = 0x0101010101010101u;

// Sets a byte's high bit where the byte is 0, '#' or '+', or not ASCII. Where all bytes are ASCII it sets no other one,
// apart from bytes above a true hit; only "any bit set" is asked for. '#' and '+' differ in one bit.
inline std::uint64_t suspects(std::uint64_t eight) noexcept {
  std::uint64_t const wild = (eight | every_byte * 0x08) ^ every_byte * 0x2B;
  return eight | (eight - every_byte) | (wild - every_byte);
}
inline std::uint64_t load8(char const* from) noexcept {
  std::uint64_t word;
  std::memcpy(&word, from, 8);
  return word;
}

// True for ASCII without NUL, '#' and '+': nearly every topic there is. False says nothing.
inline bool plain_ascii(std::string_view text) noexcept {
  char const* p = text.data();
  std::size_t n = text.size();
  std::uint64_t seen = 0;
  if (n < 8) {
    for (; n != 0; ++p, --n) seen |= suspects((every_byte << 8) | static_cast<unsigned char>(*p));
    return (seen & every_byte << 7) == 0;
  }
  for (; n > 8; p += 8, n -= 8) seen |= suspects(load8(p));
  seen |= suspects(load8(p + n - 8));  // the last eight, some of them for the second time
  return (seen & every_byte << 7) == 0;
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
