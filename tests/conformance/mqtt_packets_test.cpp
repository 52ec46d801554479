// Sections 1.5 and 2: strings, fixed headers, packet ids.
#include "mqtt_sides.hpp"

using namespace mqtt_conformance;

// Kept. Both sides drop the connection over bad UTF-8 and surrogates, and neither sends them.
TEST(MqttConformance, MQTT_1_5_3_1) {
  for (auto const bad : {"\xff"sv, "\xc3("sv, "\xed\xa0\x80"sv, "\xc0\x80"sv, "\xf4\x90\x80\x80"sv, "a\xe2\x82"sv}) {
    EXPECT_TRUE(server_drops_first(connect_of(2, field(bad)))) << hex(bad);
    EXPECT_TRUE(server_drops(publish_of(0x30, bad, 0, "x"))) << hex(bad);
    EXPECT_TRUE(client_drops(publish_of(0x30, bad, 0, "x"))) << hex(bad);
    client_side client;
    client.connect();
    EXPECT_FALSE(client.publish(bad, "x"));
    EXPECT_FALSE(client.subscribe(bad));
    EXPECT_EQ(client.sent(), "");
  }
}

// Kept. Both sides drop the connection over U+0000 in a string, and neither sends it.
TEST(MqttConformance, MQTT_1_5_3_2) {
  EXPECT_TRUE(server_drops_first(connect_of(2, field("c\0"sv))));
  EXPECT_TRUE(server_drops(publish_of(0x30, "a\0b"sv, 0, "x")));
  EXPECT_TRUE(client_drops(publish_of(0x30, "a\0b"sv, 0, "x")));
  client_side client;
  client.connect();
  EXPECT_FALSE(client.publish("a\0b"sv, "x"));
  EXPECT_EQ(client.sent(), "");
}

// Kept. A byte order mark goes through both sides as it is, in front and inside.
TEST(MqttConformance, MQTT_1_5_3_3) {
  auto const topic =
      "\xef\xbb\xbf"
      "t\xef\xbb\xbf"sv;
  server_side server;
  server.connect();
  server.told(publish_of(0x30, topic, 0, "x"));
  EXPECT_EQ(server.owner.taken(), lines{"publish " + std::string{topic} + " x qos0"});
  client_side client;
  client.connect();
  EXPECT_EQ(client.told(publish_of(0x30, topic, 0, "x")), "message " + std::string{topic} + " x qos0");
  ASSERT_TRUE(client.publish(topic, "x", 0));
  EXPECT_EQ(client.sent(), hex(publish_of(0x30, topic, 0, "x")));
}

// Kept. Every packet that either side sends has the flags of the table.
TEST(MqttConformance, MQTT_2_2_2_1) {
  client_side client;
  ASSERT_TRUE(client.session.open(client.how(), at(0)));
  EXPECT_EQ(client.sent().substr(0, 2), "10");
  client.says("20 02 00 00");
  ASSERT_TRUE(client.subscribe("a"));
  EXPECT_EQ(client.sent().substr(0, 2), "82");
  ASSERT_TRUE(client.unsubscribe("a"));
  EXPECT_EQ(client.sent().substr(0, 2), "a2");
  client.says("32 05 0001 't' 0009");
  EXPECT_EQ(client.sent().substr(0, 2), "40");
  client.session.on_time(at(60));
  EXPECT_EQ(client.sent(), "c000");
  client.session.close(mqtt::close_mode::graceful);
  EXPECT_EQ(client.sent(), "e000");
  server_side server;
  EXPECT_EQ(server.says(hello).substr(0, 2), "20");
  EXPECT_EQ(server.says("82 06 0001 0001 'a' 01").substr(0, 2), "90");
  EXPECT_EQ(server.says("a2 05 0002 0001 'a'").substr(0, 2), "b0");
  EXPECT_EQ(server.says("32 05 0001 't' 0009").substr(0, 2), "40");
  EXPECT_EQ(server.says("c0 00"), "d000");
}

// Kept. Each wrong flag in each packet type ends the connection, on both sides.
TEST(MqttConformance, MQTT_2_2_2_2) {
  for (unsigned flags = 0; flags != 16; ++flags) {
    if (flags != 0) {
      EXPECT_TRUE(server_drops_first(packet_of(0x10 | flags, bytes("0004 'MQTT' 04 02 003c 0002 'c1'")))) << flags;
      EXPECT_TRUE(server_drops(packet_of(0x40 | flags, "\0\1"sv))) << flags;
      EXPECT_TRUE(server_drops(packet_of(0xC0 | flags, ""))) << flags;
      EXPECT_TRUE(server_drops(packet_of(0xE0 | flags, ""))) << flags;
      EXPECT_TRUE(client_drops(packet_of(0x40 | flags, "\0\1"sv))) << flags;
      EXPECT_TRUE(client_drops(packet_of(0x90 | flags, "\0\1\0"sv))) << flags;
      EXPECT_TRUE(client_drops(packet_of(0xB0 | flags, "\0\1"sv))) << flags;
      EXPECT_TRUE(client_drops(packet_of(0xD0 | flags, ""))) << flags;
      client_side client;
      ASSERT_TRUE(client.session.open(client.how(), at(0)));
      EXPECT_EQ(client.told(packet_of(0x20 | flags, "\0\0"sv)), "closed protocol_error") << flags;
    }
    if (flags == 2) continue;
    EXPECT_TRUE(server_drops(packet_of(0x80 | flags, bytes("0001 0001 'a' 01")))) << flags;
    EXPECT_TRUE(server_drops(packet_of(0xA0 | flags, bytes("0001 0001 'a'")))) << flags;
  }
}

