// SAS strings, HMAC, base64 and percent-encoding against vectors made with other implementations (Python's hmac, base64
// and urllib; RFC 4231, RFC 4648).
#include <gtest/gtest.h>

#include <string>

#include <iothub/base/base64.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/crypto/openssl.hpp>
#include <iothub/wire/sas_signer.hpp>
#include <iothub/wire/sas_token.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;

std::string text_of(json::value const& v) {
  return std::string{v.as_string().value_or("")};
}
std::string digest_text(digest256 const& d) {
  return {reinterpret_cast<char const*>(d.data()), d.size()};
}

hmac_sha256_key key_of(std::string const& base64) {
  return openssl_crypto{}.prepare(from_base64(base64).value()).value();
}

TEST(Rfc4231, EveryCaseMatches) {
  auto const vectors = iothub_test::load("rfc4231_hmac_sha256.json");
  std::size_t seen = 0;
  for (auto const& row : vectors["cases"].elements()) {
    openssl_crypto crypto;
    auto const key = crypto.prepare(from_hex(text_of(row["key"])).value()).value();
    std::string digest = digest_text(crypto.sign(key, from_hex(text_of(row["data"])).value()).value());
    if (auto const cut = row["truncated_bytes"].as_int()) digest.resize(static_cast<std::size_t>(*cut));
    EXPECT_EQ(to_hex(digest), text_of(row["hmac_sha256"])) << row.dump();
    ++seen;
  }
  EXPECT_EQ(seen, 7u);
}

TEST(Rfc4648, EveryRowMatchesAndEveryBadOneIsRefused) {
  auto const vectors = iothub_test::load("rfc4648_base64.json");
  EXPECT_EQ(vectors["ok"].size(), 16u);
  EXPECT_EQ(vectors["refuse"].size(), 13u);
  for (auto const& row : vectors["ok"].elements()) {
    auto const bytes = from_hex(text_of(row["bytes"])).value();
    EXPECT_EQ(to_base64(bytes), text_of(row["text"]));
    EXPECT_EQ(from_base64(text_of(row["text"])).value(), bytes);
  }
  // Bits behind the last byte are among them: they are refused here (RFC 4648 section 3.5).
  for (auto const& row : vectors["refuse"].elements())
    EXPECT_EQ(from_base64(text_of(row["text"])).error(), errc::malformed) << row.dump();
}

TEST(PercentVectors, EveryRowMatchesAndEveryBadOneIsRefused) {
  auto const vectors = iothub_test::load("percent_encoding.json");
  EXPECT_EQ(vectors["encode"].size(), 23u);
  EXPECT_EQ(vectors["decode_refuse"].size(), 10u);
  for (auto const& row : vectors["encode"].elements()) {
    EXPECT_EQ(percent_encode(text_of(row["text"])), text_of(row["encoded"]));
    EXPECT_EQ(percent_decode(text_of(row["encoded"])).value(), text_of(row["text"]));
  }
  for (auto const& row : vectors["decode_refuse"].elements())
    EXPECT_EQ(percent_decode_text(text_of(row["text"])).error(), errc::malformed) << row.dump();
}

struct fixed_clock {
  std::int64_t seconds = 0;
  [[nodiscard]] time_point now() const { return {}; }
  [[nodiscard]] utc_time utc_now() const { return from_unix_seconds(seconds); }
};

TEST(SasVectors, EveryGoodTokenIsMadeAndVerified) {
  auto const vectors = iothub_test::load("sas_tokens.json");
  EXPECT_EQ(vectors["ok"].size(), 5u);
  for (auto const& row : vectors["ok"].elements()) {
    std::string const key_text = text_of(row["key_base64"]), resource = text_of(row["resource"]);
    std::int64_t const expiry = row["expiry"].as_int().value();
    auto key = key_of(key_text);
    sas_template shape{percent_encode(resource), text_of(row["policy"])};
    EXPECT_EQ(shape.string_to_sign(expiry), text_of(row["string_to_sign"]));
    auto const digest = key.sign(shape.string_to_sign(expiry));
    EXPECT_EQ(to_base64(digest_text(digest)), text_of(row["signature_base64"]));
    std::string token;
    shape.append(token, digest, expiry);
    EXPECT_EQ(token, text_of(row["token"]));

    std::string const text = text_of(row["token"]);  // the parts are views into it
    auto const parsed = parse_sas_token(text).value();
    openssl_crypto crypto;
    EXPECT_TRUE(verify_sas_signature(parsed, crypto, key).value()) << row.dump();
    EXPECT_TRUE(sas_resource_covers(parsed.resource, resource)) << row.dump();
    EXPECT_EQ(parsed.expiry, expiry);
    EXPECT_EQ(percent_decode(parsed.policy).value(), text_of(row["policy"]));
  }
}

