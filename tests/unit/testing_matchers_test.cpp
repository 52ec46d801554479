// Matchers of messages, method calls, tokens and packets: what each takes, what it does not, and what it says then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include <iothub/testing/gmock.hpp>
#include <iothub/testing/gmock_http.hpp>
#include <iothub/testing/gmock_mqtt.hpp>
#include <iothub/testing/gmock_sas.hpp>
#include <iothub/testing/simulation_test.hpp>

namespace {

using namespace iothub;
using namespace iothub::testing;
using namespace std::chrono_literals;
using ::testing::_;
using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// What a matcher says of a value that it does not take; "(takes it)" when it does.
template <class Value, class Matcher>
std::string why_not(Value const& value, Matcher const& matcher) {
  ::testing::StringMatchResultListener listener;
  return ::testing::ExplainMatchResult(matcher, value, &listener) ? "(takes it)" : listener.str();
}
template <class Value, class Matcher>
std::string words(Matcher const& matcher, bool negation = false) {
  return ::testing::DescribeMatcher<Value>(matcher, negation);
}

TEST(ReceivedExactlyMatcher, CountsWhateverHasAnEnd) {
  std::vector<std::string> const three{"a", "b", "a"};
  EXPECT_THAT(three, AllOf(ReceivedExactly(3), ReceivedExactly(Gt(2u)), Not(ReceivedExactly(2))));
  EXPECT_EQ(why_not(three, ReceivedExactly(2)), "which has 3");
  EXPECT_EQ(words<std::vector<std::string>>(ReceivedExactly(2)), "has a number of items that is equal to 2");
}

TEST(HasSystemPropertyMatcher, KnowsTheNamesOfAMessagesFields) {
  message const m{.body = "1", .message_id = "m-7", .content_type = "application/json"};
  EXPECT_THAT(m, AllOf(HasSystemProperty("message_id", "m-7"), HasSystemProperty("content_type", StartsWith("application/")),
                       HasSystemProperty("user_id", IsEmpty())));
  EXPECT_THAT((telemetry_event{.content = m}), HasSystemProperty("message_id", "m-7"));
  EXPECT_THAT((c2d_message{.content = m}), Not(HasSystemProperty("message_id", "m-8")));
  EXPECT_EQ(why_not(m, HasSystemProperty("message_id", "m-8")), R"(where it is "m-7")");
  EXPECT_EQ(why_not(m, HasSystemProperty("messageId", "m-7")), "but no message has a system property messageId");
  EXPECT_EQ(words<message>(HasSystemProperty("to", "x")), R"(has a system property to that is equal to "x")");
}

// A line as the simulation shows it, with packets of the standard made by hand.
struct line_told {
  connection_log log;
  void publish(std::string const& topic, std::string const& payload, bool up, duration at) {
    auto const size = static_cast<char>(topic.size() + 2 + payload.size());
    std::string const packet = std::string{'\x30', size, '\0', static_cast<char>(topic.size())} + topic + payload;
    up ? log.on_up(packet, time_point{at}) : log.on_down(packet, time_point{at});
  }
  void call(std::string const& name, std::string const& payload, std::string const& rid, duration at) {
    publish("$iothub/methods/POST/" + name + "/?$rid=" + rid, payload, false, at);
  }
  void answer(int status, std::string const& rid, duration at) {
    publish("$iothub/methods/res/" + std::to_string(status) + "/?$rid=" + rid, "{}", true, at);
  }
};

TEST(MethodCalledMatcher, TakesAnyCallOfThatNameAndPayload) {
  line_told line;
  EXPECT_EQ(why_not(line.log, MethodCalled("reboot", _)), "which had no call");
  line.call("reboot", R"({"delay":5})", "1", 1s);
  line.call("blink", "3", "2", 2s);
  EXPECT_THAT(line.log, AllOf(MethodCalled("reboot", _), MethodCalled("reboot", json::value{{"delay", 5}}),
                              MethodCalled("blink", Gt(2)), Not(MethodCalled("reboot", 3)), Not(MethodCalled("beep", _))));
  EXPECT_EQ(why_not(line.log, MethodCalled("beep", _)), R"(which had reboot {"delay":5}, blink 3)");
  EXPECT_EQ(words<connection_log const&>(MethodCalled("beep", _)), "had a call of beep");
  EXPECT_EQ(words<connection_log const&>(MethodCalled("beep", _), true), "had no call of beep");
}
TEST(WasAnsweredWithinMatcher, LooksAtEachCall) {
  line_told line;
  EXPECT_EQ(why_not(line.log, WasAnsweredWithin(5s)), "which had 0 calls");
  line.call("reboot", "1", "1", 1s);
  EXPECT_EQ(why_not(line.log, WasAnsweredWithin(5s)), "where reboot was not answered");
  line.call("blink", "1", "2", 2s);
  line.answer(200, "2", 3s);
  line.answer(404, "1", 4s);
  EXPECT_THAT(line.log, AllOf(WasAnsweredWithin(3s), EveryCallAnswered()));
  EXPECT_EQ(why_not(line.log, WasAnsweredWithin(2s)), "where reboot was answered after 3 s");
  EXPECT_EQ(line.log.calls()[0].status, 404);
  EXPECT_EQ(line.log.calls()[1].answered, time_point{3s});
  EXPECT_EQ(words<connection_log const&>(WasAnsweredWithin(2s)), "left no call without an answer for 2 s");
}

using Line = simulation_test;
TEST_F(Line, ShowsCallsAndNewTokens) {
  sim.set_weather(sim::calm_weather());
  auto const& log = watch("pump");
  device_options how;
  how.token.lifetime = 1h;
  how.token.renewal_margin = 10min;
  auto device = sim.make_device("pump", how);
  device.on_method("blink", [](method_request const&) { return method_response{.status = 200}; });
  ASSERT_TRUE(device.connect());
  auto service = sim.connect_service();
  ASSERT_TRUE(service.invoke_method("pump", {.name = "blink", .payload = 3}));
  EXPECT_THAT(log, AllOf(MethodCalled("blink", 3), WasAnsweredWithin(1s), RenewedSasTimes(0)));
  (void)sim.hub().disconnect("pump");
  sim.run_for(3h);
  EXPECT_THAT(log, AllOf(RenewedSasTimes(Ge(3u)), RenewedSasTimes(log.renewed_tokens())));
  EXPECT_THAT(why_not(log, RenewedSasTimes(0)), AllOf(StartsWith("which renewed its token "), HasSubstr(" times")));
  EXPECT_EQ(words<connection_log const&>(RenewedSasTimes(2)), "has a number of renewed tokens that is equal to 2");
}

TEST(PublishedToMatcher, LooksAtTheTopicOfAPacket) {
  mqtt::publish p;
  p.topic = "devices/pump/messages/events/";
  EXPECT_THAT(p, AllOf(PublishedTo("devices/pump/messages/events/"), PublishedTo(StartsWith("devices/"))));
  EXPECT_EQ(why_not(p, PublishedTo("x")), R"(which goes to "devices/pump/messages/events/")");
  EXPECT_EQ(words<mqtt::publish>(PublishedTo("x")), R"(goes to a topic that is equal to "x")");
  ::testing::NiceMock<mock_mqtt_transport> transport;
  EXPECT_CALL(transport, publish(PublishedTo(StartsWith("devices/")), _));
  (void)transport.publish(p, time_point{});
}
TEST(HasRetryAfterMatcher, ReadsSeconds) {
  http::response r;
  EXPECT_EQ(why_not(r, HasRetryAfter(7)), R"(whose Retry-After is no number: "")");
  r.headers.add("Retry-After", "7");
  EXPECT_THAT(r, AllOf(HasRetryAfter(7), HasRetryAfter(Gt(6)), Not(HasRetryAfter(8))));
  EXPECT_EQ(why_not(r, HasRetryAfter(8)), "which asks for 7 s");
  EXPECT_EQ(words<http::response>(HasRetryAfter(8)), "asks for a wait in seconds that is equal to 8");
}

TEST(SasIsMatcher, SaysWhatATokenIsWorth) {
  std::string const key = to_base64("key");
  auto const token = [](std::string const& with, std::string const& resource, std::int64_t end) {
    seeded_crypto crypto;
    auto const signing = crypto.prepare(from_base64(with).value()).value();
    sas_template made{sas_resource("hub.azure-devices.net", resource)};
    std::string text;
    made.append(text, crypto.sign(signing, made.string_to_sign(end)).value(), end);
    return text;
  };
  std::int64_t const now = 1'704'067'200;
  sas_check const how{.key = key, .resource = "hub.azure-devices.net/devices/pump"};
  EXPECT_THAT(token(key, "pump", now + 60), SasIs(sas_state::valid, how));
  EXPECT_THAT(token(key, "pump", now - 60), SasIs(sas_state::expired, how));
  EXPECT_THAT(token(to_base64("other"), "pump", now + 60), SasIs(sas_state::wrong_key, how));
  EXPECT_THAT(token(key, "valve", now + 60), SasIs(sas_state::wrong_resource, how));
  EXPECT_THAT(std::string{"Bearer x"}, SasIs(sas_state::malformed, how));
  EXPECT_THAT(token(key, "pump", now + 60), Not(SasIs(sas_state::expired, how)));
  EXPECT_EQ(why_not(token(key, "pump", now - 60), SasIs(sas_state::valid, how)), "which is expired");
  EXPECT_EQ(words<std::string>(SasIs(sas_state::wrong_key, how)), "is a token that is signed with another key");
  EXPECT_EQ(words<std::string>(SasIs(sas_state::valid, how), true), "is a token that is not valid");
}

}  // namespace
