// Cloud-to-device messages: their queue and their life cycle (Microsoft docs: iot-hub-devguide-messages-c2d).
#include "hub_world.hpp"

namespace {

using namespace hub_test;
using texts = std::vector<std::string>;
using ack = iothub::feedback_request;

struct c2d_world : world {
  recording_link link;
  explicit c2d_world(ih::options o = plain_options()) : world{std::move(o)} { create("d1"); }
  ~c2d_world() { hub.disconnect(link, ih::ending::graceful, at); }
  void up(bool clean = false) { connect(link, "d1", clean); }
  void listen(ih::c2d_mode mode = ih::c2d_mode::at_least_once) { hub.listen_c2d(link, mode, at); }
  void lose() { hub.disconnect(link, ih::ending::lost, at); }
  void complete(std::size_t i) {
    ASSERT_TRUE(hub.settle_c2d(link, link.messages.at(i).lock_token, ih::settlement::complete, at).has_value());
  }
  std::uint32_t count() { return hub.get_identity({"d1", {}}).value().cloud_to_device_message_count; }
  iothub::c2d_message fetch() { return hub.receive_c2d("d1", at).value().value(); }
  texts feedback() {
    texts out;
    for (auto const& f : hub.take_feedback())
      out.push_back(f.original_message_id + " " + std::string{to_string(f.status)});
    return out;
  }
};

// Such a message closed the connection of its device again and again, until it expired.
TEST(HubC2d, PropertiesThatFitIntoNoTopicAreRefused) {
  c2d_world w;
  iothub::message m;
  m.body = "x";
  m.properties.push_back({"p", std::string(22'000, '"')});  // three bytes each in the topic
  auto const refused = w.hub.send_c2d("d1", {.content = m}, w.at);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), errc::too_large);
  EXPECT_EQ(w.count(), 0u);
  m.properties = {};
  m.properties.push_back({"p", std::string(20'000, '"')});
  EXPECT_TRUE(w.hub.send_c2d("d1", {.content = m}, w.at).has_value());
}

TEST(HubC2d, AMessageToAListeningDeviceArrivesAndIsGoneOnceCompleted) {
  c2d_world w;
  w.up();
  w.listen();
  EXPECT_EQ(w.send_c2d("d1", "a"), 1u);
  ASSERT_EQ(bodies(w.link), texts{"a"});
  EXPECT_FALSE(w.link.messages[0].redelivered);
  EXPECT_EQ(w.count(), 1u);
  w.complete(0);
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.hub.deadline(), iothub::never);
}

TEST(HubC2d, WhatWasNotAcknowledgedComesBackOnTheNextConnectionInOrder) {
  c2d_world w;
  w.up();
  w.listen();
  for (std::string_view m : {"a", "b", "c"}) w.send_c2d("d1", m);
  w.complete(1);
  w.lose();
  w.link.messages.clear();
  w.send_c2d("d1", "d");
  EXPECT_TRUE(w.connect(w.link, "d1").session_present);
  // Right inside connect, before any new subscription.
  EXPECT_EQ(bodies(w.link), (texts{"a", "c", "d"}));
  EXPECT_TRUE(w.link.messages[0].redelivered);
  EXPECT_FALSE(w.link.messages[2].redelivered);
}

TEST(HubC2d, OnlyWhatWasSentAfterTheFirstSubscriptionIsDelivered) {
  c2d_world w;
  w.send_c2d("d1", "early");
  w.up();
  w.send_c2d("d1", "still early");
  w.listen();
  w.send_c2d("d1", "late");
  EXPECT_EQ(bodies(w.link), texts{"late"});
  EXPECT_EQ(w.count(), 3u);
}

TEST(HubC2d, DeliveringPendingMessagesOnSubscribeIsASwitch) {
  auto o = plain_options();
  o.deliver_pending_on_subscribe = true;
  c2d_world w{o};
  w.send_c2d("d1", "early");
  w.up();
  EXPECT_TRUE(w.link.messages.empty());
  w.listen();
  EXPECT_EQ(bodies(w.link), texts{"early"});
}

TEST(HubC2d, ACleanSessionWaitsForItsSubscriptionAndKeepsTheQueue) {
  c2d_world w;
  w.up();
  w.listen();
  w.lose();
  w.send_c2d("d1", "a");
  w.up(true);
  EXPECT_TRUE(w.link.messages.empty());
  w.listen();
  EXPECT_EQ(bodies(w.link), texts{"a"});
}

TEST(HubC2d, ACleanSessionMayPurgeTheQueue) {
  auto o = plain_options();
  o.clean_session_purges_queue = true;
  c2d_world w{o};
  w.send_c2d("d1", "a");
  w.up(true);
  EXPECT_EQ(w.count(), 0u);
}

TEST(HubC2d, AnUnsubscribedDeviceKeepsItsMessages) {
  c2d_world w;
  w.up();
  w.listen();
  w.listen(ih::c2d_mode::off);
  w.send_c2d("d1", "a");
  EXPECT_TRUE(w.link.messages.empty());
  w.listen();
  EXPECT_EQ(bodies(w.link), texts{"a"});
}

TEST(HubC2d, AtQos0AMessageIsCompletedWhenSent) {
  c2d_world w;
  w.up();
  w.listen(ih::c2d_mode::at_most_once);
  w.send_c2d("d1", "a", ack::full);
  EXPECT_EQ(bodies(w.link), texts{"a"});
  EXPECT_EQ(w.link.messages[0].lock_token, "");
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.feedback(), texts{"a Success"});
}

TEST(HubC2d, TheQueueHoldsFifty) {
  c2d_world w;
  for (int i = 0; i != 50; ++i) w.send_c2d("d1", "m" + std::to_string(i));
  auto const refused = w.hub.send_c2d("d1", {}, w.at);
  EXPECT_EQ(refused.error().code(), errc::queue_full);
  EXPECT_EQ(refused.error().hub_code(), 403004);
  EXPECT_EQ(w.count(), 50u);
}

TEST(HubC2d, RefusalsOfASend) {
  c2d_world w;
  EXPECT_EQ(hub_code(w.hub.send_c2d("nobody", {}, w.at)), 404001);
  ih::c2d_send big;
  big.content.body = iothub::message_body{std::string(65'536, 'x')};
  EXPECT_TRUE(w.hub.send_c2d("d1", big, w.at).has_value());
  big.content.properties = {{"k", "", true}};
  EXPECT_EQ(hub_code(w.hub.send_c2d("d1", big, w.at)), 413001);
  ih::c2d_send old;
  old.content.expiry_time = w.at.utc;
  EXPECT_EQ(hub_code(w.hub.send_c2d("d1", old, w.at)), 403009);
}

TEST(HubC2d, AMessageExpiresAfterItsTimeOrTheDefaultHour) {
  c2d_world w;
  ih::c2d_send soon;
  soon.content.message_id = "soon";
  soon.content.expiry_time = w.at.utc + seconds{10};
  soon.ack = ack::negative;
  ASSERT_TRUE(w.hub.send_c2d("d1", soon, w.at).has_value());
  w.send_c2d("d1", "hour", ack::full);
  w.advance(seconds{9});
  EXPECT_EQ(w.count(), 2u);
  w.advance(seconds{1});
  EXPECT_EQ(w.count(), 1u);
  w.advance(seconds{3590});
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.feedback(), (texts{"soon Expired", "hour Expired"}));
  ASSERT_EQ(w.hub.dead_letters().size(), 2u);
  EXPECT_EQ(w.hub.dead_letters()[0].status, ih::feedback_status::expired);
  EXPECT_EQ(w.log.lines.back(), "dead-lettered d1 Expired");
  EXPECT_EQ(w.hub.deadline(), iothub::never);
}

TEST(HubC2d, AMessageOnALiveConnectionExpiresOnlyWhenItComesBack) {
  c2d_world w;
  w.up();
  w.listen();
  w.send_c2d("d1", "a", ack::full);
  w.advance(seconds{3601});
  EXPECT_EQ(w.count(), 1u);
  w.lose();
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.feedback(), texts{"a Expired"});
}

TEST(HubC2d, AFetchedMessageIsLockedFor60Seconds) {
  c2d_world w;
  w.send_c2d("d1", "a");
  auto const first = w.fetch();
  EXPECT_FALSE(w.hub.receive_c2d("d1", w.at).value().has_value());
  w.advance(seconds{59});
  EXPECT_FALSE(w.hub.receive_c2d("d1", w.at).value().has_value());
  w.advance(seconds{1});
  auto const again = w.fetch();
  EXPECT_NE(again.lock_token, first.lock_token);
  EXPECT_EQ(again.delivery_count, 0u);
  EXPECT_EQ(hub_code(w.hub.settle_c2d("d1", first.lock_token, ih::settlement::complete, w.at)), 412002);
  EXPECT_TRUE(w.hub.settle_c2d("d1", again.lock_token, ih::settlement::complete, w.at).has_value());
  EXPECT_EQ(hub_code(w.hub.settle_c2d("d1", again.lock_token, ih::settlement::complete, w.at)), 412002);
}

TEST(HubC2d, ALockThatExpiresHandsTheMessageToAListeningConnection) {
  c2d_world w;
  w.up();
  w.listen();
  w.listen(ih::c2d_mode::off);
  w.send_c2d("d1", "a");
  EXPECT_EQ(w.fetch().content.body.bytes(), "a");
  w.listen();
  EXPECT_TRUE(w.link.messages.empty());
  w.advance(seconds{60});
  EXPECT_EQ(bodies(w.link), texts{"a"});
  EXPECT_TRUE(w.link.messages[0].redelivered);
}

TEST(HubC2d, AbandonRaisesTheCountAndTheTenthDeadLetters) {
  c2d_world w;
  w.send_c2d("d1", "a", ack::negative);
  for (std::uint32_t i = 0; i != 10; ++i) {
    auto const m = w.fetch();
    EXPECT_EQ(m.delivery_count, i);
    ASSERT_TRUE(w.hub.settle_c2d("d1", m.lock_token, ih::settlement::abandon, w.at).has_value());
  }
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.feedback(), texts{"a DeliveryCountExceeded"});
}

TEST(HubC2d, CountingEveryReturnIsASwitch) {
  auto o = plain_options();
  o.count_every_return = true;
  o.limits.c2d_max_delivery_count = 2;
  c2d_world w{o};
  w.up();
  w.listen();
  w.send_c2d("d1", "a", ack::full);
  w.lose();
  w.up();
  EXPECT_EQ(w.count(), 1u);
  w.lose();
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.feedback(), texts{"a DeliveryCountExceeded"});
}

TEST(HubC2d, RejectDeadLetters) {
  c2d_world w;
  w.send_c2d("d1", "a", ack::full);
  ASSERT_TRUE(w.hub.settle_c2d("d1", w.fetch().lock_token, ih::settlement::reject, w.at).has_value());
  EXPECT_EQ(w.feedback(), texts{"a Rejected"});
  EXPECT_EQ(w.hub.dead_letters().size(), 1u);
}

TEST(HubC2d, FeedbackComesWhenItWasAskedFor) {
  c2d_world w;
  for (auto const a : {ack::none, ack::positive, ack::negative, ack::full}) {
    w.send_c2d("d1", "done" + std::to_string(static_cast<int>(a)), a);
    ASSERT_TRUE(w.hub.settle_c2d("d1", w.fetch().lock_token, ih::settlement::complete, w.at).has_value());
    w.send_c2d("d1", "rejected" + std::to_string(static_cast<int>(a)), a);
    ASSERT_TRUE(w.hub.settle_c2d("d1", w.fetch().lock_token, ih::settlement::reject, w.at).has_value());
  }
  EXPECT_EQ(w.feedback(), (texts{"done1 Success", "rejected2 Rejected", "done3 Success", "rejected3 Rejected"}));
}

TEST(HubC2d, FeedbackRecordsNameDeviceGenerationAndTime) {
  c2d_world w;
  w.send_c2d("d1", "a", ack::full);
  w.advance(seconds{3});
  ASSERT_TRUE(w.hub.settle_c2d("d1", w.fetch().lock_token, ih::settlement::complete, w.at).has_value());
  auto const records = w.hub.take_feedback();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0], (ih::feedback_record{"a", "d1", w.hub.get_identity({"d1", {}}).value().generation_id,
                                             start + seconds{3}, ih::feedback_status::success}));
  EXPECT_TRUE(w.hub.take_feedback().empty());
}

