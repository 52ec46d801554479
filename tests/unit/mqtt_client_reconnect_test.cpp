// What a client session carries from one connection to the next, and how it notices that a connection is dead.
#include <iothub/mqtt/client_session.hpp>

#include <gtest/gtest.h>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::at;
using iothub_test::hex;
using iothub_test::text;
using iothub_test::written_down;

class MqttReconnect : public ::testing::Test {
 protected:
  // Opens at that second; what CONNACK caused to be sent.
  std::string connect_at(double seconds, bool session_present, std::uint16_t keep_alive = 60) {
    mqtt::connect c;
    c.client_id = "dev";
    c.keep_alive = keep_alive;
    EXPECT_TRUE(session.open(c, at(seconds)));
    sink.taken();
    EXPECT_EQ(text(session.receive(connack{session_present, connect_code::accepted}, at(seconds))),
              session_present ? "connected, session kept" : "connected");
    return sink.taken();
  }
  std::uint16_t publish(std::string_view payload, double seconds = 0) {
    mqtt::publish m;
    m.topic = "t";
    m.payload = payload;
    m.qos = 1;
    return *session.publish(m, at(seconds));
  }
  std::string puback(std::uint16_t id) { return text(session.receive(packet{packet_type::puback, id}, at(0))); }
  void lose() { ASSERT_EQ(text(session.link_lost(errc::connection_lost)), "closed connection_lost"); }

  written_down sink;
  client_session session{sink};
};

TEST_F(MqttReconnect, MQTT_4_4_0_1_AKeptSessionGetsWhatIsUnacknowledgedAgainWithDupAndItsId) {
  connect_at(0, false);
  for (std::string_view each : {"a", "b", "c"}) publish(each);
  EXPECT_EQ(puback(2), "published 2");
  lose();
  EXPECT_EQ(connect_at(1, true),
            "3a06000174"
            "0001"
            "61"  // MQTT-3.3.1-1: DUP; MQTT-2.3.1-3: the same id
            "3a06000174"
            "0003"
            "63");  // MQTT-4.6.0-1: in the first order
  EXPECT_EQ(publish("d"), 4u);
  EXPECT_EQ(puback(1), "published 1");
  EXPECT_EQ(puback(3), "published 3");
}

TEST_F(MqttReconnect, ALostSessionGetsThemAsNewOnesInTheSameOrder) {
  connect_at(0, false);
  for (std::string_view each : {"a", "b"}) publish(each);
  lose();
  EXPECT_EQ(connect_at(1, false),
            "3206000174"
            "0001"
            "61"
            "3206000174"
            "0002"
            "62");
  EXPECT_EQ(publish("c"), 3u);
  EXPECT_EQ(puback(1), "published 1") << "once, however many connections later";
  lose();
  EXPECT_EQ(connect_at(2, true),
            "3a06000174"
            "0002"
            "62"
            "3a06000174"
            "0003"
            "63");
}

TEST_F(MqttReconnect, AnAbandonedMessageIsNotSentAgainAndItsIdStaysReserved) {
  connect_at(0, false);
  publish("a");
  publish("b");
  session.abandon(1);
  session.abandon(1);
  session.abandon(999);
  lose();
  EXPECT_EQ(connect_at(1, true),
            "3a06000174"
            "0002"
            "62");
  for (int i = 0; i < 65533; ++i) {
    std::uint16_t const id = publish("x");
    ASSERT_NE(id, 1u);
    ASSERT_EQ(puback(id), "published " + std::to_string(id));
    sink.taken();
  }
  EXPECT_EQ(publish("y"), 3u) << "went round the circle, past the ids 1 and 2";
  EXPECT_EQ(puback(1), "none") << "the late acknowledgement frees the id and says nothing";
  EXPECT_EQ(puback(1), "none");
}

TEST_F(MqttReconnect, AnAbandonedIdIsFreeWhenTheServerHasLostTheSession) {
  connect_at(0, false);
  publish("a");
  session.abandon(1);
  lose();
  EXPECT_EQ(connect_at(1, false), "");
  for (int i = 2; i <= 65535; ++i) ASSERT_EQ(puback(publish("x")), "published " + std::to_string(i));
  EXPECT_EQ(publish("y"), 1u);
}

