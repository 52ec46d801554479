// Flow 4: confirmed telemetry. Each message ends exactly once, and arrives as it was sent.
#pragma once

#include <gmock/gmock.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::SizeIs;

template <class Wiring>
class Telemetry : public ::testing::Test {};
TYPED_TEST_SUITE(Telemetry, flow_wirings, wiring_names);

// How often each message ended, and how.
struct ends {
  std::vector<std::string> confirmed, timed_out, failed;
  auto note(std::string name) {
    return [this, name = std::move(name)](result<void> outcome) {
      (outcome ? confirmed : outcome.error() == errc::timeout ? timed_out : failed).push_back(name);
    };
  }
  [[nodiscard]] std::size_t count() const { return confirmed.size() + timed_out.size() + failed.size(); }
};

TYPED_TEST(Telemetry, ConfirmsTextAndBytesWithTheirIdsAndProperties) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  ends seen;
  std::vector<message> sent;
  for (int n = 1; n <= 6; ++n) {
    auto const number = std::to_string(n);
    json::value const reading{{"deviceId", "d"}, {"windSpeed", 10 + n}};
    message m{.body = n % 2 == 1 ? message_body{reading.dump()} : message_body{std::string_view{"\x00\xff\x80\r\n", 5}},
              .properties = {{"Property", "PropMsg_" + number}},
              .message_id = "message_" + number,
              .correlation_id = "correlation_" + number};
    if (n % 2 == 1) m.content_type = "application/json", m.content_encoding = "utf-8";
    sent.push_back(m);
    device.async_send_telemetry(std::move(m), seen.note(number));
    EXPECT_TRUE(device.is_busy());
  }
  ASSERT_TRUE(w.wait_until([&] { return !device.is_busy() && seen.count() == 6; }));
  EXPECT_THAT(seen.confirmed, ElementsAre("1", "2", "3", "4", "5", "6"));
  auto const events = w.events();
  ASSERT_THAT(events, SizeIs(6));
  for (std::size_t i = 0; i != 6; ++i) EXPECT_EQ(events[i].content, sent[i]) << i;
}

