// Sections 3.1 and 3.2: CONNECT and CONNACK. What is between them, sessions and Wills, is the hub's.
#include "mqtt_sides.hpp"

using namespace mqtt_conformance;

// Kept. CONNECT is the client's first packet, and before CONNACK it sends no other; a server drops who begins
// otherwise.
TEST(MqttConformance, MQTT_3_1_0_1) {
  client_side client;
  EXPECT_FALSE(client.publish("t", "x"));
  EXPECT_FALSE(client.subscribe("a"));
  EXPECT_EQ(client.sent(), "");
  ASSERT_TRUE(client.session.open(client.how(), at(0)));
  EXPECT_FALSE(client.publish("t", "x"));
  EXPECT_EQ(client.sent(), hex(bytes("10 0f 0004 'MQTT' 04 00 003c 0003 'dev'")));
  for (auto const first : {"c0 00", "e0 00", "30 04 0001 't' 'x'", "82 06 0001 0001 'a' 01", "40 02 0001"})
    EXPECT_TRUE(server_drops_first(bytes(first))) << first;
}

// Kept. The second CONNECT ends the connection and is not answered.
TEST(MqttConformance, MQTT_3_1_0_2) {
  EXPECT_TRUE(server_drops(bytes(hello)));
}

// Kept. Any other protocol name ends the connection without CONNACK.
TEST(MqttConformance, MQTT_3_1_2_1) {
  for (auto const name : {"MQIsdp", "mqtt", "MQTT ", "MQT", "", "HTTP"})
    EXPECT_TRUE(server_drops_first(packet_of(0x10, field(name) + bytes("04 02 003c 0002 'c1'")))) << name;
}

// Kept. Levels 3 and 5 and all others are answered with code 1, then the connection ends.
TEST(MqttConformance, MQTT_3_1_2_2) {
  for (unsigned const level : {0u, 3u, 5u, 6u, 0x84u, 255u}) {
    server_side server;
    EXPECT_EQ(server.told(packet_of(0x10, field("MQTT") + static_cast<char>(level) + bytes("02 003c 0002 'c1'"))),
              "20020001");
    EXPECT_TRUE(server.ended());
    EXPECT_EQ(server.owner.taken(), lines{"closed protocol_error"});
  }
}

