// Sections 3.8 to 3.14: subscriptions, pings and the end.
#include "mqtt_sides.hpp"

using namespace mqtt_conformance;

// Kept. Other flags of SUBSCRIBE end the connection; the client writes the right ones.
TEST(MqttConformance, MQTT_3_8_1_1) {
  for (unsigned flags = 0; flags != 16; ++flags) {
    if (flags == 2) continue;
    EXPECT_TRUE(server_drops(packet_of(0x80 | flags, bytes("0001 0001 'a' 01")))) << flags;
  }
  client_side client;
  client.connect();
  client.subscribe("a");
  EXPECT_EQ(client.sent(), hex(bytes("82 06 0001 0001 'a' 01")));
}

// Kept. A filter that is cut or not UTF-8 ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_8_3_1) {
  for (auto const bad : {"82 03 0001 00", "82 05 0001 0002 'a'", "82 06 0001 0001 ff 01", "82 06 0001 0001 00 01"})
    EXPECT_TRUE(server_drops(bytes(bad))) << bad;
  client_side client;
  client.connect();
  EXPECT_EQ(why(client.subscribe("\xff")), "invalid_argument");
  EXPECT_EQ(client.sent(), "");
}

// Kept. The hub has no wildcards but the # that its own filters end in (Microsoft docs: iot-mqtt-connect-to-iot-hub);
// others end the connection.
TEST(MqttConformance, MQTT_3_8_3_2) {
  for (auto const filter : {"#", "+", "devices/d1/#", "devices/+/messages/devicebound/#", "$iothub/methods/POST/+",
                            "devices/d1/messages/devicebound/+", "$iothub/#"}) {
    hub_world w;
    hub_link device{w};
    device.connect();
    EXPECT_THAT(device.subscribe(filter), ElementsAre("end")) << filter;
  }
}

// Kept. A SUBSCRIBE without filter, or with a filter without QoS, ends the connection; the client refuses to send it.
TEST(MqttConformance, MQTT_3_8_3_3) {
  EXPECT_TRUE(server_drops(bytes("82 02 0001")));
  EXPECT_TRUE(server_drops(bytes("82 05 0001 0001 'a'")));
  client_side client;
  client.connect();
  EXPECT_EQ(why(client.session.subscribe({}, at(0))), "invalid_argument");
  EXPECT_EQ(client.sent(), "");
}

// Kept. QoS 3 and each reserved bit of an entry end the connection, also behind a good entry.
TEST(MqttConformance, MQTT_3_8_3_4) {
  for (int const qos : {3, 4, 5, 8, 0x10, 0x20, 0x40, 0x80, 0xFF}) {
    EXPECT_TRUE(server_drops(subscribe_of(1, {{"a", qos}}))) << qos;
    EXPECT_TRUE(server_drops(subscribe_of(1, {{"a", 1}, {"b", qos}}))) << qos;
  }
}

// Kept. SUBSCRIBE is answered with SUBACK; a filter that the hub has not got ends the connection instead.
TEST(MqttConformance, MQTT_3_8_4_1) {
  hub_world w;
  hub_link device{w};
  device.connect();
  for (auto const filter : {c2d_d1, methods, desired_changes, "$iothub/twin/res/#"sv})
    EXPECT_THAT(device.subscribe(filter), ElementsAre("suback 1: 1")) << filter;
  EXPECT_THAT(device.subscribe("foo"), ElementsAre("end"));
}

// Kept. SUBACK has the id of its SUBSCRIBE, 65535 and ids out of order included.
TEST(MqttConformance, MQTT_3_8_4_2) {
  hub_world w;
  hub_link device{w};
  device.connect();
  for (unsigned const id : {65535u, 1u, 300u, 1u})
    EXPECT_THAT(device.says(subscribe_of(id, {{methods, 1}})), ElementsAre("suback " + std::to_string(id) + ": 1"));
}

// Kept. The same filter again replaces the old one: nothing is lost, nothing comes twice.
TEST(MqttConformance, MQTT_3_8_4_3) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.subscribe(c2d_d1);
  w.send_c2d("d1", "one");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q1 #1", "one")));
  EXPECT_THAT(device.subscribe(c2d_d1), ElementsAre("suback 1: 1")) << "what is in flight is not sent again";
  w.send_c2d("d1", "two");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q1 #2", "two")));
  EXPECT_THAT(device.subscribe(c2d_d1, 0), ElementsAre("suback 1: 0"));
  w.send_c2d("d1", "three");
  EXPECT_THAT(device.hears(), ElementsAre(c2d("q0", "three")));
}

// Kept. Several filters in one packet have one SUBACK, and each of them holds.
TEST(MqttConformance, MQTT_3_8_4_4) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(subscribe_of(9, {{c2d_d1, 1}, {methods, 1}, {desired_changes, 1}})),
              ElementsAre("suback 9: 1 1 1"));
  w.send_c2d("d1", "x");
  w.invoke();
  w.desire(1);
  EXPECT_EQ(device.hears().size(), 3u);
}

