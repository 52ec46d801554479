#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/etag.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/mqtt_identity.hpp>
#include <iothub/wire/mqtt_user_name.hpp>

namespace {

using namespace iothub;

TEST(IdentityRules, AllowTheDocumentedCharactersAndNoOthers) {
  std::string const punctuation = "-:.+%_#*?!(),=@;$'";
  for (int c = 0; c != 256; ++c) {
    char const x = static_cast<char>(c);
    bool const wanted = is_alnum(x) || (x != '\0' && punctuation.find(x) != std::string::npos);
    EXPECT_EQ(is_valid_id(std::string("a") + x), wanted) << c;
  }
  EXPECT_TRUE(is_valid_id(std::string(128, 'x')));
  EXPECT_FALSE(is_valid_id(std::string(129, 'x')));
  EXPECT_FALSE(is_valid_id(""));
}

TEST(IdentityRules, SayWhatIsWrongWithAnId) {
  EXPECT_EQ(check_id("").error().message(), "the device id is empty");
  EXPECT_EQ(check_id("a/b", "module id").error().message(),
            "the module id holds a character that is not allowed, at offset 1");
  EXPECT_EQ(check_id(std::string(129, 'x')).error().message(), "the device id has more than 128 characters");
  EXPECT_TRUE(check_id("a#b"));
  EXPECT_EQ(check_mqtt_id("a#b").error(), errc::unsupported);
  EXPECT_EQ(check_mqtt_id("a+b").error(), errc::unsupported);
  EXPECT_EQ(check_mqtt_id("a b").error(), errc::invalid_argument);
  EXPECT_TRUE(check_mqtt_id("a:b"));
}

TEST(IdentityRules, MethodNamesArePrintableWithoutSeparators) {
  EXPECT_TRUE(is_valid_method_name("SetTelemetryInterval"));
  EXPECT_TRUE(is_valid_method_name("a-b_c.d!%41|~`^&*'"));
  for (char c : std::string{"$()<>@,;:\\\"/[]?={} \t+#\x7f\x80"})
    EXPECT_FALSE(is_valid_method_name(std::string("a") + c));
  EXPECT_EQ(check_method_name("").error().message(), "the method name is empty");
  EXPECT_EQ(check_method_name("a b").error(), errc::invalid_argument);
  EXPECT_EQ(check_method_name(std::string(101, 'x')).error(), errc::invalid_argument);
  EXPECT_TRUE(check_method_name(std::string(100, 'x')));
}

TEST(IdentityRules, RequestIdsCannotChangeTheTopicTheyAreSentBackIn) {
  EXPECT_TRUE(is_valid_request_id("1a"));
  EXPECT_TRUE(is_valid_request_id("00010203-0405-4607-8809-0a0b0c0d0e0f"));
  for (char c : std::string{"/#+&?$ \n\x7f"}) EXPECT_FALSE(is_valid_request_id(std::string("1") + c));
  EXPECT_FALSE(is_valid_request_id(""));
  EXPECT_FALSE(is_valid_request_id(std::string(129, '1')));
}

TEST(IdentityRules, HostNamesAreLabels) {
  for (auto good : {"localhost", "127.0.0.1", "my-hub.azure-devices.net", "a_b.c"})
    EXPECT_TRUE(is_valid_host_name(good));
  for (auto bad : {"", ".", "a.", ".a", "a..b", "a:1", "a/b", "a b", "[::1]"})
    EXPECT_FALSE(is_valid_host_name(bad)) << bad;
  EXPECT_FALSE(is_valid_host_name(std::string(64, 'a')));
}

TEST(MqttIdentity, WritesWhatTheDocumentationShows) {
  EXPECT_EQ(mqtt_client_id("d1"), "d1");
  EXPECT_EQ(mqtt_client_id("d1", "m1"), "d1/m1");
  EXPECT_EQ(mqtt_user_name({.host_name = "h", .device_id = "d1"}), "h/d1/?api-version=2021-04-12");
  EXPECT_EQ(mqtt_user_name({.host_name = "h",
                            .device_id = "d1",
                            .module_id = "m1",
                            .client_type = "iothub/1 (x)",
                            .model_id = "dtmi:com:example:Thermostat;1"}),
            "h/d1/m1/?api-version=2021-04-12&DeviceClientType=iothub%2F1%20%28x%29"
            "&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1");
}

TEST(MqttIdentity, ReadsItsOwn) {
  mqtt_identity const identity{.host_name = "h",
                               .device_id = "a-:.+%_#*?!(),=@;$'",
                               .module_id = "m=1",
                               .api_version = "v",
                               .client_type = "a&b=c/d \xC3\xA9",
                               .model_id = "dtmi:a;1"};
  EXPECT_EQ(parse_mqtt_user_name(mqtt_user_name(identity)).value(), identity);
}

TEST(MqttIdentity, ReadsEveryVariantOfOfficialClients) {
  mqtt_identity const wanted{.host_name = "h", .device_id = "d", .api_version = "1"};
  EXPECT_EQ(parse_mqtt_user_name("h/d/?api-version=1").value(), wanted);
  EXPECT_EQ(parse_mqtt_user_name("h/d/api-version=1").value(), wanted);
  EXPECT_EQ(parse_mqtt_user_name("h/d/?api-version=1&api-version=2&other=x").value(), wanted);
  EXPECT_EQ(parse_mqtt_user_name("h/d/?x&api-version=1").value(), wanted);
  EXPECT_EQ(parse_mqtt_user_name("h/d/?DeviceClientType=a/b%zz&api-version=1").value().client_type, "a/b%zz");
  EXPECT_EQ(parse_mqtt_user_name("h/d/m/?api-version=1").value().module_id, "m");
  EXPECT_EQ(parse_mqtt_user_name("h/d/?").value().api_version, "");
}

TEST(MqttIdentity, RefusesTheRest) {
  for (auto bad : {"", "h", "h/d", "h/d/", "/d/?api-version=1", "h//?api-version=1", "h/d//?api-version=1",
                   "h/d/m/x/?api-version=1", "h/d/?api-version=", "h/a b/?api-version=1", "h/?api-version=1"})
    EXPECT_EQ(parse_mqtt_user_name(bad).error(), errc::malformed) << bad;
}

TEST(Etag, ReadsEveryWayToSayAny) {
  for (auto any : {"*", "\"*\"", " * "}) EXPECT_EQ(read_if_match(any).kind, if_match_kind::any) << any;
  for (auto none : {"", "\"\"", "abc", "\"abc", "\""}) EXPECT_EQ(read_if_match(none).kind, if_match_kind::none) << none;
  auto const exact = read_if_match("\"MQ==\"");
  EXPECT_EQ(exact.kind, if_match_kind::exact);
  EXPECT_TRUE(exact.met_by("MQ=="));
  EXPECT_FALSE(exact.met_by("Mg=="));
  EXPECT_TRUE(read_if_match("*").met_by("Mg=="));
  EXPECT_EQ(quote_etag("a"), "\"a\"");
  EXPECT_EQ(unquote_etag("\"a\""), "a");
  EXPECT_EQ(unquote_etag("a"), "a");
}

}  // namespace