// Kept. The reserved flag ends the connection without CONNACK.
TEST(MqttConformance, MQTT_3_1_2_3) {
  EXPECT_TRUE(server_drops_first(connect_of(3, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(1, field("c1"))));
}

// Kept. The hub resumes the stored session, its subscriptions included; the client sends what was not acknowledged
// again.
TEST(MqttConformance, MQTT_3_1_2_4) {
  hub_world w;
  hub_link first{w};
  EXPECT_THAT(first.connect(), ElementsAre("connack 0 0"));
  first.subscribe(methods);
  first.lose();
  hub_link second{w};
  EXPECT_THAT(second.connect(), ElementsAre("connack 1 0"));
  ASSERT_TRUE(w.invoke());
  EXPECT_THAT(second.hears(), ElementsAre("publish q0 $iothub/methods/POST/reboot/ null"));
  client_side client;
  client.connect();
  client.publish("t", "x");
  client.lose();
  EXPECT_EQ(client.connect(true), "connected, session kept");
  EXPECT_EQ(client.sent(), hex(bytes("3a 06 0001 't' 0001 'x'")));
}

// Kept. Cloud-to-device messages wait for a device that is away, up to the hub's limits (50, an hour unless they say
// otherwise).
TEST(MqttConformance, MQTT_3_1_2_5) {
  hub_world w;
  hub_link first{w};
  first.connect();
  first.subscribe(c2d_d1);
  first.lose();
  w.send_c2d("d1", "one");
  w.send_c2d("d1", "two");
  hub_link second{w};
  EXPECT_THAT(second.connect(), ElementsAre("connack 1 0", c2d("q1 #1", "one"), c2d("q1 #2", "two")));
}

// Kept. A clean session begins with nothing and leaves nothing; the client's unacknowledged messages go out as new
// ones.
TEST(MqttConformance, MQTT_3_1_2_6) {
  hub_world w;
  hub_link stored{w};
  stored.connect();
  stored.subscribe(methods);
  stored.lose();
  hub_link clean{w};
  EXPECT_THAT(clean.connect("d1", true), ElementsAre("connack 0 0"));
  EXPECT_FALSE(w.invoke()) << "the stored subscription is gone";
  clean.subscribe(methods);
  EXPECT_TRUE(w.invoke());
  clean.lose();
  hub_link later{w};
  EXPECT_THAT(later.connect(), ElementsAre("connack 0 0"));
  EXPECT_FALSE(w.invoke()) << "nor is that of the clean session there";
  client_side client;
  client.connect(false, true);
  client.publish("t", "x");
  client.subscribe("a");
  client.lose();
  client.connect(false, true);
  EXPECT_EQ(client.sent(), hex(bytes("32 06 0001 't' 0001 'x'"))) << "not a copy of an earlier packet: no DUP";
}

// Not offered. IoT Hub retains nothing: the message is telemetry with the property mqtt-retain, before and after the
// session's end (Microsoft docs: iot-mqtt-connect-to-iot-hub).
TEST(MqttConformance, MQTT_3_1_2_7) {
  hub_world w;
  hub_link first{w};
  first.connect("d1", true);
  first.says(publish_of(0x31, events_d1, 0, "retained"));
  first.says("\xe0\0"sv);
  EXPECT_EQ(*w.hub.core.events().all().at(0).content.find("mqtt-retain"), "true");
  hub_link second{w};
  EXPECT_THAT(second.connect(), ElementsAre("connack 0 0"));
  EXPECT_THAT(second.subscribe(c2d_d1), ElementsAre("suback 1: 1"));
}

// Kept. The Will becomes telemetry when the connection is lost, times out, is taken over or breaks a rule.
TEST(MqttConformance, MQTT_3_1_2_8) {
  hub_world w;
  for (int how = 0; how != 4; ++how) {
    hub_link device{w};
    auto const will = "gone " + std::to_string(how);
    ASSERT_THAT(device.connect("d1", false, {events_d1, will}), ElementsAre("connack 0 0"));
    EXPECT_EQ(w.events().size(), static_cast<std::size_t>(how));
    hub_link other{w};
    if (how == 0) device.lose();
    if (how == 1) w.hub.advance(361s), device.hears();
    if (how == 2) other.connect();
    if (how == 3) device.says("\xf0\0"sv);
    ASSERT_EQ(w.events().size(), static_cast<std::size_t>(how + 1));
    EXPECT_EQ(w.events().back(), will);
  }
}

// Kept. A server drops a CONNECT whose Will is missing; the client writes topic and message behind its id.
TEST(MqttConformance, MQTT_3_1_2_9) {
  EXPECT_TRUE(server_drops_first(connect_of(6, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(6, field("c1") + field("w"))));
  client_side client;
  mqtt::connect how = client.how();
  how.has_will = true;
  how.will = {.topic = "w", .payload = "x", .qos = 1};
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 15 0004 'MQTT' 04 0c 003c 0003 'dev' 0001 'w' 0001 'x'")));
}

// Kept. The Will is sent once; after that, or after DISCONNECT, the end of the next connection sends nothing.
TEST(MqttConformance, MQTT_3_1_2_10) {
  hub_world w;
  hub_link first{w}, second{w}, third{w};
  first.connect("d1", false, {events_d1, "gone"});
  first.lose();
  EXPECT_EQ(w.events(), lines{"gone"});
  second.connect();
  second.lose();
  EXPECT_EQ(w.events(), lines{"gone"});
  third.connect("d1", false, {events_d1, "never said"});
  third.says("\xe0\0"sv);
  third.lose();
  EXPECT_EQ(w.events(), lines{"gone"});
}

// Kept. A CONNECT without Will flag is dropped when it has Will bits or Will fields, and the client writes neither.
TEST(MqttConformance, MQTT_3_1_2_11) {
  EXPECT_TRUE(server_drops_first(connect_of(0x0A, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(0x22, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(2, field("c1") + field("w") + field("x"))));
  client_side client;
  mqtt::connect how = client.how();
  how.will = {.topic = "w", .payload = "x", .qos = 1, .retain = true};
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 0f 0004 'MQTT' 04 00 003c 0003 'dev'")));
}

// Kept. Without a Will the hub sends nothing however the connection ends.
TEST(MqttConformance, MQTT_3_1_2_12) {
  hub_world w;
  hub_link lost{w}, late{w}, broken{w};
  lost.connect();
  lost.lose();
  late.connect();
  w.hub.advance(361s);
  EXPECT_THAT(late.hears(), ElementsAre("end"));
  broken.connect();
  broken.says("\xf0\0"sv);
  EXPECT_EQ(w.events(), lines{});
}

// Kept. Will QoS 1 or 2 without Will flag ends the connection.
TEST(MqttConformance, MQTT_3_1_2_13) {
  EXPECT_TRUE(server_drops_first(connect_of(0x0A, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(0x12, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(0x1A, field("c1"))));
}

// Kept. Will QoS 3 ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_1_2_14) {
  EXPECT_TRUE(server_drops_first(connect_of(0x1E, field("c1") + field("w") + field("x"))));
  client_side client;
  mqtt::connect how = client.how();
  how.has_will = true;
  how.will = {.topic = "w", .payload = "x", .qos = 3};
  EXPECT_EQ(why(client.session.open(how, at(0))), "invalid_argument");
  EXPECT_EQ(client.sent(), "");
}

// Kept. Will retain without Will flag ends the connection.
TEST(MqttConformance, MQTT_3_1_2_15) {
  EXPECT_TRUE(server_drops_first(connect_of(0x22, field("c1"))));
}

// Kept. A Will without Will retain is telemetry without the mark of a retained message.
TEST(MqttConformance, MQTT_3_1_2_16) {
  hub_world w;
  hub_link device{w};
  device.connect("d1", false, {events_d1, "gone"});
  device.lose();
  auto const event = w.hub.core.events().all().at(0);
  EXPECT_EQ(event.content.body.bytes(), "gone");
  EXPECT_EQ(event.content.find("mqtt-retain"), nullptr);
}

// Not offered. IoT Hub retains nothing: such a Will is telemetry with the property mqtt-retain (Microsoft docs:
// iot-mqtt-connect-to-iot-hub).
TEST(MqttConformance, MQTT_3_1_2_17) {
  hub_world w;
  hub_link device{w}, again{w};
  device.connect("d1", false, {events_d1, "gone", 0x24});
  device.lose();
  auto const event = w.hub.core.events().all().at(0);
  EXPECT_EQ(event.content.body.bytes(), "gone");
  EXPECT_EQ(*event.content.find("mqtt-retain"), "true");
  again.connect();
  EXPECT_THAT(again.subscribe(c2d_d1), ElementsAre("suback 1: 1")) << "and nothing behind it";
}

// Kept. A user name without its flag is a byte too many and ends the connection; the client writes none.
TEST(MqttConformance, MQTT_3_1_2_18) {
  EXPECT_TRUE(server_drops_first(connect_of(2, field("c1") + field("user"))));
  client_side client;
  mqtt::connect how = client.how();
  how.username = "user";
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 0f 0004 'MQTT' 04 00 003c 0003 'dev'")));
}

// Kept. A user name flag without user name ends the connection; the client writes flag and field together.
TEST(MqttConformance, MQTT_3_1_2_19) {
  EXPECT_TRUE(server_drops_first(connect_of(0x82, field("c1"))));
  EXPECT_TRUE(server_drops_first(connect_of(0x82, field("c1") + "\0\5user"s)));
  client_side client;
  mqtt::connect how = client.how();
  how.username = "user";
  how.has_username = true;
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 15 0004 'MQTT' 04 80 003c 0003 'dev' 0004 'user'")));
}

// Kept. A password without its flag is a byte too many and ends the connection; the client writes none.
TEST(MqttConformance, MQTT_3_1_2_20) {
  EXPECT_TRUE(server_drops_first(connect_of(0x82, field("c1") + field("user") + field("password"))));
  client_side client;
  mqtt::connect how = client.how();
  how.password = "password";
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 0f 0004 'MQTT' 04 00 003c 0003 'dev'")));
}

// Kept. A password flag without password ends the connection; the client writes flag and field together.
TEST(MqttConformance, MQTT_3_1_2_21) {
  EXPECT_TRUE(server_drops_first(connect_of(0xC2, field("c1") + field("user"))));
  client_side client;
  mqtt::connect how = client.how();
  how.username = "user";
  how.password = "pass";
  how.has_username = how.has_password = true;
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 1b 0004 'MQTT' 04 c0 003c 0003 'dev' 0004 'user' 0004 'pass'")));
}

// Kept. A password without user name ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_1_2_22) {
  EXPECT_TRUE(server_drops_first(connect_of(0x42, field("c1") + field("password"))));
  client_side client;
  mqtt::connect how = client.how();
  how.password = "password";
  how.has_password = true;
  EXPECT_EQ(why(client.session.open(how, at(0))), "invalid_argument");
  EXPECT_EQ(client.sent(), "");
}

// Kept. A client with nothing to say sends PINGREQ after three quarters of the interval.
TEST(MqttConformance, MQTT_3_1_2_23) {
  client_side client;
  client.connect();
  for (double silent_since = 0; silent_since != 450; silent_since += 45) {
    EXPECT_LE(client.session.deadline(), at(silent_since + 60));
    client.session.on_time(at(silent_since + 45));
    EXPECT_EQ(client.sent(), "c000") << silent_since;
    client.says("d0 00", silent_since + 45);
  }
}

// Kept. The server ends the connection after one and a half intervals of silence, and not before; each packet counts.
TEST(MqttConformance, MQTT_3_1_2_24) {
  server_side server;
  server.connect();
  server.link.step(at(89.9));
  EXPECT_FALSE(server.ended());
  EXPECT_EQ(server.says("c0 00", 89.9), "d000");
  server.link.step(at(179.8));
  EXPECT_FALSE(server.ended());
  server.link.step(at(179.9));
  EXPECT_TRUE(server.ended());
  EXPECT_EQ(server.owner.taken(), lines{"closed timeout"});
}

// Kept. The client writes id, Will topic, Will message, user name, password in this order, and the hub reads them so.
TEST(MqttConformance, MQTT_3_1_3_1) {
  client_side client;
  mqtt::connect how = client.how();
  how.has_will = how.has_username = how.has_password = true;
  how.will = {.topic = "w", .payload = "x"};
  how.username = "user";
  how.password = "pass";
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(packet_of(0x10, bytes("0004 'MQTT' 04 c4 003c 0003 'dev' 0001 'w' 0001 'x' "
                                                     "0004 'user' 0004 'pass'"))));
  hub_world w;
  hub_link device{w};
  EXPECT_THAT(device.connect("d1", false, {events_d1, "x"}), ElementsAre("connack 0 0"));
}

// Kept. The id names the session: that of one device is no other's. A client session stands for one id.
TEST(MqttConformance, MQTT_3_1_3_2) {
  hub_world w;
  hub_link one{w}, two{w}, again{w};
  one.connect("d1");
  one.subscribe(methods);
  one.lose();
  EXPECT_THAT(two.connect("d2"), ElementsAre("connack 0 0"));
  EXPECT_FALSE(w.invoke("d2"));
  EXPECT_THAT(again.connect("d1"), ElementsAre("connack 1 0"));
  EXPECT_TRUE(w.invoke("d1"));
}

// Kept. A CONNECT without an id is dropped; the client writes it first, also when it is empty.
TEST(MqttConformance, MQTT_3_1_3_3) {
  EXPECT_TRUE(server_drops_first(connect_of(2, "")));
  client_side client;
  mqtt::connect how = client.how(true);
  how.client_id = "";
  ASSERT_TRUE(client.session.open(how, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("10 0c 0004 'MQTT' 04 02 003c 0000")));
}

// Kept. An id that is not UTF-8 or holds U+0000 ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_1_3_4) {
  for (auto const bad : {"\xff"sv, "a\0"sv, "\xed\xa0\x80"sv}) {
    EXPECT_TRUE(server_drops_first(connect_of(2, field(bad))));
    client_side client;
    mqtt::connect how = client.how();
    how.client_id = bad;
    EXPECT_FALSE(client.session.open(how, at(0)));
    EXPECT_EQ(client.sent(), "");
  }
}

// Kept. A registered device with an id of 1 to 23 letters and digits connects; the hub has to know the device, as IoT
// Hub has.
TEST(MqttConformance, MQTT_3_1_3_5) {
  auto const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"sv;
  hub_world w;
  for (std::size_t length = 1; length <= 23; ++length) {
    auto const id = all.substr(length * 2, length);
    w.hub.create(id);
    hub_link device{w};
    EXPECT_THAT(device.connect(id), ElementsAre("connack 0 0")) << id;
  }
}

// Not offered. The id has to be the device's (Microsoft docs: iot-mqtt-connect-to-iot-hub), so an empty one is refused
// with code 5.
TEST(MqttConformance, MQTT_3_1_3_6) {
  hub_world w;
  hub_link device{w};
  auto const rest = field("hub.example/d1/?api-version=2021-04-12") + field(w.hub.device_token("d1"));
  EXPECT_THAT(device.says(connect_of(0xC2, field("") + rest)), ElementsAre("connack 0 5", "end"));
}

// Kept. The client refuses an empty id without CleanSession.
TEST(MqttConformance, MQTT_3_1_3_7) {
  client_side client;
  mqtt::connect how = client.how();
  how.client_id = "";
  EXPECT_EQ(why(client.session.open(how, at(0))), "invalid_argument");
  EXPECT_EQ(client.sent(), "");
}

// Kept. An empty id without CleanSession is answered with code 2, then the connection ends.
TEST(MqttConformance, MQTT_3_1_3_8) {
  server_side server;
  EXPECT_EQ(server.told(connect_of(0, field(""))), "20020002");
  EXPECT_TRUE(server.ended());
  EXPECT_EQ(server.owner.taken(), lines{"closed protocol_error"});
}

// Kept. An id that is refused as such is answered with code 2; one that is another device's is a matter of
// authorisation, code 5 (azure-iot-protocol-gateway, MqttAdapter.cs).
TEST(MqttConformance, MQTT_3_1_3_9) {
  server_side server;
  server.owner.decides = false;
  EXPECT_EQ(server.says(hello), "");
  server.link.session().refuse(mqtt::connect_code::identifier_rejected);
  EXPECT_EQ(server.answer(), "20020002");
  EXPECT_TRUE(server.ended());
  hub_world w;
  hub_link device{w};
  auto const rest = field("hub.example/d1/?api-version=2021-04-12") + field(w.hub.device_token("d1"));
  EXPECT_THAT(device.says(connect_of(0xC2, field("d2") + rest)), ElementsAre("connack 0 5", "end"));
}

// Kept. A Will topic that is not UTF-8 or holds U+0000 ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_1_3_10) {
  for (auto const bad : {"\xff"sv, "a\0"sv, "\xed\xa0\x80"sv}) {
    EXPECT_TRUE(server_drops_first(connect_of(6, field("c1") + field(bad) + field("x"))));
    client_side client;
    mqtt::connect how = client.how();
    how.has_will = true;
    how.will = {.topic = bad, .payload = "x"};
    EXPECT_FALSE(client.session.open(how, at(0)));
    EXPECT_EQ(client.sent(), "");
  }
}

// Kept. A user name that is not UTF-8 or holds U+0000 ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_1_3_11) {
  for (auto const bad : {"\xff"sv, "a\0"sv, "\xed\xa0\x80"sv}) {
    EXPECT_TRUE(server_drops_first(connect_of(0x82, field("c1") + field(bad))));
    client_side client;
    mqtt::connect how = client.how();
    how.has_username = true;
    how.username = bad;
    EXPECT_FALSE(client.session.open(how, at(0)));
    EXPECT_EQ(client.sent(), "");
  }
}