// Kept. SUBACK has one code per filter, and the client ends a connection where it has not.
TEST(MqttConformance, MQTT_3_8_4_5) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(subscribe_of(9, {{c2d_d1, 1}, {methods, 0}})), ElementsAre("suback 9: 1 0"));
  client_side client;
  client.connect();
  client.subscribe("a");
  EXPECT_EQ(client.says("90 04 0001 01 01"), "closed protocol_error");
  EXPECT_TRUE(client_drops(bytes("90 02 0001")));
}

// Kept. What was subscribed at QoS 0 comes at QoS 0, what was subscribed at QoS 1 or 2 at QoS 1 at most.
TEST(MqttConformance, MQTT_3_8_4_6) {
  for (int qos = 0; qos != 3; ++qos) {
    hub_world w;
    hub_link device{w};
    device.connect();
    device.says(subscribe_of(1, {{c2d_d1, qos}, {methods, qos}}));
    w.send_c2d("d1", "x");
    w.invoke();
    EXPECT_THAT(device.hears(),
                ElementsAre(c2d(qos == 0 ? "q0" : "q1 #1", "x"), "publish q0 $iothub/methods/POST/reboot/ null"));
  }
}

// Kept. The codes stand in the order of the filters, and the client reads them so.
TEST(MqttConformance, MQTT_3_9_3_1) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(subscribe_of(9, {{methods, 0}, {c2d_d1, 1}, {desired_changes, 1}})),
              ElementsAre("suback 9: 0 1 1"));
  client_side client;
  client.connect();
  mqtt::subscription const two[] = {{"a", 1}, {"b", 1}};
  ASSERT_TRUE(client.session.subscribe(two, at(0)));
  EXPECT_EQ(client.says("90 04 0001 80 01"), "subscribed 1: 128 1");
}

// Kept. The hub grants 0 or 1, also where 2 was asked for; the client ends the connection over any code but 0, 1, 2 and
// 0x80.
TEST(MqttConformance, MQTT_3_9_3_2) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(subscribe_of(9, {{methods, 2}, {c2d_d1, 1}, {desired_changes, 0}})),
              ElementsAre("suback 9: 1 1 0"));
  for (int code = 0; code != 256; ++code) {
    client_side client;
    client.connect();
    client.subscribe("a");
    bool const good = code <= 2 || code == 0x80;
    EXPECT_EQ(client.told(packet_of(0x90, "\0\1"s + static_cast<char>(code))),
              good ? "subscribed 1: " + std::to_string(code) : "closed protocol_error");
  }
}

// Kept. Other flags of UNSUBSCRIBE end the connection; the client writes the right ones.
TEST(MqttConformance, MQTT_3_10_1_1) {
  for (unsigned flags = 0; flags != 16; ++flags) {
    if (flags == 2) continue;
    EXPECT_TRUE(server_drops(packet_of(0xA0 | flags, bytes("0001 0001 'a'")))) << flags;
  }
  client_side client;
  client.connect();
  client.unsubscribe("a");
  EXPECT_EQ(client.sent(), hex(bytes("a2 05 0001 0001 'a'")));
}

// Kept. A filter that is cut or not UTF-8 ends the connection; the client writes its filters one behind another.
TEST(MqttConformance, MQTT_3_10_3_1) {
  for (auto const bad : {"a2 03 0001 00", "a2 05 0001 0002 'a'", "a2 05 0001 0001 ff", "a2 05 0001 0001 00"})
    EXPECT_TRUE(server_drops(bytes(bad))) << bad;
  client_side client;
  client.connect();
  std::string_view const two[] = {"a", "bc"};
  ASSERT_TRUE(client.session.unsubscribe(two, at(0)));
  EXPECT_EQ(client.sent(), hex(bytes("a2 09 0001 0001 'a' 0002 'bc'")));
  EXPECT_EQ(why(client.unsubscribe("\xff")), "invalid_argument");
}

// Kept. An UNSUBSCRIBE without filter ends the connection, and the client refuses to send it.
TEST(MqttConformance, MQTT_3_10_3_2) {
  EXPECT_TRUE(server_drops(bytes("a2 02 0001")));
  client_side client;
  client.connect();
  EXPECT_EQ(why(client.session.unsubscribe({}, at(0))), "invalid_argument");
  EXPECT_EQ(client.sent(), "");
}

// Kept. Only the very same filter ends a subscription: no other case, no wildcard that would cover it, no part of it.
TEST(MqttConformance, MQTT_3_10_4_1) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.subscribe(methods);
  for (auto const other : {"$iothub/methods/POST/", "$iothub/methods/post/#", "$iothub/methods/+/#", "#",
                           "$iothub/methods/POST/reboot", "/$iothub/methods/POST/#"}) {
    EXPECT_THAT(device.says(unsubscribe_of(3, {other})), ElementsAre("unsuback 3")) << other;
    EXPECT_TRUE(w.invoke()) << other;
    EXPECT_EQ(device.hears().size(), 1u) << other;
  }
  device.says(unsubscribe_of(3, {methods}));
  EXPECT_FALSE(w.invoke());
}

