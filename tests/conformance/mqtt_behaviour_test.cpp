// Section 4: sessions, qualities of service, order, topics, errors.
#include "mqtt_sides.hpp"

#include <iothub/mqtt/topic_filter.hpp>

using namespace mqtt_conformance;

// Kept. Over any number of connections the hub keeps subscriptions and messages, the client what it has not seen
// acknowledged.
TEST(MqttConformance, MQTT_4_1_0_1) {
  hub_world w;
  hub_link first{w};
  first.connect();
  first.says(subscribe_of(1, {{c2d_d1, 1}, {methods, 1}}));
  first.says("\xe0\0"sv);
  w.send_c2d("d1", "x");
  client_side client;
  client.connect();
  client.publish("t", "x");
  for (int connection = 0; connection != 3; ++connection) {
    hub_link next{w};
    EXPECT_THAT(next.connect(), ElementsAre("connack 1 0", c2d(connection == 0 ? "q1 #1" : "q1 dup #1", "x")));
    EXPECT_TRUE(w.invoke());
    next.lose();
    client.lose();
    client.connect(true);
    EXPECT_EQ(client.session.inflight(), 1u);
  }
}

// Kept. A clean session too lives as long as its connection.
TEST(MqttConformance, MQTT_4_1_0_2) {
  hub_world w;
  hub_link device{w};
  device.connect("d1", true);
  device.subscribe(methods);
  for (int i = 0; i != 10; ++i) {
    w.hub.advance(300s);
    EXPECT_THAT(device.says("\xc0\0"sv), ElementsAre("pingresp"));
    EXPECT_TRUE(w.invoke());
    EXPECT_EQ(device.hears().size(), 1u);
  }
}

// Kept. At QoS 0 both sides send a PUBLISH with QoS 0 and DUP 0, once: it is not kept and not sent again.
TEST(MqttConformance, MQTT_4_3_1_1) {
  client_side client;
  client.connect();
  client.publish("t", "x", 0);
  EXPECT_EQ(client.sent(), hex(bytes("30 04 0001 't' 'x'")));
  EXPECT_EQ(client.session.inflight(), 0u);
  client.lose();
  client.connect(true);
  EXPECT_EQ(client.sent(), "");
  hub_world w;
  hub_link device{w}, again{w};
  device.connect();
  device.subscribe(c2d_d1, 0);
  w.send_c2d("d1", "x");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q0", "x")));
  device.lose();
  EXPECT_THAT(again.connect(), ElementsAre("connack 1 0"));
}

// Kept. At QoS 1 both sides send with a free id and DUP 0, and keep the message until PUBACK.
TEST(MqttConformance, MQTT_4_3_2_1) {
  client_side client;
  client.connect();
  client.publish("t", "x", 1, true);
  client.publish("t", "y");
  EXPECT_EQ(client.sent(), hex(bytes("32 06 0001 't' 0001 'x' 32 06 0001 't' 0002 'y'")));
  EXPECT_EQ(client.session.inflight(), 2u);
  client.says("40 02 0001");
  EXPECT_EQ(client.session.inflight(), 1u);
  hub_world w;
  hub_link device{w};
  device.connect();
  device.subscribe(c2d_d1);
  w.send_c2d("d1", "x");
  w.send_c2d("d1", "y");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q1 #1", "x"), c2d("q1 #2", "y")));
  EXPECT_EQ(w.waiting(), 2u);
  device.puback(1);
  EXPECT_EQ(w.waiting(), 1u);
}

// Kept. PUBACK leaves when the owner has the message, and the same id behind it is another message.
TEST(MqttConformance, MQTT_4_3_2_2) {
  server_side server;
  server.connect();
  server.owner.acknowledges = false;
  EXPECT_EQ(server.says("32 06 0001 't' 0005 'x'"), "");
  server.link.session().acknowledge(5);
  EXPECT_EQ(server.answer(), "40020005");
  server.owner.acknowledges = true;
  EXPECT_EQ(server.says("32 06 0001 't' 0005 'y'"), "40020005");
  EXPECT_EQ(server.owner.taken(), (lines{"publish t x qos1", "publish t y qos1"}));
  client_side client;
  client.acknowledges = false;
  client.connect();
  EXPECT_EQ(client.says("32 06 0001 't' 0005 'x'"), "message t x qos1 id5");
  EXPECT_EQ(client.sent(), "");
  client.session.acknowledge(5, at(0));
  EXPECT_EQ(client.sent(), "40020005");
  EXPECT_EQ(client.says("32 06 0001 't' 0005 'y'"), "message t y qos1 id5");
}