// Kept. The client counts its ids from 1; a server drops the connection over id 0.
TEST(MqttConformance, MQTT_2_3_1_1) {
  client_side client;
  client.connect();
  EXPECT_EQ(*client.publish("t", "x"), 1);
  EXPECT_EQ(*client.subscribe("a"), 2);
  EXPECT_EQ(*client.unsubscribe("a"), 3);
  EXPECT_EQ(client.sent(), hex(bytes("32 06 0001 't' 0001 'x'  82 06 0002 0001 'a' 01  a2 05 0003 0001 'a'")));
  EXPECT_TRUE(server_drops(bytes("32 05 0001 't' 0000")));
  EXPECT_TRUE(server_drops(bytes("82 06 0000 0001 'a' 01")));
  EXPECT_TRUE(server_drops(bytes("a2 05 0000 0001 'a'")));
  EXPECT_TRUE(client_drops(bytes("32 05 0001 't' 0000")));
}

// Kept. The client goes once around all 65535 ids and passes over the two that are still in use.
TEST(MqttConformance, MQTT_2_3_1_2) {
  client_side client;
  client.connect();
  EXPECT_EQ(*client.publish("t", "never acknowledged"), 1);
  EXPECT_EQ(*client.subscribe("never answered"), 2);
  for (unsigned expected = 3; expected <= 65535; ++expected) {
    auto const id = client.publish("t", "");
    ASSERT_EQ(*id, expected);
    client.told(packet_of(0x40, number(*id)));
  }
  EXPECT_EQ(*client.publish("t", ""), 3);
}

// Kept. A client's message keeps its id over connections; the id is taken by no other until PUBACK.
TEST(MqttConformance, MQTT_2_3_1_3) {
  client_side client;
  client.connect();
  EXPECT_EQ(*client.publish("t", "x"), 1);
  for (int connection = 0; connection != 3; ++connection) {
    client.lose();
    client.connect(true);
    EXPECT_EQ(client.sent(), hex(bytes("3a 06 0001 't' 0001 'x'")));
  }
  EXPECT_EQ(*client.publish("t", "y"), 2);
  EXPECT_EQ(client.says("40 02 0001"), "published 1");
  EXPECT_EQ(client.says("40 02 0001"), "") << "free, and no longer known";
}

// Kept. A server gives each message that it sends a free id, all around the circle, and frees it at PUBACK only.
TEST(MqttConformance, MQTT_2_3_1_4) {
  server_side server;
  server.connect();
  mqtt::publish const m{.topic = "t", .qos = 1};
  EXPECT_EQ(*server.link.session().publish(m), 1);
  for (unsigned expected = 2; expected <= 65535; ++expected) {
    auto const id = server.link.session().publish(m);
    ASSERT_EQ(*id, expected);
    server.told(packet_of(0x40, number(*id)));
  }
  EXPECT_EQ(*server.link.session().publish(m), 2);
}

// Kept. At QoS 0 neither side writes an id, and what follows the topic is read as payload.
TEST(MqttConformance, MQTT_2_3_1_5) {
  client_side client;
  client.connect();
  EXPECT_EQ(*client.publish("t", "ab", 0), 0);
  EXPECT_EQ(client.sent(), hex(bytes("30 05 0001 't' 'ab'")));
  EXPECT_EQ(client.says("30 05 0001 't' 'cd'"), "message t cd qos0");
  server_side server;
  server.connect();
  EXPECT_EQ(*server.link.session().publish({.topic = "t", .payload = "ab"}), 0);
  EXPECT_EQ(server.answer(), hex(bytes("30 05 0001 't' 'ab'")));
  server.says("30 05 0001 't' 'cd'");
  EXPECT_EQ(server.owner.taken(), lines{"publish t cd qos0"});
}

// Kept. PUBACK has the id of its PUBLISH, on both sides; there is no PUBREC and no PUBREL without QoS 2.
TEST(MqttConformance, MQTT_2_3_1_6) {
  client_side client;
  client.connect();
  client.says("32 05 0001 't' abcd");
  EXPECT_EQ(client.sent(), "4002abcd");
  server_side server;
  server.connect();
  EXPECT_EQ(server.says("32 05 0001 't' abcd"), "4002abcd");
}

// Kept. SUBACK and UNSUBACK have the id of the request, and the client finds its request by it.
TEST(MqttConformance, MQTT_2_3_1_7) {
  server_side server;
  server.connect();
  EXPECT_EQ(server.says("82 06 1234 0001 'a' 01"), "9003123401");
  EXPECT_EQ(server.says("a2 05 4321 0001 'a'"), "b0024321");
  client_side client;
  client.connect();
  EXPECT_EQ(*client.subscribe("a"), 1);
  EXPECT_EQ(*client.unsubscribe("b"), 2);
  EXPECT_EQ(client.says("90 03 0007 01  b0 02 0007"), "") << "of no request";
  EXPECT_TRUE(client_drops(bytes("90 03 0000 01")));
  EXPECT_TRUE(client_drops(bytes("b0 02 0000")));
  EXPECT_EQ(client.says("b0 02 0002  90 03 0001 01"), "unsubscribed 2; subscribed 1: 1");
}
