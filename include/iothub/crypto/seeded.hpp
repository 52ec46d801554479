// Real signatures, repeatable random bytes: the crypto policy for simulation and tests. Never for anything that a
// stranger can reach: whoever knows the seed knows every "random" byte.
#pragma once

#include <cstdint>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/crypto/crypto.hpp>
#include <iothub/crypto/openssl.hpp>

namespace iothub {
inline namespace v0 {

class seeded_crypto {
 public:
  using signing_key = hmac_sha256_key;

  explicit seeded_crypto(std::uint64_t seed = 1) noexcept : state_{seed} {}

  [[nodiscard]] result<signing_key> prepare(std::string_view key) const { return signing_key{key}; }
  [[nodiscard]] result<digest256> sign(signing_key const& key, std::string_view text) const { return key.sign(text); }
  // The same seed and the same sequence of sizes give the same bytes on every machine. Never fails.
  result<void> fill_random(byte_span into) noexcept {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i != into.size(); ++i) {
      if (i % 8 == 0) word = next();
      into[i] = static_cast<char>(word & 0xff);
      word >>= 8;
    }
    return {};
  }

 private:
  // SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

static_assert(crypto<seeded_crypto>);

}  // namespace v0
}  // namespace iothub
