// Random UUIDs in text (RFC 4122 section 4.4, version 4): message ids, lock tokens, tracking ids.
#pragma once

#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/base/hex.hpp>

namespace iothub {
inline namespace v0 {

inline constexpr std::size_t uuid_bytes = 16;
inline constexpr std::size_t uuid_size = 36;

// Writes the 36 characters of a UUID of 16 bytes at `out` and returns the end of them.
inline char* write_uuid_text(char* out, byte_view bytes) noexcept {
  IOTHUB_ASSERT(bytes.size() == uuid_bytes);
  constexpr std::size_t groups[] = {4, 2, 2, 2, 6};
  for (std::size_t group : groups) {
    if (bytes.size() != uuid_bytes) *out++ = '-';
    out = write_hex(out, bytes.substr(0, group));
    bytes.remove_prefix(group);
  }
  return out;
}
// The same for the UUID that is made of 16 random bytes.
inline char* write_uuid(char* out, byte_view random) noexcept {
  IOTHUB_ASSERT(random.size() == uuid_bytes);
  char bytes[uuid_bytes];
  random.copy(bytes, uuid_bytes);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);  // the variant of RFC 4122
  return write_uuid_text(out, {bytes, uuid_bytes});
}
[[nodiscard]] inline std::string uuid_text(byte_view bytes) {
  std::string text(uuid_size, '\0');
  write_uuid_text(text.data(), bytes);
  return text;
}
[[nodiscard]] inline std::string to_uuid(byte_view random) {
  std::string text(uuid_size, '\0');
  write_uuid(text.data(), random);
  return text;
}
// 8-4-4-4-12 hexadecimal digits, of any version.
[[nodiscard]] inline bool is_uuid(std::string_view text) noexcept {
  if (text.size() != uuid_size) return false;
  for (std::size_t i = 0; i != uuid_size; ++i) {
    bool const dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : hex_value(text[i]) < 0) return false;
  }
  return true;
}

}  // namespace v0
}  // namespace iothub
