// Sections 3.3 to 3.6: PUBLISH and its acknowledgements.
#include "mqtt_sides.hpp"

using namespace mqtt_conformance;

// Kept. The client's second attempt has DUP set, and so has the hub's.
TEST(MqttConformance, MQTT_3_3_1_1) {
  client_side client;
  client.connect();
  client.publish("t", "x");
  EXPECT_EQ(client.sent(), hex(bytes("32 06 0001 't' 0001 'x'")));
  client.lose();
  client.connect(true);
  EXPECT_EQ(client.sent(), hex(bytes("3a 06 0001 't' 0001 'x'")));
  hub_world w;
  hub_link first{w}, second{w};
  first.connect();
  first.subscribe(c2d_d1);
  w.send_c2d("d1", "x");
  EXPECT_THAT(first.hears(), ElementsAre(c2d("q1 #1", "x")));
  first.lose();
  EXPECT_THAT(second.connect(), ElementsAre("connack 1 0", c2d("q1 dup #1", "x")));
}

// Kept. DUP at QoS 0 ends the connection on both sides; neither sends it, whatever the caller asks for.
TEST(MqttConformance, MQTT_3_3_1_2) {
  EXPECT_TRUE(server_drops(bytes("38 04 0001 't' 'x'")));
  EXPECT_TRUE(client_drops(bytes("38 04 0001 't' 'x'")));
  client_side client;
  client.connect();
  client.publish("t", "x", 0, true);
  EXPECT_EQ(client.sent(), hex(bytes("30 04 0001 't' 'x'")));
  server_side server;
  server.connect();
  ASSERT_TRUE(server.link.session().publish({.topic = "t", .payload = "x", .dup = true}));
  EXPECT_EQ(server.answer(), hex(bytes("30 04 0001 't' 'x'")));
}

// Kept. DUP of a device's message goes no further than its PUBACK; what the hub sends has DUP only on its own second
// attempt.
TEST(MqttConformance, MQTT_3_3_1_3) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.subscribe(c2d_d1);
  EXPECT_THAT(device.says(publish_of(0x3A, events_d1, 5, "x")), ElementsAre("puback 5"));
  EXPECT_EQ(w.events(), lines{"x"});
  EXPECT_TRUE(w.hub.core.events().all().at(0).content.properties.empty());
  w.send_c2d("d1", "y");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q1 #1", "y")));
}

// Kept. QoS 3 ends the connection on both sides.
TEST(MqttConformance, MQTT_3_3_1_4) {
  EXPECT_TRUE(server_drops(bytes("36 06 0001 't' 0001 'x'")));
  EXPECT_TRUE(client_drops(bytes("36 06 0001 't' 0001 'x'")));
}

// Not offered. IoT Hub retains nothing: RETAIN becomes the property mqtt-retain of a telemetry message (Microsoft docs:
// iot-mqtt-connect-to-iot-hub).
TEST(MqttConformance, MQTT_3_3_1_5) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(publish_of(0x33, events_d1, 5, "x")), ElementsAre("puback 5"));
  EXPECT_EQ(w.events(), lines{"x"});
  EXPECT_EQ(*w.hub.core.events().all().at(0).content.find("mqtt-retain"), "true");
}

// Not offered. There are no retained messages (Microsoft docs: iot-mqtt-connect-to-iot-hub): SUBACK is all that a new
// subscription brings.
TEST(MqttConformance, MQTT_3_3_1_6) {
  hub_world w;
  hub_link one{w}, two{w};
  one.connect("d1");
  one.says(publish_of(0x33, events_d1, 5, "x"));
  EXPECT_THAT(one.subscribe(c2d_d1), ElementsAre("suback 1: 1"));
  two.connect("d2");
  EXPECT_THAT(two.subscribe(methods), ElementsAre("suback 1: 1"));
  EXPECT_THAT(two.subscribe(events_d1), ElementsAre("end")) << "telemetry is for the back end";
}