// Kept. A CONNECT that ends inside any of its fields, or goes on behind the last, is dropped without CONNACK.
TEST(MqttConformance, MQTT_3_1_4_1) {
  auto const body = bytes("0004 'MQTT' 04 c6 003c 0002 'c1' 0001 'w' 0001 'x' 0004 'user' 0004 'pass'");
  for (std::size_t size = 0; size != body.size(); ++size)
    EXPECT_TRUE(server_drops_first(packet_of(0x10, body.substr(0, size)))) << size;
  EXPECT_TRUE(server_drops_first(packet_of(0x10, body + "x")));
  server_side server;
  EXPECT_EQ(server.told(packet_of(0x10, body)), "20020000");
}

// Kept. A device that connects again ends its older connection.
TEST(MqttConformance, MQTT_3_1_4_2) {
  hub_world w;
  hub_link older{w}, newer{w}, other{w};
  older.connect("d1");
  other.connect("d2");
  EXPECT_THAT(newer.connect("d1"), ElementsAre("connack 0 0"));
  EXPECT_THAT(older.hears(), ElementsAre("end"));
  EXPECT_THAT(other.hears(), IsEmpty());
  EXPECT_THAT(newer.says("\xc0\0"sv), ElementsAre("pingresp"));
}

// Kept. CleanSession is looked at on each CONNECT: kept, thrown away, and not there afterwards.
TEST(MqttConformance, MQTT_3_1_4_3) {
  hub_world w;
  hub_link first{w}, second{w}, third{w}, fourth{w};
  first.connect();
  first.subscribe(methods);
  EXPECT_THAT(second.connect("d1", false), ElementsAre("connack 1 0"));
  EXPECT_THAT(third.connect("d1", true), ElementsAre("connack 0 0"));
  EXPECT_THAT(fourth.connect("d1", false), ElementsAre("connack 0 0"));
}

