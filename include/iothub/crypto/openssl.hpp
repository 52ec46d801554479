// HMAC-SHA-256 and random bytes by OpenSSL's libcrypto: the default model of the crypto policy.
//
// Theory of operation. HMAC(K, m) = H(K^opad | H(K^ipad | m)) (RFC 2104 section 2). Both inner prefixes are exactly one
// block, so all that a key ever contributes is two SHA-256 chaining values of 32 bytes. prepare() computes these two;
// sign() continues from them. That is why a prepared key is 64 bytes, needs no allocation to sign with, and is as
// secret as the key itself: it is wiped on destruction and when moved from.
//
// The SHA256_* functions are used, not EVP_MAC: they are marked deprecated in OpenSSL 3.0, but they are exported, they
// never allocate, and a signature costs about half of what a re-initialised EVP_MAC_CTX takes.
#pragma once

#include <cstring>
#include <string_view>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/crypto/crypto.hpp>

namespace iothub {
inline namespace v0 {

// A keyed HMAC-SHA-256 state. Movable, not copyable; a moved-from key is all zeros and signs nothing meaningful.
class hmac_sha256_key {
 public:
  // Keys longer than a block are hashed first (RFC 2104 section 2); every length is allowed, also none.
  explicit hmac_sha256_key(std::string_view key) noexcept;
  hmac_sha256_key(hmac_sha256_key&& other) noexcept { take(other); }
  hmac_sha256_key& operator=(hmac_sha256_key&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~hmac_sha256_key() { OPENSSL_cleanse(this, sizeof *this); }

  [[nodiscard]] digest256 sign(std::string_view text) const noexcept;

 private:
  void take(hmac_sha256_key& other) noexcept {
    std::memcpy(inner_, other.inner_, sizeof inner_);
    std::memcpy(outer_, other.outer_, sizeof outer_);
    OPENSSL_cleanse(other.inner_, sizeof inner_);
    OPENSSL_cleanse(other.outer_, sizeof outer_);
  }

  SHA_LONG inner_[8];  // the chaining value after K^ipad
  SHA_LONG outer_[8];  // the chaining value after K^opad
};

// Stateless: every object of it is as good as another, also from several threads.
class openssl_crypto {
 public:
  using signing_key = hmac_sha256_key;

  // `key` is the raw key, already decoded from base64. Never fails.
  [[nodiscard]] result<signing_key> prepare(std::string_view key) const { return signing_key{key}; }
  // Never fails, never allocates.
  [[nodiscard]] result<digest256> sign(signing_key const& key, std::string_view text) const { return key.sign(text); }
  // errc::io_error when the system has no entropy to give.
  [[nodiscard]] result<void> fill_random(byte_span into) const;
};

// ---------------------------------------------------------------------------------------------------------------------

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif

namespace detail {

// A hash that already went over one block and reached this chaining value.
inline SHA256_CTX after_one_block(SHA_LONG const (&chain)[8]) noexcept {
  SHA256_CTX hash;
  std::memcpy(hash.h, chain, sizeof hash.h);
  hash.Nl = SHA256_CBLOCK * 8;  // bits so far, low and high word
  hash.Nh = 0;
  hash.num = 0;  // bytes waiting in an incomplete block
  hash.md_len = SHA256_DIGEST_LENGTH;
  return hash;
}

inline void chain_after(unsigned char const* block, SHA_LONG (&chain)[8]) noexcept {
  SHA256_CTX hash;
  SHA256_Init(&hash);
  SHA256_Transform(&hash, block);
  std::memcpy(chain, hash.h, sizeof chain);
  OPENSSL_cleanse(&hash, sizeof hash);
}

}  // namespace detail

inline hmac_sha256_key::hmac_sha256_key(std::string_view key) noexcept {
  unsigned char block[SHA256_CBLOCK] = {};
  if (key.size() > sizeof block)
    SHA256(reinterpret_cast<unsigned char const*>(key.data()), key.size(), block);
  else if (!key.empty())
    std::memcpy(block, key.data(), key.size());
  for (unsigned char& byte : block) byte ^= 0x36;
  detail::chain_after(block, inner_);
  for (unsigned char& byte : block) byte ^= 0x36 ^ 0x5c;
  detail::chain_after(block, outer_);
  OPENSSL_cleanse(block, sizeof block);
}

// Nothing here needs wiping: the chaining values are overwritten in place, and what is left is the public signature.
inline digest256 hmac_sha256_key::sign(std::string_view text) const noexcept {
  digest256 digest;
  SHA256_CTX hash = detail::after_one_block(inner_);
  SHA256_Update(&hash, text.data(), text.size());
  SHA256_Final(digest.data(), &hash);
  hash = detail::after_one_block(outer_);
  SHA256_Update(&hash, digest.data(), digest.size());
  SHA256_Final(digest.data(), &hash);
  return digest;
}

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

inline result<void> openssl_crypto::fill_random(byte_span into) const {
  constexpr std::size_t at_once = 1u << 20;  // RAND_bytes counts in int
  while (!into.empty()) {
    byte_span const part = into.first(into.size() < at_once ? into.size() : at_once);
    if (RAND_bytes(reinterpret_cast<unsigned char*>(part.data()), static_cast<int>(part.size())) != 1)
      return error{errc::io_error, "OpenSSL could not produce random bytes"};
    into = into.subspan(part.size());
  }
  return {};
}

static_assert(crypto<openssl_crypto>);

}  // namespace v0
}  // namespace iothub
