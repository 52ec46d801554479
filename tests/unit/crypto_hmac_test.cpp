#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <utility>

#include <iothub/base/base64.hpp>
#include <iothub/crypto/openssl.hpp>
#include <iothub/crypto/seeded.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;

std::string hex(digest256 const& digest) {
  std::string out;
  for (unsigned char byte : digest) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

std::string from_hex(std::string_view text) {
  std::string out;
  auto const nibble = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(nibble(text[i]) * 16 + nibble(text[i + 1]));
  return out;
}

std::string base64(digest256 const& digest) {
  return to_base64(std::string_view{reinterpret_cast<char const*>(digest.data()), digest.size()});
}

template <class Crypto>
class HmacSha256 : public testing::Test {};
using models = testing::Types<openssl_crypto, seeded_crypto>;
TYPED_TEST_SUITE(HmacSha256, models);

TYPED_TEST(HmacSha256, GivesTheDigestsOfRfc4231) {
  TypeParam crypto;
  auto const table = iothub_test::load("rfc4231_hmac_sha256.json");
  std::size_t seen = 0;
  for (auto const& row : table["cases"].elements()) {
    auto key = crypto.prepare(from_hex(*row["key"].as_string()));
    ASSERT_TRUE(key);
    auto const expected = *row["hmac_sha256"].as_string();  // case 5 is cut to 16 bytes
    EXPECT_EQ(hex(*crypto.sign(*key, from_hex(*row["data"].as_string()))).substr(0, expected.size()), expected);
    ++seen;
  }
  EXPECT_EQ(seen, 7u);
}

TYPED_TEST(HmacSha256, SignsTheStringsOfSasTokens) {
  TypeParam crypto;
  auto const table = iothub_test::load("sas_tokens.json");
  std::size_t seen = 0;
  for (auto const& row : table["ok"].elements()) {
    auto key = crypto.prepare(*from_base64(*row["key_base64"].as_string()));
    ASSERT_TRUE(key);
    EXPECT_EQ(base64(*crypto.sign(*key, *row["string_to_sign"].as_string())), *row["signature_base64"].as_string());
    ++seen;
  }
  EXPECT_GE(seen, 3u);
}

TYPED_TEST(HmacSha256, SignsTheResourcesOfDevicesModulesAndProvisioning) {
  struct row {
    char const* resource;
    char const* signature;
  };
  row const rows[] = {
      {"myhub.azure-devices.net%2Fdevices%2Fdevice1", "gFSfLGMXDOvf906/iaX3KwzLLNFHgaFZyCbsGjxtd1Y="},
      {"myhub.azure-devices.net%2fdevices%2fdevice1", "iIyvul1z7xsjQDMXvGvUxZi+lqnXkFn5lOgyNrICYDM="},
      {"myhub.azure-devices.net/devices/device1", "NlrxHOPrp0Ykah29gS5LOHFu7Y/i4fWSpV//MjSnuQ8="},
      {"myhub.azure-devices.net%2Fdevices%2Fdevice1%2Fmodules%2Fmod1", "AXjj7ZMV66oOI2zG1PugMgZ11Jn6WP2K6XWP9Wc2Z30="},
      {"myhub.azure-devices.net", "iIzEw6hi6GK79RY5jNXO6QeQkSL/Ax4zTmy44X2G1VY="},
      {"myhub.azure-devices.net%2Fdevices%2Fdev-a.b_c%3Ad%2525%40x%24%27%28%29%21%2A%23%2C%3B%3D%3F%2B",
       "bBQl1Tg71WM/bS1XYFO1D7S7rWc6TakAvCmt1HD0GyM="},
      {"0ne00111111%2Fregistrations%2Fmy-symkey-device", "NtrF6lCNOrExdRCiPyNPDcziQuXSOdvw99neTdptYgY="},
  };
  std::string bytes;
  for (char c = 0; c != 32; ++c) bytes += c;
  TypeParam crypto;
  auto key = crypto.prepare(bytes);
  ASSERT_TRUE(key);
  for (row const& r : rows)
    EXPECT_EQ(base64(*crypto.sign(*key, std::string{r.resource} + "\n1700000000")), r.signature) << r.resource;
}

TYPED_TEST(HmacSha256, SignsTextsAroundTheBlockSizeLikeOneShotHmac) {
  // Independent second opinion: the definition of RFC 2104, spelled out over one-shot SHA-256.
  auto const by_definition = [](std::string key, std::string const& text) {
    key.resize(64);
    std::string inner, outer;
    for (char c : key) {
      inner += static_cast<char>(c ^ 0x36);
      outer += static_cast<char>(c ^ 0x5c);
    }
    unsigned char digest[32];
    inner += text;
    SHA256(reinterpret_cast<unsigned char const*>(inner.data()), inner.size(), digest);
    outer.append(reinterpret_cast<char const*>(digest), 32);
    digest256 out;
    SHA256(reinterpret_cast<unsigned char const*>(outer.data()), outer.size(), out.data());
    return out;
  };
  TypeParam crypto;
  auto key = crypto.prepare("0123456789abcdef");
  ASSERT_TRUE(key);
  for (std::size_t size = 0; size != 200; ++size) {
    std::string const text(size, 'x');
    EXPECT_EQ(*crypto.sign(*key, text), by_definition("0123456789abcdef", text)) << size;
  }
}

TEST(SigningKey, MovesAndLeavesNothingBehind) {
  hmac_sha256_key first{"Jefe"};
  auto const expected = first.sign("what do ya want for nothing?");
  hmac_sha256_key second{std::move(first)};
  EXPECT_EQ(second.sign("what do ya want for nothing?"), expected);
  unsigned char bytes[sizeof first];
  std::memcpy(bytes, static_cast<void const*>(&first), sizeof first);  // NOLINT: looks into a moved-from key
  for (unsigned char byte : bytes) EXPECT_EQ(byte, 0);
  static_assert(!std::is_copy_constructible_v<hmac_sha256_key>);
  static_assert(std::is_nothrow_move_constructible_v<hmac_sha256_key>);
  static_assert(sizeof(hmac_sha256_key) == 64);
}

TEST(SigningKey, IsWipedOnDestruction) {
  alignas(hmac_sha256_key) unsigned char storage[sizeof(hmac_sha256_key)];
  auto* key = ::new (static_cast<void*>(storage)) hmac_sha256_key{"secret"};
  key->~hmac_sha256_key();
  for (unsigned char volatile& byte : storage) EXPECT_EQ(byte, 0);
}

TEST(SeededCrypto, RepeatsItsBytesForTheSameSeed) {
  std::string a(40, '\0'), b(40, '\0'), c(40, '\0');
  ASSERT_TRUE(seeded_crypto{7}.fill_random(a));
  ASSERT_TRUE(seeded_crypto{7}.fill_random(b));
  ASSERT_TRUE(seeded_crypto{8}.fill_random(c));
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

// SplitMix64 seeded with 1234567: the first output, least significant byte first.
TEST(SeededCrypto, StartsWithThePublishedFirstValueOfSplitmix64) {
  std::string bytes(8, '\0');
  ASSERT_TRUE(seeded_crypto{1234567}.fill_random(bytes));
  std::uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  EXPECT_EQ(word, 6457827717110365317u);
}

TEST(OpensslCrypto, FillsEveryByte) {
  std::string bytes((1u << 20) + 3, '\0');
  ASSERT_TRUE(openssl_crypto{}.fill_random(bytes));
  EXPECT_NE(bytes.substr(bytes.size() - 32), std::string(32, '\0'));
  ASSERT_TRUE(openssl_crypto{}.fill_random({}));
}

TEST(EqualConstantTime, ComparesContentAndLength) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "abcd"));
}

}  // namespace
