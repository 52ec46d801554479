#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/message_headers.hpp>
#include <iothub/wire/message_properties.hpp>

namespace {

using namespace iothub;
using namespace std::string_literals;

std::string telemetry_bag(message const& m) {
  std::string bag;
  append_telemetry_bag(bag, m).value();
  return bag;
}
message read(std::string_view bag) {
  message m;
  read_property_bag(bag, m).value();
  return m;
}
errc fault(std::string_view bag, bag_options const& options = {}) {
  message m;
  auto const outcome = read_property_bag(bag, m, options);
  EXPECT_FALSE(outcome) << bag;
  return outcome ? errc::stalled : outcome.error().code();
}

std::string const awkward = "a b&c=d/\xC3\xA9%+?#$!'()*~\r\n";

TEST(TelemetryBag, PutsSystemPropertiesFirstInTheirOrder) {
  message m{.properties = {{"b", "2"}, {"a", "1"}}};
  m.message_id = "mid";
  m.correlation_id = "cid";
  m.user_id = "uid";
  m.content_type = "application/json";
  m.content_encoding = "utf-8";
  m.to = "/x";
  m.output_name = "out 1";
  m.component_name = "thermostat1";
  m.interface_id = "urn:azureiot:Security:SecurityAgent:1";
  m.expiry_time = from_unix_seconds(1893553445);
  m.creation_time = from_unix_seconds(0);
  EXPECT_EQ(telemetry_bag(m),
            "%24.on=out%201&%24.mid=mid&%24.cid=cid&%24.uid=uid&%24.to=%2Fx&%24.ct=application%2Fjson&%24.ce=utf-8"
            "&%24.ifid=urn%3Aazureiot%3ASecurity%3ASecurityAgent%3A1&%24.sub=thermostat1"
            "&%24.exp=2030-01-02T03%3A04%3A05.000Z&%24.ctime=1970-01-01T00%3A00%3A00.000Z&b=2&a=1");
  EXPECT_EQ(read(telemetry_bag(m)), m);
}

TEST(TelemetryBag, TellsNoValueFromAnEmptyOne) {
  message const m{.properties = {{"none", "", false}, {"empty", ""}}};
  EXPECT_EQ(telemetry_bag(m), "none&empty=");
  EXPECT_EQ(read("none&empty=").properties, m.properties);
}

TEST(TelemetryBag, RoundTripsEveryFieldWithAwkwardText) {
  message m{.properties = {{awkward, awkward}, {"$starts", "$.mid"}, {"%24.mid", "literal"}}};
  for (auto const& p : detail::text_properties)
    if (p.key != "mid" && p.key != "cdid" && p.key != "cmid") m.*p.field = awkward;
  m.message_id = "a-:.+%_#*?!(),=@;$'";
  EXPECT_EQ(read(telemetry_bag(m)), m);
}

TEST(TelemetryBag, RefusesAnApplicationPropertyThatWouldBeASystemOne) {
  std::string bag{"kept"};
  for (auto name : {"$.mid", "$.", "$.anything"})
    EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{"a", "1"}, {name, "x"}}}).error(), errc::invalid_argument);
  EXPECT_EQ(bag, "kept");
}

TEST(TelemetryBag, RefusesEmptyNamesBadTextAndBadMessageIds) {
  std::string bag;
  EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{"", "x"}}}).error(), errc::invalid_argument);
  EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{"a", "\xC3"}}}).error(), errc::invalid_argument);
  EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{"a", "x\0"s}}}).error(), errc::invalid_argument);
  message m;
  m.message_id = "a b";
  EXPECT_EQ(append_telemetry_bag(bag, m).error(), errc::invalid_argument);
  m.message_id = std::string(129, 'x');
  EXPECT_EQ(append_telemetry_bag(bag, m).error(), errc::invalid_argument);
  EXPECT_EQ(bag, "");
}

