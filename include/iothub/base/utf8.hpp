// Is it UTF-8? (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace iothub {
inline namespace v0 {

[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept;
// MQTT 3.1.1 section 1.5.3: UTF-8 without U+0000 ([MQTT-1.5.3-2]).
[[nodiscard]] inline bool is_mqtt_text(std::string_view text) noexcept;
// UTF-8 without the control characters U+0000 to U+001F and U+007F: what may go into a header field or a topic.
[[nodiscard]] inline bool is_clean_text(std::string_view text) noexcept;

namespace detail {

// The length of the multi-byte sequence at p, or 0 where it is none. RFC 3629 section 4.
inline std::size_t utf8_sequence(unsigned char const* p, std::size_t left) noexcept {
  auto const tail = [&](std::size_t i) { return (p[i] & 0xc0) == 0x80; };
  unsigned const lead = p[0];
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return left >= 2 && tail(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (left < 3 || !tail(1) || !tail(2)) return 0;
    if (lead == 0xe0 && p[1] < 0xa0) return 0;  // overlong
    if (lead == 0xed && p[1] > 0x9f) return 0;  // a surrogate
    return 3;
  }
  if (lead > 0xf4 || left < 4 || !tail(1) || !tail(2) || !tail(3)) return 0;
  if (lead == 0xf0 && p[1] < 0x90) return 0;  // overlong
  if (lead == 0xf4 && p[1] > 0x8f) return 0;  // above U+10FFFF
  return 4;
}

// Walks the text; plain(c) says whether an ASCII character is allowed, any_refused(w) whether a word of eight ASCII
// characters might hold one that is not.
template <class Plain, class AnyRefused>
bool walk_utf8(std::string_view text, Plain plain, AnyRefused any_refused) noexcept {
  auto const* p = reinterpret_cast<unsigned char const*>(text.data());
  std::size_t left = text.size();
  while (left != 0) {
    if (left >= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, 8);
      if ((word & 0x8080808080808080u) == 0 && !any_refused(word)) {
        p += 8;
        left -= 8;
        continue;
      }
    }
    std::size_t const size = *p < 0x80 ? (plain(*p) ? 1u : 0u) : utf8_sequence(p, left);
    if (size == 0) return false;
    p += size;
    left -= size;
  }
  return true;
}

// Whether a word of eight ASCII characters holds one below n (n <= 128): the borrow of each byte's subtraction.
constexpr bool any_below(std::uint64_t word, std::uint64_t n) noexcept {
  return ((word - 0x0101010101010101u * n) & ~word & 0x8080808080808080u) != 0;
}

}  // namespace detail

inline bool is_utf8(std::string_view text) noexcept {
  return detail::walk_utf8(
      text, [](unsigned char) { return true; }, [](std::uint64_t) { return false; });
}
inline bool is_mqtt_text(std::string_view text) noexcept {
  return detail::walk_utf8(
      text, [](unsigned char c) { return c != 0; }, [](std::uint64_t word) { return detail::any_below(word, 1); });
}
inline bool is_clean_text(std::string_view text) noexcept {
  return detail::walk_utf8(
      text, [](unsigned char c) { return c >= 0x20 && c != 0x7f; },
      [](std::uint64_t word) {
        return detail::any_below(word, 0x20) || detail::any_below(word ^ 0x7f7f7f7f7f7f7f7fu, 1);
      });
}

}  // namespace v0
}  // namespace iothub
