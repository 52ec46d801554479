// Famous defects of MQTT libraries and brokers, one test each, sent to the hub as bytes. The packets of a kind are in
// tests/data/mqtt_client_to_server.json, cut at every byte (mqtt_hostile_packets_test.cpp); here is what each defect led to.
#include "hub_face_test_peer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "mqtt_peers.hpp"

namespace {

using namespace hub_face_test;
using iothub_test::bytes;
using testing::ElementsAre;
using testing::IsEmpty;

class MqttDefect : public testing::Test {
 protected:
  void SetUp() override { hub.create("d1"); }
  test_hub hub;
};

// Five bytes of length, written past an array of four: https://github.com/Azure/azure-umqtt-c/pull/175,
// https://github.com/Azure/azure-umqtt-c/pull/178, NanoMQ (https://www.cve.org/CVERecord?id=CVE-2026-21888) and libcurl's
// mqtt_decode_len. At most four (2.2.3), whole or byte by byte, whatever follows.
TEST_F(MqttDefect, ALengthOfFiveBytesEndsTheConnection) {
  for (bool const whole : {true, false}) {
    test_device device{hub};
    ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
    std::string const sent = bytes("30 ff ff ff ff 7f") + std::string(1000, '\xff');
    if (whole) device.send_bytes(sent);
    for (char const& each : whole ? std::string{} : sent) device.send_bytes({&each, 1});
    EXPECT_THAT(device.take(), ElementsAre("end"));
  }
}

// Mongoose CVE-2019-19307 (https://www.cve.org/CVERecord?id=CVE-2019-19307): a length that runs over, read for ever.
// https://github.com/Azure/azure-iot-sdk-c/issues/945: the same from a length of 2147483647.
TEST_F(MqttDefect, TheLongestLengthIsRefusedBeforeAnythingIsKeptForIt) {
  test_device device{hub};
  ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
  auto const before = ::mallinfo2().uordblks;
  device.send_bytes(bytes("30 ff ff ff 7f"));
  EXPECT_THAT(device.take(), ElementsAre("end"));
  EXPECT_LT(::mallinfo2().uordblks, before + 4096);
}

// Eclipse mosquitto, https://www.cve.org/CVERecord?id=CVE-2023-0809: memory for a first packet that is no CONNECT.
TEST_F(MqttDefect, AFirstPacketThatIsNoConnectCostsNothing) {
  test_device device{hub};
  auto const before = ::mallinfo2().uordblks;
  device.send_bytes(bytes("30 ff ff 0f"));  // a PUBLISH of 256 KB
  EXPECT_THAT(device.take(), ElementsAre("end"));
  EXPECT_LT(::mallinfo2().uordblks, before + 4096);
}

// https://github.com/eclipse-paho/paho.mqtt.embedded-c/issues/96, https://www.cve.org/CVERecord?id=CVE-2021-41036:
// a packet larger than the buffer.
TEST_F(MqttDefect, APacketAboveTheLimitEndsTheConnectionAtItsHeader) {
  test_device device{hub};
  ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
  device.send_bytes(bytes("32 80 80 80 01"));  // 2 MB
  EXPECT_THAT(device.take(), ElementsAre("end"));
}

// A topic that is longer than its packet: Mbed MQTT, https://www.cve.org/CVERecord?id=CVE-2019-17210. The same from a hub to
// a device is in mqtt_mutated_packets_test.cpp.
TEST_F(MqttDefect, ATopicLongerThanItsPacketEndsTheConnection) {
  for (std::string_view const packet : {"30 02 ff ff", "30 03 00 02 41", "32 04 00 04 41 41", "82 05 00 01 00 ff 41"}) {
    test_device device{hub};
    ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
    device.send_bytes(bytes(packet));
    EXPECT_THAT(device.take(), ElementsAre("end")) << packet;
  }
}

// Eclipse mosquitto 1.6.6 (https://mosquitto.org/ChangeLog.txt): a topic of 65,535 slashes went too deep into a stack.
TEST_F(MqttDefect, ATopicOfSlashesIsJustNotOneOfOurs) {
  std::string const slashes(65'535, '/');
  test_device reader{hub}, writer{hub};
  ASSERT_THAT(reader.connect("d1"), ElementsAre("connack 0"));
  EXPECT_THAT(reader.subscribe(slashes), ElementsAre("end"));  // the hub closes where others would answer 0x80
  ASSERT_THAT(writer.connect("d1"), ElementsAre("connack 0"));
  EXPECT_THAT(writer.publish(slashes), ElementsAre("end"));
}

// Eclipse mosquitto: an empty topic (https://www.cve.org/CVERecord?id=CVE-2021-34432), a topic with $ that it does not know
// (https://www.cve.org/CVERecord?id=CVE-2018-12543).
TEST_F(MqttDefect, AnEmptyTopicAndAnUnknownOneOfTheServersEndTheConnection) {
  for (std::string_view const topic : {"", "$SYS/x", "$", "$iothub/nothing"}) {
    test_device device{hub};
    ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
    EXPECT_THAT(device.publish(topic, "x"), ElementsAre("end")) << topic;
  }
}

// Eclipse mosquitto, https://www.cve.org/CVERecord?id=CVE-2021-28166: a CONNACK from a client.
TEST_F(MqttDefect, APacketOfTheServerEndsTheConnection) {
  for (std::string_view const packet : {"20 02 00 00", "90 03 00 01 00", "b0 02 00 01", "d0 00"}) {
    test_device device{hub};
    ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
    device.send_bytes(bytes(packet));
    EXPECT_THAT(device.take(), ElementsAre("end")) << packet;
  }
}

// Eclipse mosquitto, https://www.cve.org/CVERecord?id=CVE-2023-28366: memory for each QoS 2 message whose id comes
// again. IoT Hub has no QoS 2 (Microsoft docs: iot-mqtt-connect-to-iot-hub), and ends the connection.
TEST_F(MqttDefect, QualityOfService2IsNotKept) {
  test_device device{hub};
  ASSERT_THAT(device.connect("d1"), ElementsAre("connack 0"));
  EXPECT_THAT(device.publish("devices/d1/messages/events/", "x", 2), ElementsAre("end"));
  EXPECT_TRUE(hub.core.events().all().empty());
}

}  // namespace
