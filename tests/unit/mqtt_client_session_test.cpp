// The client role against a scripted server: what is typed in comes from it, what is compared goes to it.
#include <iothub/mqtt/client_session.hpp>

#include <gtest/gtest.h>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::at;
using iothub_test::bytes;
using iothub_test::text;
using iothub_test::written_down;

class MqttClient : public ::testing::Test {
 protected:
  static mqtt::connect how(bool clean = false, std::uint16_t keep_alive = 60) {
    mqtt::connect c;
    c.client_id = "dev";
    c.clean_session = clean;
    c.keep_alive = keep_alive;
    return c;
  }
  // The event caused by these bytes of the server.
  std::string server_says(std::string_view raw, double seconds = 0) {
    bytes_ = bytes(raw);
    packet what;
    decoded const found = decode(bytes_, 1u << 20, what, scratch_);
    if (found.status == decode_status::broken) return text(session.broken(found.rule));
    return text(session.receive(what, at(seconds)));
  }
  void connected() {
    ASSERT_TRUE(session.open(how(), at(0)));
    ASSERT_EQ(server_says("20 02 00 00"), "connected");
    sink.taken();
  }
  result<std::uint16_t> publish(std::string_view payload, std::uint8_t qos = 1) {
    publish_.topic = "t";
    publish_.payload = payload;
    publish_.qos = qos;
    return session.publish(publish_, at(0));
  }

  written_down sink;
  client_session session{sink};

 private:
  std::string bytes_;
  filter_scratch scratch_;
  mqtt::publish publish_;
};

TEST_F(MqttClient, MQTT_3_1_0_1_ConnectIsTheFirstPacket) {
  EXPECT_EQ(publish("x").error(), errc::not_connected);
  ASSERT_TRUE(session.open(how(), at(0)));
  EXPECT_EQ(sink.taken(),
            "100f00044d51545404"
            "00"
            "003c"
            "0003646576");
  EXPECT_EQ(publish("x").error(), errc::not_connected) << "not before CONNACK";
  EXPECT_EQ(session.open(how(), at(0)).error(), errc::invalid_state);
  EXPECT_EQ(server_says("20 02 00 00"), "connected");
  EXPECT_EQ(sink.taken(), "");
}

TEST_F(MqttClient, TellsThatTheServerKeptTheSession) {
  ASSERT_TRUE(session.open(how(), at(0)));
  EXPECT_EQ(server_says("20 02 01 00"), "connected, session kept");
}

TEST_F(MqttClient, MQTT_3_2_2_1_ACleanSessionIsNeverKept) {
  ASSERT_TRUE(session.open(how(true), at(0)));
  EXPECT_EQ(server_says("20 02 01 00"), "closed protocol_error");
}

TEST_F(MqttClient, ARefusalEndsTheConnectionWithItsCode) {
  for (int code = 1; code <= 5; ++code) {
    ASSERT_TRUE(session.open(how(), at(0)));
    EXPECT_EQ(server_says("20 02 00 0" + std::to_string(code)), "refused " + std::to_string(code));
    EXPECT_EQ(sink.ends, code);
    EXPECT_EQ(session.deadline(), never);
  }
  EXPECT_EQ(text(session.link_lost(errc::connection_lost)), "none") << "no closed after refused";
}

TEST_F(MqttClient, RefusesAConnectThatMustNotBeSent) {
  mqtt::connect bad = how();
  bad.client_id = "";
  EXPECT_EQ(session.open(bad, at(0)).error(), errc::invalid_argument);
  bad = how();
  bad.username = "\xff";
  bad.has_username = true;
  EXPECT_EQ(session.open(bad, at(0)).error(), errc::invalid_argument);
  EXPECT_EQ(sink.taken(), "");
  EXPECT_TRUE(session.open(how(), at(0)));
}

TEST_F(MqttClient, PublishesAtQos0And1) {
  connected();
  EXPECT_EQ(*publish("a", 0), 0u);
  EXPECT_EQ(*publish("b"), 1u);
  EXPECT_EQ(*publish("c"), 2u);
  EXPECT_EQ(sink.taken(),
            "3004000174"
            "61"
            "3206000174000162"
            "3206000174000263");
  EXPECT_EQ(server_says("40 02 0002"), "published 2");
  EXPECT_EQ(server_says("40 02 0001"), "published 1");
  EXPECT_EQ(server_says("40 02 0001"), "none") << "comes once";
  EXPECT_EQ(session.inflight(), 0u);
}

TEST_F(MqttClient, RefusesPublishesThatMustNotBeSent) {
  connected();
  std::string const longer(65536, 'x');
  mqtt::publish m;
  m.payload = "p";
  EXPECT_EQ(session.publish(m, at(0)).error(), errc::invalid_argument);
  m.topic = "a/#";
  EXPECT_EQ(session.publish(m, at(0)).error(), errc::invalid_argument);
  m.topic = longer;
  EXPECT_EQ(session.publish(m, at(0)).error(), errc::too_large);
  m.topic = "t";
  m.payload = {"", max_remaining_length};  // only its size is looked at
  EXPECT_EQ(session.publish(m, at(0)).error(), errc::too_large);
  m.payload = "p";
  m.qos = 2;
  EXPECT_EQ(session.publish(m, at(0)).error(), errc::unsupported);
  EXPECT_EQ(sink.taken(), "");
}