// Not offered. IoT Hub has no QoS 2 (Microsoft docs: iot-mqtt-connect-to-iot-hub): the client refuses to send it, the
// hub grants QoS 1.
TEST(MqttConformance, MQTT_4_3_3_1) {
  client_side client;
  client.connect();
  EXPECT_EQ(why(client.publish("t", "x", 2)), "unsupported");
  EXPECT_EQ(why(client.subscribe("t", 2)), "unsupported");
  EXPECT_EQ(client.sent(), "");
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.subscribe(c2d_d1, 2), ElementsAre("suback 1: 1"));
  w.send_c2d("d1", "x");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q1 #1", "x")));
}

// Not offered. IoT Hub has no QoS 2 (Microsoft docs: iot-mqtt-connect-to-iot-hub): a PUBLISH at QoS 2 ends the
// connection, on both sides, and is not delivered.
TEST(MqttConformance, MQTT_4_3_3_2) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(publish_of(0x34, events_d1, 5, "x")), ElementsAre("end"));
  EXPECT_EQ(w.events(), lines{});
  EXPECT_TRUE(client_drops(bytes("34 06 0001 't' 0005 'x'")));
}

// Kept. Both sides send what was not acknowledged again, with DUP and the ids that it had.
TEST(MqttConformance, MQTT_4_4_0_1) {
  client_side client;
  client.connect();
  for (auto const payload : {"x", "y", "z"}) client.publish("t", payload);
  client.says("40 02 0001  40 02 0002");
  client.lose();
  client.sent();
  client.connect(true);
  EXPECT_EQ(client.sent(), hex(bytes("3a 06 0001 't' 0003 'z'")));
  hub_world w;
  hub_link first{w}, second{w};
  first.connect();
  first.subscribe(c2d_d1);
  for (auto const body : {"x", "y", "z"}) w.send_c2d("d1", body);
  EXPECT_THAT(first.hears(), ElementsAre(c2d("q1 #1", "x"), c2d("q1 #2", "y"), c2d("q1 #3", "z")));
  first.puback(1);
  first.puback(2);
  first.lose();
  w.send_c2d("d1", "new");
  EXPECT_THAT(second.connect(), ElementsAre("connack 1 0", c2d("q1 dup #3", "z"), c2d("q1 #4", "new")));
  second.puback(3);
  EXPECT_EQ(w.waiting(), 1u);
}

// Kept. A cloud-to-device message goes into the state of the one device that it is for, whether that is there or not.
TEST(MqttConformance, MQTT_4_5_0_1) {
  hub_world w;
  hub_link one{w}, two{w}, later{w};
  one.connect("d1");
  two.connect("d2");
  one.subscribe(c2d_d1);
  two.subscribe("devices/d2/messages/devicebound/#");
  w.send_c2d("d1", "for one");
  EXPECT_THAT(one.hears(), ElementsAre(c2d("q1 #1", "for one")));
  EXPECT_THAT(two.hears(), IsEmpty());
  two.lose();
  w.send_c2d("d2", "for two");
  EXPECT_THAT(one.hears(), IsEmpty());
  EXPECT_THAT(later.connect("d2"), ElementsAre("connack 1 0", c2d("q1 #1", "for two", "d2")));
}

// Kept. Re-sends go out in the order of the first sends, gaps and ids that went around included, before anything new.
TEST(MqttConformance, MQTT_4_6_0_1) {
  client_side client;
  client.connect();
  for (int i = 0; i != 65533; ++i) client.told(packet_of(0x40, number(*client.publish("t", ""))));
  for (auto const payload : {"a", "b", "c", "d"}) client.publish("t", payload);
  client.says("40 02 ffff");
  client.lose();
  client.sent();
  client.connect(true);
  client.publish("t", "e");
  EXPECT_EQ(client.sent(), hex(bytes("3a 06 0001 't' fffe 'a'  3a 06 0001 't' 0001 'c'  3a 06 0001 't' 0002 'd'"
                                     "32 06 0001 't' 0003 'e'")));
}