TEST(SasVectors, TheSignerMakesTheSameTokens) {
  auto const vectors = iothub_test::load("sas_tokens.json");
  auto const& row = vectors["ok"].elements().begin()[4];
  fixed_clock clock{row["expiry"].as_int().value() - 3600};
  auto signer = basic_sas_signer<fixed_clock, openssl_crypto>::make(
      clock, {}, secret{text_of(row["key_base64"])},
      {.host_name = "h.azure-devices.net", .device_id = "d1", .module_id = "m1"});
  EXPECT_EQ(signer.value().token().value(), text_of(row["token"]));
}

TEST(SasVectors, EveryBadTokenIsRefusedSomewhere) {
  auto const vectors = iothub_test::load("sas_tokens.json");
  EXPECT_EQ(vectors["refuse"].size(), 11u);
  for (auto const& row : vectors["refuse"].elements()) {
    auto const token = text_of(row["token"]);
    auto const parsed = parse_sas_token(token);
    if (!parsed) continue;
    openssl_crypto crypto;
    auto key = key_of("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    EXPECT_FALSE(verify_sas_signature(*parsed, crypto, key).value() &&
                 sas_resource_covers(parsed->resource, "h.azure-devices.net/devices/d1"))
        << row["name"].dump();
  }
}

// Made with an independent implementation; the first is the documented form, the next two are what other clients send.
TEST(SasVectors, SignatureFollowsTheSpellingOfTheResource) {
  auto const key = key_of("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
  for (auto const& [resource, signature] :
       {std::pair{"myhub.azure-devices.net%2Fdevices%2Fdevice1", "gFSfLGMXDOvf906/iaX3KwzLLNFHgaFZyCbsGjxtd1Y="},
        std::pair{"myhub.azure-devices.net%2fdevices%2fdevice1", "iIyvul1z7xsjQDMXvGvUxZi+lqnXkFn5lOgyNrICYDM="},
        std::pair{"myhub.azure-devices.net/devices/device1", "NlrxHOPrp0Ykah29gS5LOHFu7Y/i4fWSpV//MjSnuQ8="},
        std::pair{"myhub.azure-devices.net%2Fdevices%2Fdevice1%2Fmodules%2Fmod1",
                  "AXjj7ZMV66oOI2zG1PugMgZ11Jn6WP2K6XWP9Wc2Z30="},
        std::pair{"myhub.azure-devices.net", "iIzEw6hi6GK79RY5jNXO6QeQkSL/Ax4zTmy44X2G1VY="},
        std::pair{"myhub.azure-devices.net%2Fdevices%2Fdev-a.b_c%3Ad%2525%40x%24%27%28%29%21%2A%23%2C%3B%3D%3F%2B",
                  "bBQl1Tg71WM/bS1XYFO1D7S7rWc6TakAvCmt1HD0GyM="},
        std::pair{"0ne00111111%2Fregistrations%2Fmy-symkey-device", "NtrF6lCNOrExdRCiPyNPDcziQuXSOdvw99neTdptYgY="}}) {
    sas_template shape{resource};
    EXPECT_EQ(to_base64(digest_text(key.sign(shape.string_to_sign(1'700'000'000)))), signature) << resource;
  }
  // A device's key derived from a group's (Microsoft docs: iot-dps-https-sym-key-support).
  EXPECT_EQ(to_base64(digest_text(key.sign("my-symkey-device"))), "rKJvgvDWRYyAYq2fxy/Z1qphsqPlVS2iL+qUeTShO54=");
}

// Every resource that the SDKs signed, in their spelling, opens what they wanted.
TEST(SasGoldens, ResourcesOfTheSdksCoverTheirIdentities) {
  auto const goldens = iothub_test::load("goldens.json");
  std::size_t seen = 0;
  for (auto const& row : goldens.elements()) {
    auto const sr = row["password_form"]["sr"].as_string();
    if (!sr || sr->find("registrations") != std::string_view::npos) continue;  // provisioning has resources of its own
    std::string const id = text_of(row["clientId"]);
    split_pair const ids = split_once(id, '/');
    std::string wanted = "localhost/devices/" + std::string{ids.before};
    if (ids.found) wanted.append("/modules/").append(ids.after);
    EXPECT_TRUE(sas_resource_covers(*sr, wanted)) << *sr;
    EXPECT_EQ(sas_resource("localhost", ids.before, ids.after), *sr);  // ours is spelled the same
    EXPECT_FALSE(sas_resource_covers(*sr, "localhost/devices/other"));
    ++seen;
  }
  EXPECT_GE(seen, 8u);
}

}  // namespace