TYPED_TEST(Telemetry, ArrivesBitIdenticalWhateverItHolds) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  std::string every_byte;
  for (int c = 0; c != 256; ++c) every_byte += static_cast<char>(c);
  std::vector<message> const messages{
      {.body = every_byte},
      {.body = ""},
      {.body = std::string(200'000, 'x')},
      {.body = "p", .properties = {{"a b", "c d"}, {"%&=/?#+$", "%&=/?#+$"}, {"%20", "%2"}}},
      {.body = "p", .properties = {{"\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x98\x80"}, {"tab\t", "line\n"}}},
      {.body = "p", .properties = {{"empty", ""}, {"none", "", false}, {"iothub-x", "1"}, {"$x", "$.y"}}},
      {.body = "p", .message_id = "-:.+%_#*?!(),=@;$'aZ9", .correlation_id = " %&=/?#+\xc3\xa4", .user_id = "me & you"},
      {.body = "p", .content_type = "text/plain; charset=utf-8", .content_encoding = "utf-16", .to = "/a/b?c=d"},
      {.body = "p",
       .component_name = "thermostat1",
       .creation_time = from_unix_seconds(1'700'000'000),
       .expiry_time = from_unix_seconds(1'800'000'000)}};
  for (auto const& m : messages) ASSERT_TRUE(device.send_telemetry(m)) << m.message_id;
  auto const events = w.events();
  ASSERT_THAT(events, SizeIs(messages.size()));
  for (std::size_t i = 0; i != messages.size(); ++i) EXPECT_EQ(events[i].content, messages[i]) << i;
}

TYPED_TEST(Telemetry, SaysWhoSentItAndWhen) {
  world<TypeParam> w;
  auto const identity = w.create("d");
  auto const before = w.utc_now();
  auto device = w.connect_device("d");
  for (int i = 0; i != 3; ++i) device.send_telemetry({.body = std::to_string(i)}).value();
  auto const events = w.events();
  ASSERT_THAT(events, SizeIs(3));
  for (std::size_t i = 0; i != 3; ++i) {
    EXPECT_EQ(events[i].source, (device_key{"d", ""}));
    EXPECT_EQ(events[i].generation_id, identity.generation_id);
    EXPECT_THAT(events[i].auth_method, ::testing::HasSubstr(R"("type":"sas")"));
    EXPECT_EQ(events[i].sequence_number, i);
    EXPECT_GE(events[i].enqueued_time, before);
    EXPECT_EQ(events[i].partition, events[0].partition);
  }
}

TYPED_TEST(Telemetry, OfAModuleCarriesTheModule) {
  world<TypeParam> w;
  w.create("d");
  auto const made = w.core().put_identity({.device_id = "d", .module_id = "m"}, {}, w.touch()).value();
  auto module = w.device_from("HostName=" + w.core().options().hostname +
                                  ";DeviceId=d;ModuleId=m;SharedAccessKey=" + made.authentication.primary_key,
                              w.options());
  module.connect().value();
  module.send_telemetry({.body = "x", .output_name = "out"}).value();
  auto const events = w.events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].source, (device_key{"d", "m"}));
  EXPECT_EQ(events[0].content.output_name, "out");
}

TYPED_TEST(Telemetry, KeepsTheOrderOfAThousandMessages) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  ends seen;
  std::vector<std::string> expected;
  for (int i = 0; i != 1000; ++i) {
    expected.push_back(std::to_string(i));
    device.async_send_telemetry({.body = expected.back()}, seen.note(expected.back()));
  }
  ASSERT_TRUE(w.wait_until([&] { return seen.count() == 1000; }));
  EXPECT_EQ(seen.confirmed, expected);
  EXPECT_EQ(w.bodies("d"), expected);
}

TYPED_TEST(Telemetry, TimesOutOnceAndALateConfirmationChangesNothing) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = w.unit;
  auto device = w.connect_device("d", how);
  w.delay_confirmations(4 * w.unit);
  ends seen;
  device.async_send_telemetry({.body = "slow"}, seen.note("slow"));
  ASSERT_TRUE(w.wait_until([&] { return seen.count() == 1; }));
  EXPECT_THAT(seen.timed_out, ElementsAre("slow"));
  EXPECT_FALSE(device.is_busy());
  EXPECT_EQ(w.bodies("d"), (std::vector<std::string>{"slow"}));  // the outcome was unknown: it was stored
  device.async_send_telemetry({.body = "quick"}, 3000 * w.unit, seen.note("quick"));
  ASSERT_TRUE(w.wait_until([&] { return seen.count() == 2; }));
  w.run_for(6 * w.unit);
  EXPECT_EQ(seen.count(), 2u);
  EXPECT_THAT(seen.confirmed, ElementsAre("quick"));
}

TYPED_TEST(Telemetry, SaysWhetherATimedOutMessageWasEverSent) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 3 * w.unit;
  auto device = w.connect_device("d", how);
  w.delay_confirmations(10 * w.unit);
  auto const sent = device.send_telemetry({.body = "sent"});
  ASSERT_THAT(sent, FailedWith(errc::timeout));
  EXPECT_THAT(std::string{sent.error().message()}, ::testing::HasSubstr("duplicate"));
  w.stop_hub();
  ASSERT_TRUE(w.wait_until([&] { return !device.is_connected(); }));
  auto const unsent = device.send_telemetry({.body = "unsent"});
  ASSERT_THAT(unsent, FailedWith(errc::timeout));
  EXPECT_THAT(std::string{unsent.error().message()}, ::testing::HasSubstr("not sent"));
  w.start_hub();
  ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }));
  device.send_telemetry({.body = "after"}, 3000 * w.unit).value();
  EXPECT_EQ(w.distinct_bodies("d"), (std::vector<std::string>{"sent", "after"}));
}

