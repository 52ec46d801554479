#include <gtest/gtest.h>

#include <string>

#include <iothub/crypto/openssl.hpp>
#include <iothub/wire/sas_signer.hpp>
#include <iothub/wire/sas_token.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

std::string const key_text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
std::string const device1 =
    "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdevice1"
    "&sig=gFSfLGMXDOvf906%2FiaX3KwzLLNFHgaFZyCbsGjxtd1Y%3D&se=1700000000";

struct fixed_clock {
  utc_time utc = from_unix_seconds(1'700'000'000 - 3600);
  [[nodiscard]] time_point now() const { return {}; }
  [[nodiscard]] utc_time utc_now() const { return utc; }
};

using signer = basic_sas_signer<fixed_clock&, openssl_crypto>;

bool made_with_the_key(std::string const& token) {
  openssl_crypto crypto;
  auto key = crypto.prepare(from_base64(key_text).value()).value();
  return verify_sas_signature(parse_sas_token(token).value(), crypto, key).value();
}

TEST(SasToken, ReadsFieldsInAnyOrderAndIgnoresUnknownOnes) {
  for (auto text : {"SharedAccessSignature sr=a&sig=gFSfLGMXDOvf906%2FiaX3KwzLLNFHgaFZyCbsGjxtd1Y%3D&se=7&skn=p",
                    "SharedAccessSignature skn=p&se=7&new=1&sig=gFSfLGMXDOvf906/iaX3KwzLLNFHgaFZyCbsGjxtd1Y%3d&sr=a"}) {
    auto const token = parse_sas_token(text).value();
    EXPECT_EQ(token.resource, "a");
    EXPECT_EQ(token.policy, "p");
    EXPECT_EQ(token.expiry, 7);
    EXPECT_EQ(token.signature[0], 0x80);
  }
}

TEST(SasToken, RefusesEveryBrokenForm) {
  std::string const good{device1.substr(22)};
  for (std::string const& bad :
       {std::string{}, std::string{"SharedAccessSignature"}, std::string{"SharedAccessSignature "}, good, " " + device1,
        "SharedAccessSignature " + device1, device1 + "&se=1", device1 + "&sr=x", device1 + "x", device1 + " ",
        std::string{"SharedAccessSignature sr=a&sig=&se=1"}, std::string{"SharedAccessSignature sr=&sig=x&se=1"},
        std::string{"SharedAccessSignature sr=a&sig=%zz&se=1"}, device1 + "0000000000"})
    EXPECT_EQ(parse_sas_token(bad).error().code(), errc::malformed) << bad;
  EXPECT_EQ(parse_sas_token(device1 + "&x=" + std::string(5000, 'a')).error().code(), errc::too_large);
}

TEST(SasToken, RefusesEveryTruncationThatLosesAField) {
  std::size_t const expiry = device1.find("&se=") + 4;
  for (std::size_t size = 0; size != device1.size(); ++size)
    EXPECT_EQ(parse_sas_token(device1.substr(0, size)).has_value(), size > expiry) << size;
}

TEST(SasToken, VerifiesOverTheResourceAsItCame) {
  EXPECT_TRUE(made_with_the_key(device1));
  EXPECT_TRUE(
      made_with_the_key("SharedAccessSignature sr=myhub.azure-devices.net%2fdevices%2fdevice1"
                        "&sig=iIyvul1z7xsjQDMXvGvUxZi%2blqnXkFn5lOgyNrICYDM%3d&se=1700000000"));
  EXPECT_TRUE(
      made_with_the_key("SharedAccessSignature sr=myhub.azure-devices.net/devices/device1"
                        "&sig=NlrxHOPrp0Ykah29gS5LOHFu7Y/i4fWSpV//MjSnuQ8%3D&se=1700000000"));
  EXPECT_FALSE(
      made_with_the_key("SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdevice2"
                        "&sig=gFSfLGMXDOvf906%2FiaX3KwzLLNFHgaFZyCbsGjxtd1Y%3D&se=1700000000"));
  EXPECT_FALSE(
      made_with_the_key("SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdevice1"
                        "&sig=gFSfLGMXDOvf906%2FiaX3KwzLLNFHgaFZyCbsGjxtd1Y%3D&se=1700000001"));
}

TEST(SasToken, ResourceCoversWholeSegmentsOnly) {
  EXPECT_TRUE(sas_resource_covers("h%2Fdevices%2Fd1", "h/devices/d1"));
  EXPECT_TRUE(sas_resource_covers("h%2fdevices%2fd1", "h/devices/d1/modules/m1"));
  EXPECT_TRUE(sas_resource_covers("h/devices/d1", "h/devices/d1"));
  EXPECT_TRUE(sas_resource_covers("h", "h/devices/d1"));
  EXPECT_TRUE(sas_resource_covers("h/devices", "h/devices/d1"));
  EXPECT_FALSE(sas_resource_covers("h/devices/d1", "h/devices/d10"));
  EXPECT_FALSE(sas_resource_covers("h/devices/d10", "h/devices/d1"));
  EXPECT_FALSE(sas_resource_covers("h/devices/d1/modules/m1", "h/devices/d1"));
  EXPECT_FALSE(sas_resource_covers("", "h/devices/d1"));
  EXPECT_FALSE(sas_resource_covers("other", "h/devices/d1"));
  EXPECT_FALSE(sas_resource_covers("h%2", "h/devices/d1"));
}

TEST(SasToken, HostsCompareWithoutCaseAndIdsWith) {
  EXPECT_TRUE(sas_resource_covers("MyHub.Azure-Devices.NET/devices/d1", "myhub.azure-devices.net/devices/d1"));
  EXPECT_FALSE(sas_resource_covers("h/devices/D1", "h/devices/d1"));
  EXPECT_TRUE(sas_resource_covers("h%2Fdevices%2Fa%252F1", "h/devices/a%2F1"));  // escaped once, never twice
}

TEST(SasToken, EscapesEveryIdForTheResource) {
  EXPECT_EQ(sas_resource("myhub.azure-devices.net", "dev-a.b_c:d%25@x$'()!*#,;=?+"),
            "myhub.azure-devices.net%2Fdevices%2Fdev-a.b_c%3Ad%2525%40x%24%27%28%29%21%2A%23%2C%3B%3D%3F%2B");
  EXPECT_EQ(sas_resource("h", "d", "m"), "h%2Fdevices%2Fd%2Fmodules%2Fm");
  EXPECT_EQ(sas_resource("h"), "h");
}

TEST(SasToken, ExpiresAtItsSecondUnlessClocksMayDiffer) {
  EXPECT_FALSE(sas_expired(100, from_unix_seconds(99)));
  EXPECT_TRUE(sas_expired(100, from_unix_seconds(100)));
  EXPECT_FALSE(sas_expired(100, from_unix_seconds(399), 300s));
  EXPECT_TRUE(sas_expired(100, from_unix_seconds(400), 300s));
}

TEST(SasSigner, MintsTheDocumentedToken) {
  fixed_clock clock;
  auto device =
      signer::make(clock, {}, secret{key_text}, {.host_name = "myhub.azure-devices.net", .device_id = "device1"})
          .value();
  EXPECT_EQ(device.token().value(), device1);
  auto hub =
      signer::make(clock, {}, secret{key_text}, {.host_name = "myhub.azure-devices.net", .policy = "a@b"}).value();
  EXPECT_EQ(hub.token().value(),
            "SharedAccessSignature sr=myhub.azure-devices.net&sig=iIzEw6hi6GK79RY5jNXO6QeQkSL%2FAx4zTmy44X2G1VY%3D"
            "&se=1700000000&skn=a%40b");
}

TEST(SasSigner, SaysWhenTheNextOneIsDue) {
  fixed_clock clock;
  utc_time const start = clock.utc;
  auto s = signer::make(clock, {}, secret{key_text}, {.host_name = "h", .lifetime = 3600s, .margin = 600s}).value();
  EXPECT_TRUE(s.renewal_due());
  (void)s.token().value();
  EXPECT_EQ(s.expires_at(), start + 3600s);
  EXPECT_EQ(s.renew_at(), start + 3000s);
  clock.utc = start + 3000s - 1us;
  EXPECT_FALSE(s.renewal_due());
  clock.utc = start + 3000s;
  EXPECT_TRUE(s.renewal_due());
  (void)s.token().value();
  EXPECT_FALSE(s.renewal_due());
  EXPECT_EQ(s.expires_at(), start + 6600s);
}

TEST(SasSigner, TakesAFifthOfTheLifetimeForAMargin) {
  fixed_clock clock;
  auto s = signer::make(clock, {}, secret{key_text}, {.host_name = "h", .lifetime = 1000s}).value();
  (void)s.token().value();
  EXPECT_EQ(s.expires_at() - s.renew_at(), 200s);
}

TEST(SasSigner, AppendsWithoutGrowingWhatHasRoom) {
  fixed_clock clock;
  auto s = signer::make(clock, {}, secret{key_text}, {.host_name = "h", .device_id = "d"}).value();
  std::string text{"Authorization: "};
  text.reserve(text.size() + s.token_size());
  char const* const place = text.data();
  ASSERT_TRUE(s.append_token(text));
  EXPECT_EQ(text.data(), place);
  EXPECT_TRUE(text.starts_with("Authorization: SharedAccessSignature sr=h%2Fdevices%2Fd&sig="));
}

TEST(SasSigner, RefusesWhatCannotWork) {
  fixed_clock clock;
  auto const make = [&](char const* key, sas_options o) { return signer::make(clock, {}, secret{key}, std::move(o)); };
  EXPECT_EQ(make("AA==", {}).error(), errc::invalid_argument);
  EXPECT_EQ(make("AA==", {.host_name = "h", .lifetime = 0s}).error(), errc::invalid_argument);
  EXPECT_EQ(make("AA==", {.host_name = "h", .lifetime = 60s, .margin = 60s}).error(), errc::invalid_argument);
  EXPECT_EQ(make("AA==", {.host_name = "h", .margin = -1s}).error(), errc::invalid_argument);
  EXPECT_EQ(make("!", {.host_name = "h"}).error(), errc::malformed);
  EXPECT_EQ(make("", {.host_name = "h"}).error(), errc::malformed);
}

}  // namespace
