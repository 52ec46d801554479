// Hexadecimal digits (RFC 4648 section 8; written in lower case, read in both).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {

// The value of a digit, or -1.
constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Writes two digits a byte at `out` and returns the end of them.
inline char* write_hex(char* out, byte_view bytes) noexcept {
  static constexpr char digits[] = "0123456789abcdef";
  for (char c : bytes) {
    auto const byte = static_cast<unsigned char>(c);
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
  }
  return out;
}
[[nodiscard]] inline std::string to_hex(byte_view bytes) {
  std::string text(bytes.size() * 2, '\0');
  write_hex(text.data(), bytes);
  return text;
}
// The bytes behind the digits; errc::malformed for an odd count or another character.
[[nodiscard]] inline result<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return error{errc::malformed, "an odd number of hexadecimal digits"};
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i != text.size(); i += 2) {
    int const high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return error{errc::malformed, "not a hexadecimal digit at offset " + std::to_string(i)};
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

}  // namespace v0
}  // namespace iothub