// Kept. After UNSUBSCRIBE no message, call or desired change is sent any more.
TEST(MqttConformance, MQTT_3_10_4_2) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.says(subscribe_of(1, {{c2d_d1, 1}, {methods, 1}, {desired_changes, 1}}));
  EXPECT_THAT(device.says(unsubscribe_of(2, {c2d_d1, methods, desired_changes})), ElementsAre("unsuback 2"));
  w.send_c2d("d1", "x");
  EXPECT_FALSE(w.invoke());
  w.desire(1);
  EXPECT_THAT(device.hears(), IsEmpty());
}

// Kept. A message sent before UNSUBSCRIBE is still settled by its PUBACK.
TEST(MqttConformance, MQTT_3_10_4_3) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.subscribe(c2d_d1);
  w.send_c2d("d1", "x");
  EXPECT_THAT(device.says(unsubscribe_of(2, {c2d_d1})), ElementsAre(c2d("q1 #1", "x"), "unsuback 2"));
  EXPECT_EQ(w.waiting(), 1u);
  device.puback(1);
  EXPECT_EQ(w.waiting(), 0u);
}

// Kept. UNSUBACK has the id of its UNSUBSCRIBE.
TEST(MqttConformance, MQTT_3_10_4_4) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.subscribe(methods);
  EXPECT_THAT(device.says(unsubscribe_of(0xABCD, {methods})), ElementsAre("unsuback 43981"));
}

// Kept. UNSUBACK comes also where there was no such subscription, or no such filter at all.
TEST(MqttConformance, MQTT_3_10_4_5) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says(unsubscribe_of(5, {methods})), ElementsAre("unsuback 5"));
  EXPECT_THAT(device.says(unsubscribe_of(6, {"foo"})), ElementsAre("unsuback 6"));
}

// Kept. Several filters in one packet have one UNSUBACK, and each of them ends.
TEST(MqttConformance, MQTT_3_10_4_6) {
  hub_world w;
  hub_link device{w};
  device.connect();
  device.says(subscribe_of(1, {{c2d_d1, 1}, {methods, 1}}));
  EXPECT_THAT(device.says(unsubscribe_of(2, {methods, "foo", c2d_d1})), ElementsAre("unsuback 2"));
  EXPECT_FALSE(w.invoke());
  w.send_c2d("d1", "x");
  EXPECT_THAT(device.hears(), IsEmpty());
}

// Kept. Each PINGREQ has its PINGRESP.
TEST(MqttConformance, MQTT_3_12_4_1) {
  hub_world w;
  hub_link device{w};
  device.connect();
  EXPECT_THAT(device.says("\xc0\0\xc0\0"sv), ElementsAre("pingresp", "pingresp"));
}

// Kept. DISCONNECT with reserved bits or with a body is no good end: it closes as an offence does, and the Will is due.
TEST(MqttConformance, MQTT_3_14_1_1) {
  for (unsigned flags = 1; flags != 16; ++flags) EXPECT_TRUE(server_drops(packet_of(0xE0 | flags, ""))) << flags;
  EXPECT_TRUE(server_drops("\xe0\1\0"sv));
  hub_world w;
  hub_link device{w};
  device.connect("d1", false, {events_d1, "gone"});
  EXPECT_THAT(device.says("\xe1\0"sv), ElementsAre("end"));
  EXPECT_EQ(w.events(), lines{"gone"});
}

// Kept. Behind DISCONNECT the client ends the link.
TEST(MqttConformance, MQTT_3_14_4_1) {
  client_side client;
  client.connect();
  client.session.close(mqtt::close_mode::graceful);
  EXPECT_EQ(client.sent(), "e000");
  EXPECT_EQ(client.sink.ends, 1);
  EXPECT_TRUE(client.closed());
}

// Kept. Behind DISCONNECT nothing more leaves the client: no request, no PUBACK, no ping.
TEST(MqttConformance, MQTT_3_14_4_2) {
  client_side client;
  client.acknowledges = false;
  client.connect();
  client.says("32 05 0001 't' 0009");
  client.session.close(mqtt::close_mode::graceful);
  client.sent();
  EXPECT_FALSE(client.publish("t", "x"));
  EXPECT_FALSE(client.subscribe("a"));
  EXPECT_FALSE(client.unsubscribe("a"));
  client.session.acknowledge(9, at(1));
  client.session.on_time(at(1000));
  client.session.close(mqtt::close_mode::graceful);
  EXPECT_EQ(client.told(bytes("32 05 0001 't' 0009"), 1000), "");
  EXPECT_EQ(client.sent(), "");
}

// Kept. DISCONNECT throws the Will away.
TEST(MqttConformance, MQTT_3_14_4_3) {
  hub_world w;
  hub_link device{w};
  device.connect("d1", false, {events_d1, "never said"});
  EXPECT_THAT(device.says("\xe0\0"sv), ElementsAre("end"));
  device.lose();
  EXPECT_EQ(w.events(), lines{});
}