// Kept. A valid CONNECT is answered with code 0.
TEST(MqttConformance, MQTT_3_1_4_4) {
  server_side server;
  EXPECT_EQ(server.says(hello), "20020000");
  EXPECT_FALSE(server.ended());
  hub_world w;
  hub_link device{w};
  EXPECT_THAT(device.connect(), ElementsAre("connack 0 0"));
}

// Kept. What a refused client sent behind its CONNECT, or sends later, is thrown away.
TEST(MqttConformance, MQTT_3_1_4_5) {
  hub_world w;
  hub_link device{w};
  auto const user = field("hub.example/d1/?api-version=2021-04-12");
  EXPECT_THAT(device.says(connect_of(0xC2, field("d1") + user + field("wrong")) + publish_of(0x32, events_d1, 7, "x") +
                          subscribe_of(8, {{methods, 1}})),
              ElementsAre("connack 0 5", "end"));
  EXPECT_THAT(device.says(publish_of(0x32, events_d1, 9, "x")), IsEmpty());
  EXPECT_EQ(w.events(), lines{});
}

// Kept. The server sends nothing before CONNACK; the client ends a connection that begins otherwise.
TEST(MqttConformance, MQTT_3_2_0_1) {
  server_side server;
  server.owner.decides = false;
  EXPECT_EQ(server.told(bytes(hello) + bytes("c0 00 82 06 0001 0001 'a' 01")), "");
  EXPECT_FALSE(server.link.session().publish({.topic = "t"}));
  EXPECT_EQ(server.answer(), "");
  server.link.session().accept(false, at(0));
  server.link.step(at(0));
  EXPECT_EQ(server.answer(), "20020000d0009003000101");
  for (auto const first : {"30 04 0001 't' 'x'", "d0 00", "90 03 0001 01", "40 02 0001"}) {
    client_side client;
    ASSERT_TRUE(client.session.open(client.how(), at(0)));
    EXPECT_EQ(client.says(first), "closed protocol_error") << first;
  }
}

