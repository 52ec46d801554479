// Flow 7: cloud to device. A message arrives, is accepted and gone; one that was not comes back.
#pragma once

#include <gmock/gmock.h>

#include <stdexcept>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <class Wiring>
class CloudToDevice : public ::testing::Test {};
TYPED_TEST_SUITE(CloudToDevice, flow_wirings, wiring_names);

using bodies = std::vector<std::string>;
std::string body_of(c2d_message const& m) {
  return std::string{m.content.body.bytes()};
}

TYPED_TEST(CloudToDevice, ArrivesAndIsGoneOnceItIsAccepted) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  std::vector<c2d_message> got;
  device.on_message([&](c2d_message const& m) { got.push_back(m); });
  device.connect().value();
  message const sent{.body = "turn on",
                     .properties = {{"a b", "%&="}, {"level", "3"}},
                     .message_id = "m1",
                     .correlation_id = "c1",
                     .user_id = "operator",
                     .content_type = "text/plain"};
  w.send_c2d("d", sent, feedback_request::full);
  ASSERT_TRUE(w.wait_until([&] { return got.size() == 1 && w.pending_c2d("d") == 0; }));
  EXPECT_EQ(got[0].content.body, sent.body);
  EXPECT_EQ(got[0].content.properties, sent.properties);
  EXPECT_EQ(got[0].content.message_id, "m1");
  EXPECT_EQ(got[0].content.correlation_id, "c1");
  EXPECT_EQ(got[0].content.user_id, "operator");
  EXPECT_EQ(got[0].content.content_type, "text/plain");
  EXPECT_EQ(got[0].content.to, w.speaks_amqp ? "/devices/d/messages/devicebound" : "/devices/d/messages/deviceBound");
  EXPECT_EQ(got[0].ack, feedback_request::full);
  auto const feedback = w.core().take_feedback();
  ASSERT_THAT(feedback, SizeIs(1));
  EXPECT_EQ(feedback[0].original_message_id, "m1");
  EXPECT_EQ(feedback[0].status, hub::feedback_status::success);
}

TYPED_TEST(CloudToDevice, ComesBackOnTheNextConnectionWhenItWasNotAccepted) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got;
  device.on_message([&](c2d_message const& m) {
    got.push_back(body_of(m));
    return got.size() == 1 ? settlement::abandon : settlement::accept;
  });
  device.connect().value();
  w.send_c2d("d", {.body = "again"});
  ASSERT_TRUE(w.wait_until([&] { return got.size() == 1; }));
  w.run_for(3 * w.unit);
  // MQTT cannot say it: the next connection brings the message. Over AMQP it comes again at once.
  EXPECT_EQ(w.pending_c2d("d"), w.speaks_amqp ? 0u : 1u);
  device.close();
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  EXPECT_THAT(got, ElementsAre("again", "again"));
}

TYPED_TEST(CloudToDevice, IsDeadLetteredWhenItIsRejectedWhereTheProtocolCanSaySo) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got;
  device.on_message([&](c2d_message const& m) {
    got.push_back(body_of(m));
    return settlement::reject;
  });
  device.connect().value();
  w.send_c2d("d", {.body = "no", .message_id = "m1"}, feedback_request::full);
  ASSERT_TRUE(w.wait_until([&] { return got.size() == 1; }));
  w.run_for(3 * w.unit);
  EXPECT_THAT(got, ElementsAre("no"));
  EXPECT_EQ(w.pending_c2d("d"), w.speaks_amqp ? 0u : 1u);  // over MQTT it stays
  auto const feedback = w.core().take_feedback();
  ASSERT_THAT(feedback, SizeIs(w.speaks_amqp ? 1 : 0));
  if (w.speaks_amqp) {
    EXPECT_EQ(feedback[0].status, hub::feedback_status::rejected);
  }
}

TYPED_TEST(CloudToDevice, ComesBackWhenItsHandlerThrows) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got;
  device.on_message([&](c2d_message const& m) {
    got.push_back(body_of(m));
    if (got.size() == 1) throw std::runtime_error{"not today"};
  });
  device.connect().value();
  w.send_c2d("d", {.body = "again"});
  ASSERT_TRUE(w.wait_until([&] { return got.size() == 1; }));
  EXPECT_EQ(w.pending_c2d("d"), 1u);
  w.disconnect("d");
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  EXPECT_THAT(got, ElementsAre("again", "again"));
}

