// Texts of strangers: what is refused, and what is printed so that it cannot harm who reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <iothub/wire/c2d_feedback.hpp>
#include <iothub/wire/event_hub_string.hpp>
#include <iothub/wire/hub_errors.hpp>
#include <iothub/wire/hub_event_text.hpp>
#include <iothub/wire/twin_rules.hpp>

namespace {

using namespace iothub;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(EventHubStringOfAStranger, IsRefusedWithItsReason) {
  struct row {
    std::string_view text;
    std::string_view why;
  };
  constexpr row rows[] = {
      {"Endpoint=h", "sb://"},
      {"Endpoint=http://h/", "sb://"},
      {"Endpoint=sb://h:0/", "no port"},
      {"Endpoint=sb://h:x/", "no port"},
      {"Endpoint=sb://h:65536/", "no port"},
      {"Endpoint=sb://h:/", "no port"},
      {"Endpoint=sb:///", "no host"},
      {"Endpoint=sb://a b/", "no host"},
      {"Endpoint=sb://h/;Endpoint=sb://h/", "element 2 is there twice"},
      {"Endpoint=", "element 1 is empty"},
      {"Endpoint=sb://h/;EntityPath=e", "one of them"},
      {"Endpoint=sb://h/;EntityPath=e;SharedAccessKey=a2V5;SharedAccessSignature=SharedAccessSignature x", "one of them"},
      {"Endpoint=sb://h/;EntityPath=e;SharedAccessKey=a2V5", "SharedAccessKeyName is missing"},
      {"Endpoint=sb://h/;EntityPath=e;SharedAccessSignature=sr=x", "does not begin"},
      {"Endpoint=sb://h/;EntityPath=e;SharedAccessKeyName=n;SharedAccessKey=a2V5;UseDevelopmentEmulator=yes", "true or false"},
      {"EntityPath=e;SharedAccessKeyName=n;SharedAccessKey=a2V5", "Endpoint is missing"},
      {"Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=a2V5", "EntityPath is missing"},
  };
  for (auto const& r : rows) {
    auto const parsed = parse_event_hub_string(r.text);
    ASSERT_FALSE(parsed.has_value()) << r.text;
    EXPECT_EQ(parsed.error(), errc::malformed);
    EXPECT_THAT(std::string{parsed.error().message()}, HasSubstr(std::string{r.why})) << r.text;
    EXPECT_THAT(std::string{parsed.error().message()}, Not(HasSubstr("a2V5")));
  }
  auto const plain = parse_event_hub_string(
      "Endpoint=sb://h/;EntityPath=e;SharedAccessKeyName=n;SharedAccessKey=a2V5;UseDevelopmentEmulator=false");
  ASSERT_TRUE(plain.has_value());
  EXPECT_FALSE(plain->emulator);
}

TEST(EventTextOfAStranger, NeverMovesTheCursor) {
  hub_event e;
  e.module_id = "m\x7f";
  e.message_source = "twin\nChangeEvents";
  e.content.body = message_body{std::string{"\xc2\x9b" "2J"}};  // a terminal takes U+009B for the start of a command
  e.content.properties = {{"n\x1b", "v"}, {"none", "", false}};
  auto const line = to_line(e);
  EXPECT_THAT(line, HasSubstr(" -/m\\x7f twin\\x0aChangeEvents <4 bytes> n\\x1b=v none"));
  e.content.body = message_body{std::string{"\xc2\xa9"}};  // U+00A9 is a letter like any other
  EXPECT_THAT(to_line(e), HasSubstr("\xc2\xa9"));
  e.message_source = "Telemetry";
  e.module_id.clear();
  EXPECT_THAT(to_line(e), Not(HasSubstr("Telemetry")));
}

TEST(EventTextOfAStranger, IsADocumentWhateverItsBytesAre) {
  hub_event e;
  e.device_id = "d\xff";
  e.content.message_id = "\xff";
  e.content.body = message_body{std::string{"\xff\x00", 2}};
  e.content.properties = {{"a", "b"}, {"\xff", "x"}, {"x", "\xff"}, {"none", "", false}};
  e.content.creation_time = from_unix_seconds(0);
  e.annotations = {{"k", "v"}};
  e.missed_before = 3;
  auto const made = to_json(e);
  EXPECT_EQ(made["deviceIdBase64"], "ZP8=");
  EXPECT_EQ(made["messageIdBase64"], "/w==");
  EXPECT_EQ(made["bodyBase64"], "/wA=");
  EXPECT_EQ(made["properties"].dump(), R"({"a":"b","none":null})");  // names and values that are no text are left out
  EXPECT_EQ(made["creationTime"], "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(made["annotations"]["k"], "v");
  EXPECT_EQ(made["missedBefore"], 3);
  EXPECT_TRUE(json::parse(made.dump()).has_value());
}

TEST(TwinNames, HoldNoWhiteSpaceAndNoControlsOfAnyAlphabet) {
  auto const refused = [](std::string_view name, bool strict) {
    json::value patch = json::value::make_object();
    patch.set(name, 1);
    twin_rules rules;
    rules.strict_names = strict;
    return !check_twin_patch(patch, rules).has_value();
  };
  for (char const* name : {"a\xc2\xa0", "a\xe1\x9a\x80", "a\xe2\x80\x80", "a\xe2\x80\x8a", "a\xe2\x80\xa8", "a\xe2\x80\xa9", "a\xe2\x80\xaf",
                           "a\xe2\x81\x9f", "a\xe3\x80\x80", "a#"}) {
    EXPECT_TRUE(refused(name, true)) << name;
    EXPECT_FALSE(refused(name, false)) << name;
  }
  for (char const* name : {"a\xc2\x85", "\xc2\x9f", "a.b", "a b", "$a", "a\x7f", ""}) {
    EXPECT_TRUE(refused(name, true)) << name;
    EXPECT_TRUE(refused(name, false)) << name;
  }
  for (char const* name : {"a\xc3\xa9", "\xc2\xa1", "\xe1\x9a\x81", "\xe1\x9b\x80", "\xe2\x80\x8b", "\xe2\x80\xb0", "\xe2\x81\xa0", "\xe2\x82\xac",
                           "\xe3\x80\x81", "\xe3\x81\x82", "\xf0\x9f\x98\x80"})
    EXPECT_FALSE(refused(name, true)) << name;
}

TEST(HubErrors, EachDocumentedNumberHasItsMeaning) {
  struct row {
    int code;
    errc meaning;
  };
  for (auto const& r : {row{400023, errc::precondition_failed}, row{400024, errc::timeout}, row{403002, errc::quota_exceeded},
                        row{403004, errc::queue_full}, row{403007, errc::queue_full}, row{403012, errc::device_disabled},
                        row{404001, errc::device_not_found}, row{404002, errc::job_not_found}, row{404010, errc::module_not_found},
                        row{404102, errc::device_offline}, row{404103, errc::device_offline}, row{404104, errc::device_offline},
                        row{412002, errc::lock_lost}, row{418000, errc::bad_request}, row{599000, errc::server_error},
                        row{600000, errc::protocol_error}, row{99000, errc::protocol_error}})
    EXPECT_EQ(errc_of_hub_code(r.code), r.meaning) << r.code;
}

TEST(HubErrors, ABodyWithoutSenseIsAnErrorAllTheSame) {
  for (char const* body : {"", "{}", "[]", R"({"errorCode":0})", R"({"errorCode":-1})", R"({"errorCode":99999999})", R"({"errorCode":true})",
                           R"({"Message":"ErrorCode:DeviceNotFound"})", R"({"Message":"ErrorCode:;x"})", R"({"Message":"{\"errorCode\":1}"})",
                           R"({"Message":"[1]"})", "no json"}) {
    auto const e = read_error_body(404, body, {});
    EXPECT_EQ(e.http_status(), 404) << body;
    EXPECT_FALSE(e.message().empty()) << body;
  }
}

}  // namespace