TEST_F(MqttReconnect, SubscribeEndsWithItsConnection) {
  connect_at(0, false);
  subscription const filter{"a", 1};
  ASSERT_EQ(*session.subscribe({&filter, 1}, at(0)), 1u);
  lose();
  EXPECT_EQ(connect_at(1, true), "");
  std::uint8_t const code = 1;
  EXPECT_EQ(text(session.receive(suback{1, {&code, 1}}, at(1))), "none");
}

TEST_F(MqttReconnect, AcknowledgementsOfAnEarlierConnectionAreIgnored) {
  connect_at(0, false);
  mqtt::publish m;
  m.topic = "t";
  m.qos = 1;
  m.id = 9;
  session.receive(m, at(0));
  lose();
  EXPECT_EQ(connect_at(1, true), "");
  session.acknowledge(9, at(1));
  EXPECT_EQ(sink.taken(), "");
}

TEST_F(MqttReconnect, CountsWhatIsUnacknowledged) {
  EXPECT_EQ(session.inflight(), 0u);
  connect_at(0, false);
  publish("a");
  EXPECT_EQ(session.inflight(), 1u);
  puback(1);
  EXPECT_EQ(session.inflight(), 0u);
}

// --- time -----------------------------------------------------------------------------------------------------------

TEST_F(MqttReconnect, NoConnackInTimeEndsTheAttempt) {
  mqtt::connect c;
  c.client_id = "dev";
  ASSERT_TRUE(session.open(c, at(0)));
  EXPECT_EQ(session.deadline(), at(60));
  EXPECT_EQ(session.waits_for(), "CONNACK");
  EXPECT_EQ(text(session.on_time(at(59.9))), "none");
  EXPECT_EQ(text(session.on_time(at(60))), "closed timeout");
  EXPECT_EQ(sink.ends, 1);
  EXPECT_EQ(session.deadline(), never);
}

TEST_F(MqttReconnect, MQTT_3_1_2_23_PingsWithinTheKeepAlive) {
  connect_at(0, false, 60);
  EXPECT_EQ(session.deadline(), at(45)) << "three quarters";
  EXPECT_EQ(text(session.on_time(at(44.9))), "none");
  EXPECT_EQ(sink.taken(), "");
  EXPECT_EQ(text(session.on_time(at(45))), "none");
  EXPECT_EQ(sink.taken(), "c000");
  EXPECT_EQ(session.deadline(), at(75)) << "30 s for PINGRESP";
  EXPECT_EQ(session.waits_for(), "PINGRESP");
  EXPECT_EQ(text(session.receive(packet{packet_type::pingresp}, at(46))), "none");
  EXPECT_EQ(session.deadline(), at(90)) << "45 s after the last packet sent";
}

TEST_F(MqttReconnect, NoPingrespInTimeIsALostConnection) {
  connect_at(0, false, 60);
  session.on_time(at(45));
  EXPECT_EQ(text(session.on_time(at(74.9))), "none");
  client_event const* const ended = session.on_time(at(75));
  EXPECT_EQ(text(ended), "closed connection_lost");
  EXPECT_EQ(ended->reason.message(), "no PINGRESP came in time");
  EXPECT_EQ(sink.ends, 1);
}

TEST_F(MqttReconnect, AClientThatOnlySendsNoticesADeadLinkToo) {
  connect_at(0, false, 60);
  for (int second = 1; second <= 74; ++second) {
    publish("x", second);
    ASSERT_EQ(text(session.on_time(at(second))), "none");
  }
  EXPECT_NE(sink.taken().find("c000"), std::string::npos);
  EXPECT_EQ(text(session.on_time(at(75))), "closed connection_lost");
}

TEST_F(MqttReconnect, AShortKeepAliveIsKeptWhileAPingIsUnanswered) {
  connect_at(0, false, 4);
  session.on_time(at(3));
  EXPECT_EQ(session.deadline(), at(6));
  session.on_time(at(6));
  EXPECT_EQ(sink.taken(), "c000c000");
  for (int second = 9; second < 33; second += 3) ASSERT_EQ(text(session.on_time(at(second))), "none");
  EXPECT_EQ(text(session.on_time(at(33))), "closed connection_lost") << "30 s after the first";
}

TEST_F(MqttReconnect, KeepAliveZeroNeverPings) {
  connect_at(0, false, 0);
  EXPECT_EQ(session.deadline(), never);
  EXPECT_EQ(text(session.on_time(at(1e6))), "none");
  EXPECT_EQ(sink.taken(), "");
}

}  // namespace