TEST(TelemetryBag, RefusesMoreThanATopicHolds) {
  std::string bag;
  EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{std::string(70'000, 'a'), "1"}}}).error(), errc::too_large);
  EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{"a", std::string(30'000, ' ')}}}).error(), errc::too_large);
  EXPECT_EQ(append_telemetry_bag(bag, {.properties = {{"a", std::string(1'000'000, ' ')}}}).error(), errc::too_large);
  EXPECT_TRUE(append_telemetry_bag(bag, {.properties = {{"a", std::string(60'000, 'b')}}}));
}

TEST(TelemetryBag, WritesTheSameIntoAQueueOfBytes) {
  message const m{.properties = {{"a b", "c/d"}}};
  byte_buffer buffer;
  buffer.append("x");
  append_telemetry_bag(buffer, m).value();
  EXPECT_EQ(buffer.view(), "xa%20b=c%2Fd");
  EXPECT_FALSE(append_telemetry_bag(buffer, {.properties = {{"", ""}}}));
  EXPECT_EQ(buffer.view(), "xa%20b=c%2Fd");
}

TEST(PropertyBag, AcceptsBothSpellingsOfSystemNames) {
  EXPECT_EQ(read("$.mid=m").message_id, "m");
  EXPECT_EQ(read("%24.mid=m").message_id, "m");
  EXPECT_EQ(read("%24%2Emid=m").message_id, "m");
  EXPECT_EQ(read("$.cdid=d&$.cmid=m").connection_device_id, "d");
}

TEST(PropertyBag, AcceptsWhatClientsPutAroundIt) {
  for (auto bag : {"a=1", "?a=1", "/?a=1", "a=1/", "?a=1/more"})
    EXPECT_EQ(read(bag).properties, (property_list{{"a", "1"}})) << bag;
  for (auto bag : {"", "/", "?", "/?"}) EXPECT_EQ(read(bag), message{}) << bag;
}

TEST(PropertyBag, KeepsUnknownSystemNamesAndOddDatesForTheApplication) {
  EXPECT_EQ(read("$.schema=s").properties, (property_list{{"$.schema", "s"}}));
  EXPECT_EQ(read("$.exp=tomorrow").properties, (property_list{{"$.exp", "tomorrow"}}));
  EXPECT_EQ(read("$.exp=2030-01-02T03%3A04%3A05").expiry_time, from_unix_seconds(1893553445));
  EXPECT_EQ(read("$.exp=2030-01-02%2003%3A04%3A05%2B00%3A00").expiry_time, from_unix_seconds(1893553445));
}

TEST(PropertyBag, RefusesBrokenPairs) {
  for (auto bag : {"=v", "&a=1", "a=1&", "a=1&&b=2", "a=b=c", "a=%", "%zz=1", "a=%C3", "a=%00", "a=%ED%A0%80"})
    EXPECT_EQ(fault(bag), errc::malformed) << bag;
}

TEST(PropertyBag, KeepsTheFirstOfANameOrRefusesAsTold) {
  EXPECT_EQ(read("a=1&a=2").properties, (property_list{{"a", "1"}}));
  EXPECT_EQ(read("$.mid=1&%24.mid=2").message_id, "1");
  bag_options const strict{.duplicates = duplicate_names::refuse};
  EXPECT_EQ(fault("a=1&a=2", strict), errc::malformed);
  EXPECT_EQ(fault("$.mid=1&%24.mid=2", strict), errc::malformed);
}

TEST(PropertyBag, HasALimitOfItsOwn) {
  EXPECT_EQ(fault("a&b&c", {.max_properties = 2}), errc::too_large);
  message m;
  EXPECT_TRUE(read_property_bag("a&b", m, {.max_properties = 2}));
}

TEST(PropertyBag, EveryTruncationIsReadOrRefused) {
  std::string const bag = "%24.mid=a%20b&x=%C3%A9&y";
  for (std::size_t size = 0; size <= bag.size(); ++size) {
    message m;
    auto const outcome = read_property_bag(std::string_view{bag}.substr(0, size), m);
    EXPECT_TRUE(outcome || outcome.error() == errc::malformed);
  }
}

// The one layout that all five SDKs parse; each rule is explained at append_c2d_bag().
TEST(C2dBag, PutsMessageIdAndToFirstAndEscapesThem) {
  c2d_message m;
  m.content = {.properties = {{"p 1", "v+1"}}};
  m.content.message_id = "m1";
  m.content.correlation_id = "c1";
  m.content.content_type = "text/plain";
  m.content.expiry_time = from_unix_seconds(0);
  m.ack = feedback_request::full;
  std::string bag;
  append_c2d_bag(bag, m, "d1").value();
  EXPECT_EQ(bag,
            "%24.mid=m1&%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound&%24.cid=c1"
            "&%24.exp=1970-01-01T00%3A00%3A00.000Z&%24.ct=text%2Fplain&iothub-ack=full&p%201=v%2B1");
  c2d_message back;
  read_c2d_bag(bag, back).value();
  EXPECT_EQ(back.ack, feedback_request::full);
  m.content.to = "/devices/d1/messages/deviceBound";
  EXPECT_EQ(back.content, m.content);
}

TEST(C2dBag, HasAPropertyEvenWhenTheMessageHasNone) {
  std::string bag;
  append_c2d_bag(bag, {}, "d1").value();
  EXPECT_EQ(bag, "%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound");
}

TEST(C2dBag, ReadsEveryKindOfFeedbackRequest) {
  for (auto ack :
       {feedback_request::none, feedback_request::positive, feedback_request::negative, feedback_request::full}) {
    c2d_message m;
    read_c2d_bag("x&iothub-ack=" + std::string{to_string(ack)}, m).value();
    EXPECT_EQ(m.ack, ack);
    EXPECT_EQ(m.content.properties, (property_list{{"x", "", false}}));
  }
  EXPECT_EQ(feedback_request_of("other"), feedback_request::none);
}

TEST(InputBag, SaysWhoSentIt) {
  message m{.properties = {{"k", "v"}}};
  m.connection_device_id = "d1";
  m.connection_module_id = "m1";
  m.output_name = "out";
  std::string bag;
  append_input_bag(bag, m).value();
  EXPECT_EQ(bag, "%24.cdid=d1&%24.cmid=m1&k=v");
}

TEST(MessageSize, CountsBodyValuesAndApplicationNames) {
  message m{.body = "12345", .properties = {{"name", "value"}}};
  m.message_id = "mid";
  m.expiry_time = from_unix_seconds(0);
  EXPECT_EQ(message_size(m), 5u + 3 + 24 + 9);
}

TEST(MessageHeaders, RoundTripAMessage) {
  message m{.properties = {{"temperatureAlert", "true"}}};
  m.message_id = "mid";
  m.correlation_id = "cid";
  m.content_type = "application/json";
  m.creation_time = from_unix_seconds(0);
  m.expiry_time = from_unix_seconds(60);
  http::headers headers{{"Host", "h"}};
  append_message_headers(headers, m).value();
  EXPECT_EQ(headers.get("IoTHub-MessageId"), "mid");
  EXPECT_EQ(headers.get("iothub-app-temperatureAlert"), "true");
  EXPECT_EQ(read_message_headers(headers), m);
}

TEST(MessageHeaders, RefuseWhatHttpDoesNotCarry) {
  http::headers headers;
  for (property const& bad :
       property_list{{"a", "b c"}, {"a b", "c"}, {"", "x"}, {"a", ""}, {"a", "\r\nX: y"}, {"a", "(x)"}})
    EXPECT_EQ(append_message_headers(headers, {.properties = {bad}}).error(), errc::invalid_argument);
  message m;
  m.content_type = "a\nb";
  EXPECT_EQ(append_message_headers(headers, m).error(), errc::invalid_argument);
  EXPECT_EQ(headers.size(), 0u);
}

}  // namespace