// Not offered. Nothing is retained (Microsoft docs: iot-mqtt-connect-to-iot-hub), so nothing is replaced: each message
// is telemetry of its own.
TEST(MqttConformance, MQTT_3_3_1_7) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.says(publish_of(0x31, events_d1, 0, "one"));
  device.says(publish_of(0x31, events_d1, 0, "two"));
  EXPECT_EQ(w.events(), (lines{"one", "two"}));
}

// Not offered. A new subscription brings no retained message (Microsoft docs: iot-mqtt-connect-to-iot-hub); what waits
// in the queue comes with RETAIN 0.
TEST(MqttConformance, MQTT_3_3_1_8) {
  hub_world w{{.deliver_pending_on_subscribe = true}};
  hub_link device{w};
  w.send_c2d("d1", "x");
  device.connect();
  EXPECT_THAT(device.subscribe(c2d_d1), ElementsAre("suback 1: 1", c2d("q1 #1", "x")));
}

// Kept. Messages, method calls and desired properties come with RETAIN 0.
TEST(MqttConformance, MQTT_3_3_1_9) {
  hub_world w;
  hub_link device{w};
  device.connect();
  for (auto const filter : {c2d_d1, methods, desired_changes}) device.subscribe(filter);
  w.send_c2d("d1", "x");
  w.invoke();
  w.desire(1);
  EXPECT_THAT(device.hears(),
              ElementsAre(c2d("q1 #1", "x"), "publish q0 $iothub/methods/POST/reboot/ null",
                          "publish q0 $iothub/twin/PATCH/properties/desired/ {\"a\":1,\"$version\":2}"));
}

// Not offered. Nothing is retained (Microsoft docs: iot-mqtt-connect-to-iot-hub): an empty message deletes nothing and
// is empty telemetry.
TEST(MqttConformance, MQTT_3_3_1_10) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.says(publish_of(0x31, events_d1, 0, "one"));
  EXPECT_THAT(device.says(publish_of(0x33, events_d1, 5, "")), ElementsAre("puback 5"));
  EXPECT_EQ(w.events(), (lines{"one", ""}));
}

// Not offered. Nothing is retained (Microsoft docs: iot-mqtt-connect-to-iot-hub), so neither is an empty message.
TEST(MqttConformance, MQTT_3_3_1_11) {
  hub_world w;
  hub_link device{w}, again{w};
  device.connect();
  device.says(publish_of(0x33, events_d1, 5, ""));
  again.connect();
  EXPECT_THAT(again.subscribe(c2d_d1), ElementsAre("suback 1: 1"));
}

// Not offered. Nothing is retained (Microsoft docs: iot-mqtt-connect-to-iot-hub): with RETAIN 0 a message is telemetry
// without the property mqtt-retain, and earlier ones stay as they were.
TEST(MqttConformance, MQTT_3_3_1_12) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.says(publish_of(0x31, events_d1, 0, "one"));
  device.says(publish_of(0x30, events_d1, 0, "two"));
  auto const events = w.hub.core.events().all();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(*events[0].content.find("mqtt-retain"), "true");
  EXPECT_EQ(events[1].content.find("mqtt-retain"), nullptr);
}

// Kept. The topic comes first, and one that is cut or not UTF-8 ends the connection on both sides.
TEST(MqttConformance, MQTT_3_3_2_1) {
  client_side client;
  client.connect();
  client.publish("some/topic", "x");
  EXPECT_EQ(client.sent(), hex(bytes("32 0f 000a 'some/topic' 0001 'x'")));
  for (auto const bad : {"30 01 00", "30 02 0001", "30 03 0002 't'", "30 04 0002 'a' ff"}) {
    EXPECT_TRUE(server_drops(bytes(bad))) << bad;
    EXPECT_TRUE(client_drops(bytes(bad))) << bad;
  }
}

