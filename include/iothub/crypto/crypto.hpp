// The crypto policy: what the library needs of cryptography outside TLS, which belongs to the stream.
// Models: openssl_crypto (the default), seeded_crypto (real HMAC, random bytes from a seed, for simulation).
#pragma once

#include <array>
#include <concepts>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {

using digest256 = std::array<unsigned char, 32>;

// prepare(key) turns key bytes (already base64-decoded) into a keyed HMAC-SHA-256 state, once per identity: that state
// is what costs, about five sixths of a one-shot HMAC in OpenSSL 3. It is a type of the policy's own, since a key in a
// hardware module is not bytes. sign() is HMAC-SHA-256 (RFC 2104) over the text and may be called any number of times.
template <class C>
concept crypto = requires(C& c, typename C::signing_key& key, std::string_view text, byte_span into) {
  typename C::signing_key;
  { c.prepare(text) } -> std::same_as<result<typename C::signing_key>>;
  { c.sign(key, text) } -> std::same_as<result<digest256>>;
  { c.fill_random(into) } -> std::same_as<result<void>>;
};

// Compares in a time that depends on the lengths alone.
[[nodiscard]] inline bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned char volatile difference = 0;
  for (std::size_t i = 0; i != a.size(); ++i)
    difference =
        static_cast<unsigned char>(difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  return difference == 0;
}

}  // namespace v0
}  // namespace iothub