TEST(HubC2d, PurgeEmptiesTheQueue) {
  c2d_world w;
  w.send_c2d("d1", "a");
  w.send_c2d("d1", "b", ack::full);
  EXPECT_EQ(w.hub.purge_c2d("d1", w.at).value(), 2u);
  EXPECT_EQ(w.hub.purge_c2d("d1", w.at).value(), 0u);
  EXPECT_EQ(hub_code(w.hub.purge_c2d("nobody", w.at)), 404001);
  EXPECT_EQ(w.feedback(), texts{"b Purged"});
  EXPECT_TRUE(w.hub.dead_letters().empty());
}

TEST(HubC2d, DeletingTheDeviceLosesItsMessages) {
  c2d_world w;
  w.send_c2d("d1", "a", ack::full);
  ASSERT_TRUE(w.hub.delete_identity({"d1", {}}, {}, w.at).has_value());
  EXPECT_TRUE(w.feedback().empty());
  EXPECT_EQ(w.hub.deadline(), iothub::never);
  w.create("d1");
  EXPECT_EQ(w.count(), 0u);
}

TEST(HubC2d, TheAddressIsFilledIn) {
  c2d_world w;
  w.send_c2d("d1", "a");
  auto const m = w.fetch();
  EXPECT_EQ(m.content.to, "/devices/d1/messages/devicebound");
  EXPECT_EQ(m.enqueued_time, start);
  EXPECT_EQ(m.sequence_number, 1u);
}

TEST(HubC2d, SaysInTheLogWhatTheFirstSubscriptionSkips) {
  world w;
  w.create("d1");
  w.send_c2d("d1", "early");
  recording_link link;
  w.connect(link, "d1");
  w.hub.listen_c2d(link, ih::c2d_mode::at_least_once, w.at);
  EXPECT_EQ(w.log.lines.back(),
            "skipped d1 1 message(s) sent before the device's first subscription: MQTT does not deliver them");
  EXPECT_TRUE(link.messages.empty());
}

}  // namespace