// Kept. PUBACKs leave in the order of the messages, in whatever order the application settles them.
TEST(MqttConformance, MQTT_4_6_0_2) {
  client_side client;
  client.acknowledges = false;
  client.connect();
  client.says("32 05 0001 't' 0007  32 05 0001 't' 0003  32 05 0001 't' 0005");
  client.session.acknowledge(5, at(0));
  client.session.acknowledge(3, at(0));
  EXPECT_EQ(client.sent(), "");
  client.session.acknowledge(7, at(0));
  EXPECT_EQ(client.sent(), "400200074002000340020005");
}

// Not offered. IoT Hub has no QoS 2 (Microsoft docs: iot-mqtt-connect-to-iot-hub): the client never sends PUBREC, a
// message that asks for it ends the connection.
TEST(MqttConformance, MQTT_4_6_0_3) {
  client_side client;
  client.connect();
  EXPECT_EQ(client.says("34 05 0001 't' 0001  34 05 0001 't' 0002"), "closed protocol_error");
  EXPECT_EQ(client.sent(), "");
}

// Not offered. IoT Hub has no QoS 2 (Microsoft docs: iot-mqtt-connect-to-iot-hub): the client never sends PUBREL, a
// PUBREC ends the connection.
TEST(MqttConformance, MQTT_4_6_0_4) {
  client_side client;
  client.connect();
  client.publish("t", "x");
  client.sent();
  EXPECT_EQ(client.says("50 02 0001"), "closed protocol_error");
  EXPECT_EQ(client.sent(), "");
  EXPECT_TRUE(server_drops(bytes("50 02 0001")));
}

// Kept. Cloud-to-device messages come in the order in which they were sent, over a lost connection too.
TEST(MqttConformance, MQTT_4_6_0_5) {
  hub_world w;
  hub_link first{w}, second{w};
  first.connect();
  first.subscribe(c2d_d1);
  for (auto const body : {"1", "2", "3"}) w.send_c2d("d1", body);
  EXPECT_THAT(first.hears(), ElementsAre(c2d("q1 #1", "1"), c2d("q1 #2", "2"), c2d("q1 #3", "3")));
  first.puback(2);
  first.lose();
  w.send_c2d("d1", "4");
  EXPECT_THAT(second.connect(),
              ElementsAre("connack 1 0", c2d("q1 dup #1", "1"), c2d("q1 dup #3", "3"), c2d("q1 #4", "4")));
}

// Kept. A device's messages stand in the event log in the order of sending, at either QoS, and PUBACKs keep it as well.
TEST(MqttConformance, MQTT_4_6_0_6) {
  hub_world w;
  hub_link device{w};
  device.connect();
  std::string burst;
  for (unsigned i = 1; i <= 6; ++i) burst += publish_of(i % 3 == 0 ? 0x30 : 0x32, events_d1, i, std::to_string(i));
  EXPECT_THAT(device.says(burst), ElementsAre("puback 1", "puback 2", "puback 4", "puback 5"));
  EXPECT_EQ(w.events(), (lines{"1", "2", "3", "4", "5", "6"}));
}

// Kept. The client publishes to no wildcard, and either side drops who does; in a filter they are fine.
TEST(MqttConformance, MQTT_4_7_1_1) {
  for (auto const wild : {"a/#", "+/a"}) {
    client_side client;
    client.connect();
    EXPECT_EQ(why(client.publish(wild, "x")), "invalid_argument");
    EXPECT_TRUE(client.subscribe(wild));
    EXPECT_TRUE(server_drops(publish_of(0x30, wild, 0, "x")));
    EXPECT_TRUE(client_drops(publish_of(0x30, wild, 0, "x")));
    EXPECT_TRUE(server_drops_first(connect_of(6, field("c1") + field(wild) + field("x")))) << "a Will's topic";
    server_side server;
    server.connect();
    EXPECT_EQ(server.told(subscribe_of(1, {{wild, 1}})), "9003000101");
  }
}