TYPED_TEST(CloudToDevice, SentWhileTheDeviceWasAwayArrivesInOrder) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got;
  device.on_message([&](c2d_message const& m) { got.push_back(body_of(m)); });
  device.connect().value();
  device.close();
  for (char const* text : {"1", "2", "3"}) w.send_c2d("d", {.body = text});
  EXPECT_EQ(w.pending_c2d("d"), 3u);
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  EXPECT_THAT(got, ElementsAre("1", "2", "3"));
}

TYPED_TEST(CloudToDevice, SentBeforeTheHandlerIsThereIsNotLost) {
  world<TypeParam> w;
  {
    auto device = w.make_device("d");
    device.on_message([](c2d_message const&) {});
    device.connect().value();
  }
  w.send_c2d("d", {.body = "early"});
  auto device = w.connect_device("d");  // the stored session brings it right after the CONNACK
  w.run_for(w.unit);
  EXPECT_EQ(w.pending_c2d("d"), 1u);
  bodies got;
  device.on_message([&](c2d_message const& m) { got.push_back(body_of(m)); });
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  EXPECT_THAT(got, ElementsAre("early"));
}

TYPED_TEST(CloudToDevice, CarriesFiftyWaitingMessagesAndRefusesTheNext) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got, expected;
  device.on_message([&](c2d_message const& m) { got.push_back(body_of(m)); });
  device.connect().value();
  device.close();
  for (int i = 0; i != 50; ++i) {
    expected.push_back(std::to_string(i));
    w.send_c2d("d", {.body = expected.back()});
  }
  EXPECT_THAT(w.core().send_c2d("d", {.content = {.body = "51"}}, w.touch()), FailedWith(errc::queue_full));
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  EXPECT_EQ(got, expected);
}

TYPED_TEST(CloudToDevice, WithEveryByteInItsBodyArrivesUnchanged) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got;
  device.on_message([&](c2d_message const& m) { got.push_back(body_of(m)); });
  device.connect().value();
  std::string every_byte;
  for (int c = 0; c != 256; ++c) every_byte += static_cast<char>(c);
  w.send_c2d("d", {.body = every_byte});
  w.send_c2d("d", {.body = ""});
  w.send_c2d("d", {.body = std::string(60'000, 'x')});
  ASSERT_TRUE(w.wait_until([&] { return got.size() == 3; }));
  EXPECT_EQ(got[0], every_byte);
  EXPECT_EQ(got[1], "");
  EXPECT_EQ(got[2], std::string(60'000, 'x'));
}

TYPED_TEST(CloudToDevice, MayBeAnsweredByTelemetryFromItsHandler) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.on_message([&](c2d_message const& m) { device.send_telemetry({.body = "re: " + body_of(m)}).value(); });
  device.connect().value();
  w.send_c2d("d", {.body = "1"});
  w.send_c2d("d", {.body = "2"});
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  EXPECT_EQ(w.bodies("d"), (bodies{"re: 1", "re: 2"}));
}

TYPED_TEST(CloudToDevice, OfAnotherDeviceIsNotSeen) {
  world<TypeParam> w;
  auto a = w.make_device("a");
  auto b = w.make_device("b");
  bodies of_a, of_b;
  a.on_message([&](c2d_message const& m) { of_a.push_back(body_of(m)); });
  b.on_message([&](c2d_message const& m) { of_b.push_back(body_of(m)); });
  a.connect().value();
  b.connect().value();
  w.send_c2d("a", {.body = "for a"});
  ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("a") == 0; }));
  EXPECT_THAT(of_a, ElementsAre("for a"));
  EXPECT_THAT(of_b, IsEmpty());
}

TYPED_TEST(CloudToDevice, IsAcceptedOnceHoweverTheConnectionIsCut) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bodies got;
  device.on_message([&](c2d_message const& m) { got.push_back(body_of(m)); });
  device.connect().value();
  for (int n = 0; n != 12; ++n) {
    SCOPED_TRACE(n);
    got.clear();
    w.send_c2d("d", {.body = "m"});
    w.run_turns(n);
    w.disconnect("d");
    ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0 && device.is_connected(); }));
    EXPECT_GE(got.size(), 1u);  // at least once: the PUBACK may have been lost
    EXPECT_LE(got.size(), 2u);
  }
}

}  // namespace