TEST_F(MqttClient, APublishNeverGoesOutWithDupTheFirstTime) {
  connected();
  mqtt::publish m;
  m.topic = "t";
  m.dup = true;
  m.id = 77;
  EXPECT_EQ(*session.publish(m, at(0)), 0u);
  m.qos = 1;
  EXPECT_EQ(*session.publish(m, at(0)), 1u);
  EXPECT_EQ(sink.taken(),
            "3003000174"
            "32050001740001");
}

TEST_F(MqttClient, BoundsWhatIsInFlightAndWhatTheLinkHolds) {
  written_down to;
  client_session small{to, {.max_inflight = 2, .max_backlog = 100}};
  ASSERT_TRUE(small.open(how(), at(0)));
  small.receive(connack{}, at(0));
  mqtt::publish m;
  m.topic = "t";
  m.qos = 1;
  EXPECT_TRUE(small.publish(m, at(0)));
  EXPECT_TRUE(small.publish(m, at(0)));
  EXPECT_EQ(small.publish(m, at(0)).error(), errc::outbox_full);
  m.qos = 0;
  EXPECT_TRUE(small.publish(m, at(0)));
  to.pretended_backlog = 101;
  EXPECT_EQ(small.publish(m, at(0)).error(), errc::outbox_full);
}

TEST_F(MqttClient, FailsWhenAllPacketIdsAreInUse) {
  written_down to;
  client_session big{to, {.max_inflight = 65535}};
  ASSERT_TRUE(big.open(how(), at(0)));
  big.receive(connack{}, at(0));
  mqtt::publish m;
  m.topic = "t";
  m.qos = 1;
  for (int i = 1; i <= 65534; ++i) ASSERT_TRUE(big.publish(m, at(0)));
  std::string_view const name = "a";
  EXPECT_EQ(*big.unsubscribe({&name, 1}, at(0)), 65535u);
  EXPECT_EQ(big.publish(m, at(0)).error(), errc::outbox_full);
  subscription const filter{"a", 1};
  EXPECT_EQ(big.subscribe({&filter, 1}, at(0)).error(), errc::outbox_full);
  EXPECT_EQ(text(big.receive(packet{packet_type::puback, 30000}, at(0))), "published 30000");
  EXPECT_EQ(*big.publish(m, at(0)), 30000u);
  EXPECT_EQ(text(big.receive(packet{packet_type::unsuback, 65535}, at(0))), "unsubscribed 65535");
  EXPECT_EQ(*big.publish(m, at(0)), 65535u);
}

TEST_F(MqttClient, SubscribesAndUnsubscribes) {
  connected();
  subscription const filters[] = {{"a/#", 1}, {"b", 0}};
  EXPECT_EQ(*session.subscribe(filters, at(0)), 1u);
  EXPECT_EQ(sink.taken(),
            "820c0001"
            "0003612f23"
            "01"
            "000162"
            "00");
  EXPECT_EQ(session.waits_for(), "SUBACK");
  EXPECT_EQ(server_says("90 04 0001 01 80"), "subscribed 1: 1 128");
  EXPECT_EQ(server_says("90 04 0001 01 80"), "none");
  std::string_view const names[] = {"a/#", "b"};
  EXPECT_EQ(*session.unsubscribe(names, at(0)), 2u);
  EXPECT_EQ(sink.taken(),
            "a20a0002"
            "0003612f23"
            "000162");
  EXPECT_EQ(session.waits_for(), "UNSUBACK");
  EXPECT_EQ(server_says("90 03 0002 00"), "none") << "SUBACK does not answer UNSUBSCRIBE";
  EXPECT_EQ(server_says("40 02 0002"), "none") << "PUBACK does not answer UNSUBSCRIBE";
  EXPECT_EQ(server_says("b0 02 0002"), "unsubscribed 2");
}

TEST_F(MqttClient, RefusesSubscriptionsThatMustNotBeSent) {
  EXPECT_EQ(session.subscribe({}, at(0)).error(), errc::not_connected);
  EXPECT_EQ(session.unsubscribe({}, at(0)).error(), errc::not_connected);
  connected();
  EXPECT_EQ(session.subscribe({}, at(0)).error(), errc::invalid_argument);
  EXPECT_EQ(session.unsubscribe({}, at(0)).error(), errc::invalid_argument);
  subscription const bad{"a#", 1};
  EXPECT_EQ(session.subscribe({&bad, 1}, at(0)).error(), errc::invalid_argument);
  subscription const qos2{"a", 2};
  EXPECT_EQ(session.subscribe({&qos2, 1}, at(0)).error(), errc::unsupported);
  std::string_view const name = "";
  EXPECT_EQ(session.unsubscribe({&name, 1}, at(0)).error(), errc::invalid_argument);
  EXPECT_EQ(sink.taken(), "");
}