// Kept. A # that is not alone in the last level ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_4_7_1_2) {
  for (auto const bad : {"a#", "a/b#", "#/a", "a/#/b", "##", "#a"}) {
    EXPECT_TRUE(server_drops(subscribe_of(1, {{bad, 1}}))) << bad;
    EXPECT_TRUE(server_drops(unsubscribe_of(1, {bad}))) << bad;
    client_side client;
    client.connect();
    EXPECT_EQ(why(client.subscribe(bad)), "invalid_argument") << bad;
  }
  for (auto const good : {"#", "a/#", "/#", "a/b/#"}) {
    server_side server;
    server.connect();
    EXPECT_EQ(server.told(subscribe_of(1, {{good, 1}})), "9003000101") << good;
  }
}

// Kept. A + that does not fill its level ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_4_7_1_3) {
  for (auto const bad : {"a+", "+a", "a/b+/c", "a/+b", "++", "+#"}) {
    EXPECT_TRUE(server_drops(subscribe_of(1, {{bad, 1}}))) << bad;
    EXPECT_TRUE(server_drops(unsubscribe_of(1, {bad}))) << bad;
    client_side client;
    client.connect();
    EXPECT_EQ(why(client.subscribe(bad)), "invalid_argument") << bad;
  }
  for (auto const good : {"+", "+/+", "a/+", "/+", "+/a/#", "a/+/b"}) {
    server_side server;
    server.connect();
    EXPECT_EQ(server.told(subscribe_of(1, {{good, 1}})), "9003000101") << good;
  }
}

// Kept. A filter that begins with a wildcard covers no topic that begins with $; at the hub such filters do not exist.
TEST(MqttConformance, MQTT_4_7_2_1) {
  for (auto const filter : {"#", "+/#", "+/methods/POST/#", "+"}) {
    EXPECT_FALSE(mqtt::matches(filter, "$iothub/methods/POST/x")) << filter;
    EXPECT_FALSE(mqtt::matches(filter, "$iothub")) << filter;
    hub_world w;
    hub_link device{w};
    device.connect();
    EXPECT_THAT(device.subscribe(filter), ElementsAre("end")) << filter;
  }
  EXPECT_TRUE(mqtt::matches("$iothub/methods/POST/#", "$iothub/methods/POST/x"));
  EXPECT_TRUE(mqtt::matches("#", "a/$b"));
}

// Kept. An empty topic or filter ends the connection, and the client refuses to send one.
TEST(MqttConformance, MQTT_4_7_3_1) {
  EXPECT_TRUE(server_drops(publish_of(0x30, "", 0, "x")));
  EXPECT_TRUE(client_drops(publish_of(0x30, "", 0, "x")));
  EXPECT_TRUE(server_drops(subscribe_of(1, {{"", 1}})));
  EXPECT_TRUE(server_drops(unsubscribe_of(1, {""})));
  EXPECT_TRUE(server_drops_first(connect_of(6, field("c1") + field("") + field("x")))) << "a Will's topic";
  client_side client;
  client.connect();
  EXPECT_FALSE(client.publish("", "x"));
  EXPECT_FALSE(client.subscribe(""));
  EXPECT_FALSE(client.unsubscribe(""));
  EXPECT_EQ(client.sent(), "");
}

// Kept. U+0000 in a topic or filter ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_4_7_3_2) {
  for (auto const bad : {"\0"sv, "a\0"sv, "a/\0/b"sv}) {
    EXPECT_TRUE(server_drops(publish_of(0x30, bad, 0, "x")));
    EXPECT_TRUE(client_drops(publish_of(0x30, bad, 0, "x")));
    EXPECT_TRUE(server_drops(subscribe_of(1, {{bad, 1}})));
    EXPECT_TRUE(server_drops(unsubscribe_of(1, {bad})));
    client_side client;
    client.connect();
    EXPECT_FALSE(client.publish(bad, "x"));
    EXPECT_FALSE(client.subscribe(bad));
    EXPECT_FALSE(client.unsubscribe(bad));
    EXPECT_EQ(client.sent(), "");
  }
}

