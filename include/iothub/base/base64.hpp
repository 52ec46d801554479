// Base64 with the standard alphabet and padding (RFC 4648 section 4). Decoding is strict: no white space, no missing or
// surplus padding, no bits set behind the last byte (section 3.5), so that every byte string has exactly one spelling.
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

constexpr std::size_t base64_size(std::size_t bytes) noexcept {
  return (bytes + 2) / 3 * 4;
}

// A SHA-256 digest in base64 has 44 characters.
inline constexpr std::size_t base64_digest_size = 44;

// Writes base64_size(bytes.size()) characters at `out` and returns the end of them.
inline char* write_base64(char* out, byte_view bytes) noexcept;
[[nodiscard]] inline std::string to_base64(byte_view bytes);

// The bytes behind the text; errc::malformed when it is no base64. The text is never part of the message, since it is
// a key more often than not.
[[nodiscard]] inline result<std::string> from_base64(std::string_view text);

// Decodes 44 characters into 32 bytes without allocating; false when they are not the base64 of 32 bytes.
inline bool read_base64_digest(std::string_view text, std::array<unsigned char, 32>& digest) noexcept;

namespace detail {

inline constexpr char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::uint8_t, 256> make_base64_values() noexcept {
  std::array<std::uint8_t, 256> values{};
  for (auto& v : values) v = 0xff;
  for (std::uint8_t i = 0; i != 64; ++i) values[static_cast<unsigned char>(base64_alphabet[i])] = i;
  return values;
}
inline constexpr std::array<std::uint8_t, 256> base64_values = make_base64_values();

// Decodes at `out`; the end of what was written, or null when the text is refused.
inline char* read_base64(char* out, std::string_view text) noexcept {
  if (text.size() % 4 != 0) return nullptr;
  if (text.empty()) return out;
  std::size_t padding = 0;
  while (padding != 2 && text[text.size() - 1 - padding] == '=') ++padding;
  text.remove_suffix(padding);
  auto const value = [&](std::size_t i) -> std::uint32_t { return base64_values[static_cast<unsigned char>(text[i])]; };
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    std::uint32_t const a = value(i), b = value(i + 1), c = value(i + 2), d = value(i + 3);
    if (((a | b | c | d) & 0x80u) != 0) return nullptr;
    std::uint32_t const bits = (a << 18) | (b << 12) | (c << 6) | d;
    *out++ = static_cast<char>(bits >> 16);
    *out++ = static_cast<char>(bits >> 8);
    *out++ = static_cast<char>(bits);
  }
  if (padding == 0) return out;
  std::uint32_t const a = value(i), b = value(i + 1), c = padding == 1 ? value(i + 2) : 0;
  if (((a | b | c) & 0x80u) != 0) return nullptr;
  std::uint32_t const bits = (a << 18) | (b << 12) | (c << 6);
  if ((bits & (padding == 1 ? 0xffu : 0xffffu)) != 0) return nullptr;
  *out++ = static_cast<char>(bits >> 16);
  if (padding == 1) *out++ = static_cast<char>(bits >> 8);
  return out;
}

}  // namespace detail

inline char* write_base64(char* out, byte_view bytes) noexcept {
  auto const* in = reinterpret_cast<unsigned char const*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 3; left -= 3, in += 3) {
    std::uint32_t const bits = (std::uint32_t{in[0]} << 16) | (std::uint32_t{in[1]} << 8) | in[2];
    *out++ = detail::base64_alphabet[bits >> 18];
    *out++ = detail::base64_alphabet[(bits >> 12) & 63];
    *out++ = detail::base64_alphabet[(bits >> 6) & 63];
    *out++ = detail::base64_alphabet[bits & 63];
  }
  if (left == 0) return out;
  std::uint32_t const bits = (std::uint32_t{in[0]} << 16) | (left == 2 ? std::uint32_t{in[1]} << 8 : 0);
  *out++ = detail::base64_alphabet[bits >> 18];
  *out++ = detail::base64_alphabet[(bits >> 12) & 63];
  *out++ = left == 2 ? detail::base64_alphabet[(bits >> 6) & 63] : '=';
  *out++ = '=';
  return out;
}

inline std::string to_base64(byte_view bytes) {
  std::string text(base64_size(bytes.size()), '\0');
  write_base64(text.data(), bytes);
  return text;
}

inline result<std::string> from_base64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  char const* const end = detail::read_base64(bytes.data(), text);
  if (end == nullptr) return error{errc::malformed, "not base64 (RFC 4648 section 4, with padding)"};
  bytes.resize(static_cast<std::size_t>(end - bytes.data()));
  return bytes;
}

inline bool read_base64_digest(std::string_view text, std::array<unsigned char, 32>& digest) noexcept {
  char bytes[33];
  if (text.size() != base64_digest_size) return false;
  char const* const end = detail::read_base64(bytes, text);
  if (end == nullptr || end - bytes != 32) return false;
  std::memcpy(digest.data(), bytes, 32);
  return true;
}

}  // namespace v0
}  // namespace iothub
