// Percent-encoding (RFC 3986 section 2.1). Encoding keeps the unreserved characters of section 2.3 and writes every
// other byte as % and two upper-case digits, which is what topics, targets and SAS resources of IoT Hub want. A blank
// is %20; a plus sign stands for itself, in both directions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/utf8.hpp>

namespace iothub {
inline namespace v0 {

// How many characters the encoded form has.
[[nodiscard]] inline std::size_t percent_encoded_size(std::string_view text) noexcept;
// Writes the encoded form at `out`, at most three characters a byte, and returns the end of it.
inline char* write_percent(char* out, std::string_view text) noexcept;
inline void append_percent(std::string& out, std::string_view text);
inline void append_percent(byte_buffer& out, std::string_view text);
[[nodiscard]] inline std::string percent_encode(std::string_view text);

// The bytes behind the escapes; errc::malformed where a % is not followed by two digits.
[[nodiscard]] inline result<std::string> percent_decode(std::string_view text);
// The same for a text that goes into topics, headers and models: errc::malformed also when the outcome is no UTF-8 or
// holds a control character.
[[nodiscard]] inline result<std::string> percent_decode_text(std::string_view text);
// Decodes at `out`, which has room for text.size() bytes and may be text.data() itself. Returns the end of what was
// written, or null where an escape is broken.
inline char* read_percent(char* out, std::string_view text) noexcept;
// Whether decoding `text` gives exactly `plain`; allocates nothing.
[[nodiscard]] inline bool percent_equals(std::string_view text, std::string_view plain) noexcept;

namespace detail {

constexpr std::array<bool, 256> make_unreserved() noexcept {
  std::array<bool, 256> table{};
  for (std::string_view set : {std::string_view{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"}})
    for (char c : set) table[static_cast<unsigned char>(c)] = true;
  return table;
}
inline constexpr std::array<bool, 256> unreserved = make_unreserved();

#if defined(__GNUC__)
// Sixteen bytes at once; compilers of the GNU family turn this into whatever the machine has.
using sixteen_bytes [[gnu::vector_size(16)]] = unsigned char;

inline bool all_unreserved(std::uint64_t first, std::uint64_t second) noexcept {
  std::uint64_t const both[2] = {first, second};
  sixteen_bytes v;
  std::memcpy(&v, both, 16);
  auto const letter = (v | 0x20) - 'a' < sixteen_bytes{} + 26;
  auto const digit_dash_dot = (v - '-' < sixteen_bytes{} + 13) & (v != '/');
  auto const good = letter | digit_dash_dot | (v == '_') | (v == '~');
  std::uint64_t halves[2];
  std::memcpy(halves, &good, 16);
  return (halves[0] & halves[1]) == ~std::uint64_t{0};
}
#else
// Each line works on all eight bytes of a word at once and leaves its answer in their high bits; no byte carries into
// the next one, since none is above 0x7f when it counts.
constexpr bool all_unreserved(std::uint64_t word) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101u, high = 0x80u * ones;
  if ((word & high) != 0) return false;
  auto const at_least = [](std::uint64_t w, std::uint64_t c) { return w + (0x80u - c) * ones; };
  auto const differs = [](std::uint64_t w, std::uint64_t c) { return (w ^ (c * ones)) + 0x7fu * ones; };
  std::uint64_t const lower = word | (0x20u * ones);
  std::uint64_t const letter = at_least(lower, 'a') & ~at_least(lower, 'z' + 1);
  std::uint64_t const digit_dash_dot = at_least(word, '-') & ~at_least(word, '9' + 1) & differs(word, '/');
  std::uint64_t const other = ~(differs(word, '_') & differs(word, '~'));
  return ((letter | digit_dash_dot | other) & high) == high;
}
constexpr bool all_unreserved(std::uint64_t first, std::uint64_t second) noexcept {
  return all_unreserved(first) && all_unreserved(second);
}
#endif

template <class Word>
Word load_word(char const* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

inline char* write_percent_each(char* out, std::string_view text) noexcept {
  static constexpr char digits[] = "0123456789ABCDEF";
  for (char c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (unreserved[byte]) {
      *out++ = c;
    } else {
      out[0] = '%';
      out[1] = digits[byte >> 4];
      out[2] = digits[byte & 15];
      out += 3;
    }
  }
  return out;
}

}  // namespace detail

inline std::size_t percent_encoded_size(std::string_view text) noexcept {
  std::size_t escapes = 0;
  for (char c : text) escapes += detail::unreserved[static_cast<unsigned char>(c)] ? 0u : 1u;
  return text.size() + 2 * escapes;
}

// Short texts, which names and values are, are looked at whole by two loads that overlap, and copied by two stores.
inline char* write_percent(char* out, std::string_view text) noexcept {
  char const* in = text.data();
  std::size_t left = text.size();
  for (; left > 16; in += 16, left -= 16) {
    auto const first = detail::load_word<std::uint64_t>(in), second = detail::load_word<std::uint64_t>(in + 8);
    if (detail::all_unreserved(first, second)) {
      std::memcpy(out, in, 16);
      out += 16;
    } else {
      out = detail::write_percent_each(out, {in, 16});
    }
  }
  if (left >= 8) {
    auto const first = detail::load_word<std::uint64_t>(in), last = detail::load_word<std::uint64_t>(in + left - 8);
    if (!detail::all_unreserved(first, last)) return detail::write_percent_each(out, {in, left});
    std::memcpy(out, &first, 8);
    std::memcpy(out + left - 8, &last, 8);
    return out + left;
  }
  if (left >= 4) {
    auto const first = detail::load_word<std::uint32_t>(in), last = detail::load_word<std::uint32_t>(in + left - 4);
    std::uint64_t const both = (std::uint64_t{first} << 32) | last;
    if (!detail::all_unreserved(both, both)) return detail::write_percent_each(out, {in, left});
    std::memcpy(out, &first, 4);
    std::memcpy(out + left - 4, &last, 4);
    return out + left;
  }
  return detail::write_percent_each(out, {in, left});
}

inline void append_percent(std::string& out, std::string_view text) {
  std::size_t const size = percent_encoded_size(text);
  if (size == text.size()) {
    out.append(text);
    return;
  }
  std::size_t const before = out.size();
  out.resize(before + size);
  write_percent(out.data() + before, text);
}
inline void append_percent(byte_buffer& out, std::string_view text) {
  char* const begin = out.prepare(text.size() * 3).data();
  out.commit(static_cast<std::size_t>(write_percent(begin, text) - begin));
}
inline std::string percent_encode(std::string_view text) {
  std::string out;
  append_percent(out, text);
  return out;
}

inline char* read_percent(char* out, std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      *out++ = text[i];
      continue;
    }
    if (text.size() - i < 3) return nullptr;
    int const high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return nullptr;
    *out++ = static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

inline result<std::string> percent_decode(std::string_view text) {
  std::string out(text.size(), '\0');
  char const* const end = read_percent(out.data(), text);
  if (end == nullptr) return error{errc::malformed, "a % that is not followed by two hexadecimal digits"};
  out.resize(static_cast<std::size_t>(end - out.data()));
  return out;
}
inline result<std::string> percent_decode_text(std::string_view text) {
  auto decoded = percent_decode(text);
  if (decoded && !is_clean_text(*decoded))
    return error{errc::malformed, "percent-encoded text that is not UTF-8 or holds a control character"};
  return decoded;
}

inline bool percent_equals(std::string_view text, std::string_view plain) noexcept {
  std::size_t at = 0;
  for (std::size_t i = 0; i < text.size(); ++i, ++at) {
    if (at == plain.size()) return false;
    char c = text[i];
    if (c == '%') {
      if (read_percent(&c, text.substr(i, 3)) == nullptr) return false;
      i += 2;
    }
    if (c != plain[at]) return false;
  }
  return at == plain.size();
}

}  // namespace v0
}  // namespace iothub