// Kept. A wildcard in a topic ends the connection on both sides, and neither sends one.
TEST(MqttConformance, MQTT_3_3_2_2) {
  for (auto const bad : {"#", "+", "a/#", "a/+/b", "a+"}) {
    EXPECT_TRUE(server_drops(publish_of(0x30, bad, 0, "x"))) << bad;
    EXPECT_TRUE(client_drops(publish_of(0x30, bad, 0, "x"))) << bad;
    client_side client;
    client.connect();
    EXPECT_EQ(why(client.publish(bad, "x")), "invalid_argument");
    server_side server;
    server.connect();
    EXPECT_FALSE(server.link.session().publish({.topic = bad}));
    EXPECT_EQ(client.sent() + server.answer(), "");
  }
}

// Kept. A device gets what it has a filter for and nothing else, twin answers included.
TEST(MqttConformance, MQTT_3_3_2_3) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_FALSE(w.invoke());
  w.desire(1);
  w.send_c2d("d1", "early");
  EXPECT_THAT(device.says(publish_of(0x32, "$iothub/twin/GET/?$rid=1", 5, "")), ElementsAre("puback 5"));
  device.subscribe(methods);
  w.desire(2);
  w.send_c2d("d1", "still early");
  EXPECT_TRUE(w.invoke());
  EXPECT_THAT(device.hears(), ElementsAre("publish q0 $iothub/methods/POST/reboot/ null"));
}

// Kept. QoS 0 is not answered, QoS 1 by PUBACK; QoS 2 ends the connection (Microsoft docs:
// iot-mqtt-connect-to-iot-hub).
TEST(MqttConformance, MQTT_3_3_4_1) {
  server_side server;
  server.connect();
  EXPECT_EQ(server.says("30 04 0001 't' 'x'"), "");
  EXPECT_EQ(server.says("32 06 0001 't' 0007 'x'"), "40020007");
  EXPECT_EQ(server.owner.taken(), (lines{"publish t x qos0", "publish t x qos1"}));
  EXPECT_TRUE(server_drops(bytes("34 06 0001 't' 0007 'x'")));
  client_side client;
  client.connect();
  client.says("30 04 0001 't' 'x'");
  EXPECT_EQ(client.sent(), "");
  client.says("32 06 0001 't' 0007 'x'");
  EXPECT_EQ(client.sent(), "40020007");
  EXPECT_TRUE(client_drops(bytes("34 06 0001 't' 0007 'x'")));
}

// Kept. Filters that overlap are no filters of the hub; the same filter twice in one packet counts once, as the later
// entry says.
TEST(MqttConformance, MQTT_3_3_5_1) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(subscribe_of(1, {{c2d_d1, 0}, {c2d_d1, 1}})), ElementsAre("suback 1: 0 1"));
  w.send_c2d("d1", "x");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q1 #1", "x")));
  EXPECT_THAT(device.subscribe("devices/d1/#"), ElementsAre("end"));
}

// Kept. A publish to another device's topic, or to none of the hub's, ends the connection without PUBACK.
TEST(MqttConformance, MQTT_3_3_5_2) {
  for (auto const topic : {"devices/d2/messages/events/", "devices/d1/messages/devicebound/", "foo"}) {
    hub_world w;
    hub_link device{w};
    device.connect();
    EXPECT_THAT(device.says(publish_of(0x32, topic, 5, "x")), ElementsAre("end")) << topic;
    EXPECT_EQ(w.events(), lines{});
  }
}

// Kept. PUBREL with other flags ends the connection; so does a right one, which only QoS 2 has use for.
TEST(MqttConformance, MQTT_3_6_1_1) {
  for (unsigned flags = 0; flags != 16; ++flags) {
    EXPECT_TRUE(server_drops(packet_of(0x60 | flags, "\0\1"sv))) << flags;
    EXPECT_TRUE(client_drops(packet_of(0x60 | flags, "\0\1"sv))) << flags;
  }
}