TEST_F(MqttClient, MQTT_3_8_4_5_SubackHasOneCodePerFilter) {
  connected();
  subscription const filter{"a", 1};
  ASSERT_TRUE(session.subscribe({&filter, 1}, at(0)));
  EXPECT_EQ(server_says("90 04 0001 01 01"), "closed protocol_error");
}

TEST_F(MqttClient, MQTT_4_5_0_2_EveryMessageIsDeliveredAndAcknowledgedByItsOwner) {
  connected();
  EXPECT_EQ(server_says("30 05 0001 't' 'ok'"), "message t ok qos0");
  EXPECT_EQ(server_says("3a 07 0001 't' 000a 'ok'"), "message t ok qos1 dup id10");
  EXPECT_EQ(sink.taken(), "");
  session.acknowledge(10, at(0));
  EXPECT_EQ(sink.taken(), "4002000a");
  session.acknowledge(10, at(0));
  session.acknowledge(11, at(0));
  EXPECT_EQ(sink.taken(), "");
}

TEST_F(MqttClient, MQTT_4_6_0_2_AcknowledgesInTheOrderOfTheMessages) {
  connected();
  server_says("32 05 0001 't' 0001");
  server_says("32 05 0001 't' 0002");
  session.acknowledge(2, at(0));
  EXPECT_EQ(sink.taken(), "");
  session.acknowledge(1, at(0));
  EXPECT_EQ(sink.taken(),
            "40020001"
            "40020002");
}

TEST_F(MqttClient, MQTT_4_3_2_2_AfterItsAcknowledgementAnIdIsANewMessage) {
  connected();
  EXPECT_EQ(server_says("32 06 0001 't' 0001 'a'"), "message t a qos1 id1");
  session.acknowledge(1, at(0));
  EXPECT_EQ(server_says("32 06 0001 't' 0001 'b'"), "message t b qos1 id1");
}

TEST_F(MqttClient, MQTT_4_8_0_1_WhatAServerMustNotSendEndsTheConnection) {
  for (std::string_view bad :
       {"10 0f 0004 'MQTT' 04 00 00f0 0003 'dev'", "82 06 0001 0001 'a' 00", "a2 05 0001 0001 'a'", "c0 00", "e0 00",
        "20 02 00 00", "50 02 0001", "62 02 0001", "70 02 0001", "34 05 0001 't' 0001", "f0 00"}) {
    connected();
    EXPECT_EQ(server_says(bad), "closed protocol_error") << bad;
    EXPECT_EQ(server_says("30 03 0001 't'"), "none") << "nothing after the end";
  }
  EXPECT_EQ(sink.ends, 11);
}

TEST_F(MqttClient, MQTT_3_2_0_1_NothingComesBeforeConnack) {
  for (std::string_view early : {"30 03 0001 't'", "d0 00", "40 02 0001"}) {
    ASSERT_TRUE(session.open(how(), at(0)));
    EXPECT_EQ(server_says(early), "closed protocol_error") << early;
  }
}

TEST_F(MqttClient, AServerWithMoreMessagesInFlightThanIdsBreaksTheRules) {
  connected();
  mqtt::publish m;
  m.topic = "t";
  m.qos = 1;
  for (unsigned i = 1; i <= 65535; ++i) {
    m.id = static_cast<std::uint16_t>(i);
    ASSERT_NE(session.receive(m, at(0)), nullptr);
  }
  EXPECT_EQ(text(session.receive(m, at(0))), "closed protocol_error");
}

TEST_F(MqttClient, MQTT_3_14_4_2_AfterDisconnectNothingIsSent) {
  connected();
  ASSERT_TRUE(publish("x"));
  sink.taken();
  session.close(close_mode::graceful);
  EXPECT_EQ(sink.taken(), "e000");
  EXPECT_EQ(sink.ends, 1);
  session.close(close_mode::graceful);
  EXPECT_EQ(publish("y").error(), errc::not_connected);
  session.acknowledge(1, at(0));
  EXPECT_EQ(text(session.on_time(at(1000))), "none");
  EXPECT_EQ(server_says("40 02 0001"), "none");
  EXPECT_EQ(sink.taken(), "");
  EXPECT_EQ(sink.ends, 1);
}

TEST_F(MqttClient, AbortSendsNothing) {
  connected();
  session.close(close_mode::abort);
  EXPECT_EQ(sink.taken(), "");
  EXPECT_EQ(sink.ends, 1);
}

TEST_F(MqttClient, SaysWhatItWaitsFor) {
  EXPECT_EQ(session.waits_for(), "a connection");
  connected();
  EXPECT_EQ(session.waits_for(), "packets");
  ASSERT_TRUE(publish("x"));
  EXPECT_EQ(session.waits_for(), "PUBACK");
}

}  // namespace