// Kept. 65535 bytes are taken on both sides; the client refuses to send one more, which the length field cannot say.
TEST(MqttConformance, MQTT_4_7_3_3) {
  std::string const longest(65535, 't');
  client_side client;
  client.connect();
  EXPECT_TRUE(client.publish(longest, "x", 0));
  EXPECT_EQ(client.sent(), hex(publish_of(0x30, longest, 0, "x")));
  EXPECT_TRUE(client.subscribe(longest));
  client.sent();
  EXPECT_FALSE(client.publish(longest + "t", "x", 0));
  client_side willing;
  mqtt::connect how = willing.how();
  auto const longer = longest + "t";
  how.has_will = true;
  how.will.topic = longer;
  EXPECT_FALSE(willing.session.open(how, at(0)));
  EXPECT_FALSE(client.subscribe(longest + "t"));
  EXPECT_EQ(client.sent(), "");
  EXPECT_EQ(client.told(publish_of(0x30, longest, 0, "x")), "message " + longest + " x qos0");
  server_side server;
  server.connect();
  server.told(publish_of(0x30, longest, 0, "x"));
  EXPECT_EQ(server.owner.taken(), lines{"publish " + longest + " x qos0"});
}

// Kept. Topics are compared byte by byte: case, slashes and forms of Unicode count.
TEST(MqttConformance, MQTT_4_7_3_4) {
  for (auto const& [filter, topic] : {std::pair{"accounts", "Accounts"},
                                      {"a/b", "/a/b"},
                                      {"a/b", "a/b/"},
                                      {"a//b", "a/b"},
                                      {"\xc3\xa9", "e\xcc\x81"},
                                      {"a b", "a%20b"}}) {
    EXPECT_FALSE(mqtt::matches(filter, topic)) << filter;
    EXPECT_FALSE(mqtt::matches(topic, filter)) << filter;
    EXPECT_TRUE(mqtt::matches(filter, filter)) << filter;
  }
  for (auto const filter : {"devices/D1/messages/devicebound/#", "/devices/d1/messages/devicebound/#",
                            "devices//d1/messages/devicebound/#", "$iothub/methods/post/#"}) {
    hub_world w;
    hub_link device{w};
    device.connect();
    EXPECT_THAT(device.subscribe(filter), ElementsAre("end")) << filter;
  }
}

// Kept. A violation ends the connection that it came on and no other.
TEST(MqttConformance, MQTT_4_8_0_1) {
  hub_world w;
  hub_link bad{w}, good{w};
  bad.connect("d1");
  good.connect("d2");
  for (auto const offence :
       {"00 00", "f0 00", "c0 01 00", "40 03 0001 00", "20 02 00 00", "d0 00", "90 03 0001 01", "30 ff ff ff ff 01"}) {
    EXPECT_TRUE(server_drops(bytes(offence))) << offence;
  }
  for (auto const offence : {"00 00", "f0 00", "d0 01 00", "40 03 0001 00", "20 02 00 00", "c0 00", "e0 00",
                             "82 06 0001 0001 'a' 01", "10 0e 0004 'MQTT' 04 02 003c 0002 'c1'", "30 ff ff ff ff 01"}) {
    EXPECT_TRUE(client_drops(bytes(offence))) << offence;
  }
  for (auto const ack : {"40 02 0000", "40 01 00"}) {
    EXPECT_TRUE(server_drops(bytes(ack))) << ack;
    EXPECT_TRUE(client_drops(bytes(ack))) << ack;
  }
  for (auto const connack :
       {"20 03 00 00 00", "20 01 00", "20 02 02 00", "20 02 80 00", "20 02 00 06", "20 02 00 ff"}) {
    client_side client;
    ASSERT_TRUE(client.session.open(client.how(), at(0)));
    EXPECT_EQ(client.says(connack), "closed protocol_error") << connack;
  }
  EXPECT_THAT(bad.says("\xf0\0"sv), ElementsAre("end"));
  EXPECT_THAT(good.says("\xc0\0"sv), ElementsAre("pingresp"));
}

// Kept. Where the hub cannot take a message just now it sends no PUBACK and ends the connection; the client does so
// when it can hold no more.
TEST(MqttConformance, MQTT_4_8_0_2) {
  hub_world w;
  hub_link device{w};
  device.connect();
  w.hub.core.faults().reject_next(hub::fault_point::send_telemetry, errc::service_unavailable);
  EXPECT_THAT(device.says(publish_of(0x32, events_d1, 5, "x")), ElementsAre("end"));
  EXPECT_EQ(w.events(), lines{});
  client_side client;
  client.acknowledges = false;
  client.connect();
  auto const message = bytes("32 05 0001 't' 0001");
  for (int i = 0; i != 65535; ++i) ASSERT_EQ(client.told(message), "message t  qos1 id1");
  EXPECT_EQ(client.told(message), "closed protocol_error");
}