TYPED_TEST(Telemetry, FailsAtOnceWhatCanNeverBeSent) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  EXPECT_THAT(device.send_telemetry({.body = std::string(262'145, 'x')}), FailedWith(errc::too_large));
  EXPECT_THAT(device.send_telemetry({.body = "x", .properties = {{"$.mid", "1"}}}), FailedWith(errc::invalid_argument));
  EXPECT_THAT(device.send_telemetry({.body = "x", .properties = {{"", "1"}}}), FailedWith(errc::invalid_argument));
  EXPECT_THAT(device.send_telemetry({.body = "x", .properties = {{"a", "\xff"}}}), FailedWith(errc::invalid_argument));
  EXPECT_THAT(device.send_telemetry({.body = "x", .message_id = std::string(129, 'x')}),
              FailedWith(errc::invalid_argument));
  EXPECT_TRUE(device.is_connected());
  device.send_telemetry({.body = "y"}).value();
  EXPECT_EQ(w.bodies("d"), (std::vector<std::string>{"y"}));
}

// The hub closes an MQTT connection for a packet above 262144 bytes, topic included: such a message is not even tried.
// Over AMQP the body may have all of them.
TYPED_TEST(Telemetry, OfTheLargestSizeArrivesAndALargerOneDisturbsNobody) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  int changes = 0;
  device.on_connection_change(
      [&](connection_status now, connection_reason) { changes += now != connection_status::connected; });
  std::size_t const most =
      w.speaks_amqp ? 262'144 : 262'144 - 4 - 2 - std::string_view{"devices/d/messages/events/"}.size() - 2;
  EXPECT_TRUE(device.send_telemetry({.body = std::string(most, 'x')}, 3000 * w.unit));
  EXPECT_THAT(device.send_telemetry({.body = std::string(most + 1, 'x')}, 3000 * w.unit), FailedWith(errc::too_large));
  EXPECT_THAT(device.send_telemetry({.body = std::string(262'145, 'x')}, 3000 * w.unit), FailedWith(errc::too_large));
  EXPECT_TRUE(device.send_telemetry({.body = "small"}, 3000 * w.unit));
  EXPECT_EQ(changes, 0);
}

TYPED_TEST(Telemetry, FailsWhatTheClientWasNeverConnectedFor) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  EXPECT_THAT(device.send_telemetry({.body = "x"}), FailedWith(errc::not_connected));
  device.connect().value();
  device.close();
  EXPECT_THAT(device.send_telemetry({.body = "x"}), FailedWith(errc::not_connected));
}

TYPED_TEST(Telemetry, KeepsTheOutboxBoundedByMessagesAndBytes) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 1h;
  how.outbox = {.messages = 3, .bytes = 1000};
  auto device = w.connect_device("d", how);
  w.stop_hub();
  ASSERT_TRUE(w.wait_until([&] { return !device.is_connected(); }));
  ends seen;
  device.async_send_telemetry({.body = std::string(900, 'a')}, seen.note("a"));
  device.async_send_telemetry({.body = std::string(101, 'b')}, seen.note("b"));  // bytes
  device.async_send_telemetry({.body = "c"}, seen.note("c"));
  device.async_send_telemetry({.body = "d"}, seen.note("d"));
  EXPECT_THAT(device.send_telemetry({.body = "e"}), FailedWith(errc::outbox_full));  // messages
  EXPECT_EQ(device.pending_telemetry(), 3u);
  w.start_hub();
  ASSERT_TRUE(w.wait_until([&] { return seen.count() == 4; }));
  EXPECT_THAT(seen.failed, ElementsAre("b"));
  EXPECT_THAT(seen.confirmed, ElementsAre("a", "c", "d"));
}

TYPED_TEST(Telemetry, QueuedWhileTheHubIsAwayArrivesInOrder) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 1h;
  auto device = w.connect_device("d", how);
  device.send_telemetry({.body = "before"}).value();
  w.stop_hub();
  ends seen;
  std::vector<std::string> expected{"before"};
  for (int i = 0; i != 50; ++i) {
    expected.push_back(std::to_string(i));
    device.async_send_telemetry({.body = expected.back()}, seen.note(expected.back()));
    if (i % 10 == 0) w.run_for(w.unit);
  }
  w.run_for(5 * w.unit);
  EXPECT_EQ(seen.count(), 0u);
  w.start_hub();
  ASSERT_TRUE(w.wait_until([&] { return seen.count() == 50; }));
  EXPECT_EQ(seen.confirmed.size(), 50u);
  EXPECT_EQ(w.distinct_bodies("d"), expected);
}

TYPED_TEST(Telemetry, EndsWithClosedWhenTheClientIsClosed) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  w.delay_confirmations(1000 * w.unit, 2);
  std::vector<errc> codes;
  for (int i = 0; i != 2; ++i)
    device.async_send_telemetry({.body = "x"}, [&](result<void> r) { codes.push_back(r.error().code()); });
  w.run_turns(20);
  device.close();
  EXPECT_THAT(codes, ElementsAre(errc::closed, errc::closed));
  EXPECT_EQ(device.pending_operations(), 0u);
}

TYPED_TEST(Telemetry, OfManyDevicesStaysApart) {
  world<TypeParam> w;
  std::vector<typename world<TypeParam>::device_client> devices;
  for (int i = 0; i != 10; ++i) devices.push_back(w.connect_device("d" + std::to_string(i)));
  int confirmed = 0;
  for (int n = 0; n != 20; ++n)
    for (auto& d : devices)
      d.async_send_telemetry({.body = d.device_id() + "-" + std::to_string(n)},
                             [&](result<void> r) { confirmed += r.has_value(); });
  ASSERT_TRUE(w.wait_until([&] { return confirmed == 200; }));
  for (auto const& d : devices) {
    auto const arrived = w.bodies(d.device_id());
    ASSERT_EQ(arrived.size(), 20u);
    for (std::size_t n = 0; n != 20; ++n) EXPECT_EQ(arrived[n], d.device_id() + "-" + std::to_string(n));
  }
}

}  // namespace