// Kept. A clean session is never said to be present, and the client ends a connection where it is.
TEST(MqttConformance, MQTT_3_2_2_1) {
  server_side server;
  server.owner.session_present = true;
  EXPECT_EQ(server.says(hello), "20020000");
  client_side client;
  EXPECT_EQ(client.connect(true, true), "closed protocol_error");
}

// Kept. A stored session is said to be present.
TEST(MqttConformance, MQTT_3_2_2_2) {
  hub_world w;
  hub_link first{w}, second{w};
  first.connect();
  first.subscribe(c2d_d1);
  EXPECT_THAT(second.connect(), ElementsAre("connack 1 0"));
  client_side client;
  EXPECT_EQ(client.connect(true), "connected, session kept");
}

// Kept. Where nothing is stored no session is said to be present.
TEST(MqttConformance, MQTT_3_2_2_3) {
  hub_world w;
  hub_link first{w};
  EXPECT_THAT(first.connect(), ElementsAre("connack 0 0"));
  client_side client;
  EXPECT_EQ(client.connect(false), "connected");
}

// Kept. With each refusing code the session-present flag is 0, also where a session is stored.
TEST(MqttConformance, MQTT_3_2_2_4) {
  for (int code = 1; code <= 5; ++code) {
    server_side server;
    server.owner.decides = false;
    server.says("10 0e 0004 'MQTT' 04 00 003c 0002 'c1'");
    server.link.session().refuse(static_cast<mqtt::connect_code>(code));
    EXPECT_EQ(server.answer(), "2002000" + std::to_string(code));
  }
  hub_world w;
  hub_link first{w}, second{w};
  first.connect();
  first.subscribe(methods);
  auto const user = field("hub.example/d1/?api-version=2021-04-12");
  EXPECT_THAT(second.says(connect_of(0xC0, field("d1") + user + field("wrong"))), ElementsAre("connack 0 5", "end"));
}

// Kept. Behind a refusing CONNACK the server ends the connection, and so does the client.
TEST(MqttConformance, MQTT_3_2_2_5) {
  for (int code = 1; code <= 5; ++code) {
    server_side server;
    server.owner.decides = false;
    server.says(hello);
    server.link.session().refuse(static_cast<mqtt::connect_code>(code));
    EXPECT_TRUE(server.ended());
    EXPECT_EQ(server.told(bytes("c0 00")).substr(8), "") << "nothing but the CONNACK";
    client_side client;
    ASSERT_TRUE(client.session.open(client.how(), at(0)));
    EXPECT_EQ(client.says("20 02 00 0" + std::to_string(code)), "refused " + std::to_string(code));
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(client.sink.ends, 1);
  }
}

// Kept. A server that has no fitting code closes without CONNACK.
TEST(MqttConformance, MQTT_3_2_2_6) {
  server_side server;
  server.owner.decides = false;
  server.says(hello);
  server.link.session().close();
  EXPECT_EQ(server.answer(), "");
  EXPECT_TRUE(server.ended());
}
