// The rules of MQTT 3.1.1 that can be seen in one packet, a broken packet for each, and the rule that is named.
#include <iothub/mqtt/codec.hpp>

#include <gtest/gtest.h>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::bytes;
using iothub_test::encoded;

// "" for a good packet, else the sentence about the broken rule.
std::string rule_of(std::string_view text) {
  std::string const raw = bytes(text);
  packet what;
  filter_scratch scratch;
  decoded const found = decode(raw, 1u << 20, what, scratch);
  if (found.status == decode_status::need_more) return "incomplete";
  return std::string{found.rule.what()};
}
std::string id_of(std::string_view text) {
  std::string const rule = rule_of(text);
  return rule.substr(0, rule.find(':'));
}

// CONNECT with these flags, then these fields.
std::string connect_with(std::string_view flags, std::string_view fields) {
  std::string const rest = bytes("0004 'MQTT' 04 " + std::string{flags} + " 003c " + std::string{fields});
  std::string raw = bytes("10");
  raw += static_cast<char>(rest.size());
  return iothub_test::hex(raw + rest);
}

TEST(MqttRules, MQTT_1_5_3_1_StringsAreUtf8) {
  for (std::string_view bad :
       {"eda080", "edbfbf", "c0af", "e282", "f4908080", "80", "c3", "ff", "f8888080", "e08080", "f0808080"}) {
    std::size_t const size = bad.size() / 2;
    std::string const topic = "000" + std::to_string(size) + std::string{bad};
    EXPECT_EQ(id_of("30 0" + std::to_string(size + 2) + topic), "MQTT-1.5.3-1") << bad;
    EXPECT_EQ(id_of(connect_with("02", topic)), "MQTT-1.5.3-1") << bad;
  }
  for (std::string_view good : {"c3a4", "e282ac", "f09f9880", "ee8080", "f48fbfbf", "ed9fbf"})
    EXPECT_EQ(rule_of("30 0" + std::to_string(good.size() / 2 + 2) + "000" + std::to_string(good.size() / 2) +
                      std::string{good}),
              "");
}

TEST(MqttRules, MQTT_1_5_3_2_NoNulInStrings) {
  EXPECT_EQ(id_of(connect_with("02", "0003 6100 62")), "MQTT-1.5.3-2");
  EXPECT_EQ(id_of(connect_with("82", "0001 'a' 0002 7500")), "MQTT-1.5.3-2");
}

TEST(MqttRules, MQTT_1_5_3_3_ByteOrderMarkIsData) {
  std::string const raw = bytes("30 07 0004 efbbbf 'a' 'x'");
  packet what;
  filter_scratch scratch;
  ASSERT_EQ(decode(raw, 100, what, scratch).status, decode_status::complete);
  EXPECT_EQ(what.publish.topic,
            "\xef\xbb\xbf"
            "a");
}

TEST(MqttRules, MQTT_2_2_2_2_WrongHeaderFlags) {
  struct fixed {
    unsigned type;
    unsigned flags;
  };
  for (fixed const& each : {fixed{1, 0}, fixed{2, 0}, fixed{4, 0}, fixed{5, 0}, fixed{6, 2}, fixed{7, 0}, fixed{8, 2},
                            fixed{9, 0}, fixed{10, 2}, fixed{11, 0}, fixed{12, 0}, fixed{13, 0}, fixed{14, 0}}) {
    for (unsigned flags = 0; flags < 16; ++flags) {
      char const first = static_cast<char>(each.type << 4 | flags);
      packet what;
      filter_scratch scratch;
      decoded const found = decode({&first, 1}, 100, what, scratch);
      EXPECT_EQ(found.status, flags == each.flags ? decode_status::need_more : decode_status::broken)
          << each.type << " " << flags;
    }
  }
  EXPECT_EQ(id_of("60"), "MQTT-3.6.1-1");
  EXPECT_EQ(id_of("80"), "MQTT-3.8.1-1");
  EXPECT_EQ(id_of("a0"), "MQTT-3.10.1-1");
  EXPECT_EQ(id_of("e1"), "MQTT-3.14.1-1");
  EXPECT_EQ(id_of("c4"), "MQTT-2.2.2-2");
  EXPECT_EQ(id_of("00"), "MQTT-4.8.0-1");
  EXPECT_EQ(id_of("f0"), "MQTT-4.8.0-1");
}

TEST(MqttRules, MQTT_2_3_1_1_PacketIdsAreNotZero) {
  EXPECT_EQ(id_of("32 05 0001 't' 0000"), "MQTT-2.3.1-1");
  EXPECT_EQ(id_of("32 03 0001 't'"), "MQTT-2.3.1-1");
  EXPECT_EQ(id_of("32 04 0001 't' 00"), "MQTT-2.3.1-1");
  EXPECT_EQ(id_of("82 06 0000 0001 't' 00"), "MQTT-2.3.1-1");
  EXPECT_EQ(id_of("a2 05 0000 0001 't'"), "MQTT-2.3.1-1");
  EXPECT_EQ(id_of("40 02 0000"), "MQTT-2.3.1-1");
}

TEST(MqttRules, MQTT_2_3_1_5_NoPacketIdAtQos0) {
  publish m;
  m.topic = "t";
  EXPECT_EQ(encoded(m), bytes("30 03 0001 't'"));
}

TEST(MqttRules, MQTT_3_1_2_1_ProtocolName) {
  EXPECT_EQ(id_of("10 0e 0004 'mqtt' 04 02 003c 0002 'c1'"), "MQTT-3.1.2-1");
  EXPECT_EQ(id_of("10 10 0006 'MQIsdp' 03 02 003c 0002 'c1'"), "MQTT-3.1.2-1");
}

TEST(MqttRules, MQTT_3_1_2_2_AnotherLevelIsDecodedNoFurther) {
  std::string const raw = bytes("10 0a 0004 'MQTT' 05 ff ff ff");
  packet what;
  filter_scratch scratch;
  ASSERT_EQ(decode(raw, 100, what, scratch).status, decode_status::complete);
  EXPECT_EQ(what.connect.protocol_level, 5);
}

TEST(MqttRules, ConnectFlags) {
  EXPECT_EQ(id_of(connect_with("03", "0001 'a'")), "MQTT-3.1.2-3");
  EXPECT_EQ(id_of(connect_with("0a", "0001 'a'")), "MQTT-3.1.2-13");
  EXPECT_EQ(id_of(connect_with("22", "0001 'a'")), "MQTT-3.1.2-15");
  EXPECT_EQ(id_of(connect_with("1e", "0001 'a' 0001 't' 0000")), "MQTT-3.1.2-14");
  EXPECT_EQ(id_of(connect_with("42", "0001 'a' 0001 'p'")), "MQTT-3.1.2-22");
}

TEST(MqttRules, ConnectFieldsAreThoseOfTheFlags) {
  EXPECT_EQ(id_of(connect_with("06", "0001 'a'")), "MQTT-3.1.2-9");
  EXPECT_EQ(id_of(connect_with("06", "0001 'a' 0001 't'")), "MQTT-3.1.2-9");
  EXPECT_EQ(id_of(connect_with("82", "0001 'a'")), "MQTT-3.1.2-19");
  EXPECT_EQ(id_of(connect_with("c2", "0001 'a' 0001 'u'")), "MQTT-3.1.2-21");
  EXPECT_NE(rule_of(connect_with("02", "0001 'a' 0001 'u'")).find("MQTT-3.1.2-18"), std::string::npos);
  EXPECT_NE(rule_of(connect_with("82", "0001 'a' 0001 'u' 0001 'p'")).find("3.1.2-20"), std::string::npos);
  EXPECT_EQ(id_of(connect_with("02", "")), "MQTT-3.1.3-3");
  EXPECT_EQ(id_of("10 0c ffff 4d515454 04 02 003c 0000"), "MQTT-3.1.4-1");
  EXPECT_EQ(id_of("10 06 0004 'MQTT'"), "MQTT-3.1.4-1");
  EXPECT_EQ(id_of("10 07 0004 'MQTT' 04"), "MQTT-3.1.4-1");
  EXPECT_EQ(id_of("10 09 0004 'MQTT' 04 02 00"), "MQTT-3.1.4-1");
}

TEST(MqttRules, MQTT_3_1_3_10_WillTopicIsATopicName) {
  EXPECT_EQ(id_of(connect_with("06", "0001 'a' 0001 ff 0000")), "MQTT-1.5.3-1");
  EXPECT_EQ(id_of(connect_with("06", "0001 'a' 0001 '#' 0000")), "MQTT-3.3.2-2");
  EXPECT_EQ(id_of(connect_with("06", "0001 'a' 0000 0000")), "MQTT-4.7.3-1");
  EXPECT_EQ(rule_of(connect_with("06", "0001 'a' 0001 't' 0000")), "");
}

TEST(MqttRules, MQTT_3_1_3_11_UserNameIsUtf8) {
  EXPECT_EQ(id_of(connect_with("82", "0001 'a' 0001 ff")), "MQTT-1.5.3-1");
}

TEST(MqttRules, Connack) {
  EXPECT_EQ(id_of("20 01 00"), "MQTT-4.8.0-1");
  EXPECT_EQ(id_of("20 03 000000"), "MQTT-4.8.0-1");
  EXPECT_EQ(id_of("20 02 0200"), "3.2.2.1");
  EXPECT_EQ(id_of("20 02 0006"), "3.2.2.3");
}

TEST(MqttRules, MQTT_3_3_1_2_NoDupAtQos0) {
  EXPECT_EQ(id_of("38 03 0001 't'"), "MQTT-3.3.1-2");
}
TEST(MqttRules, MQTT_3_3_1_4_NoQos3) {
  EXPECT_EQ(id_of("36 05 0001 't' 0001"), "MQTT-3.3.1-4");
}
TEST(MqttRules, MQTT_3_3_2_1_TopicComesFirst) {
  EXPECT_EQ(id_of("30 00"), "MQTT-3.3.2-1");
  EXPECT_EQ(id_of("30 01 00"), "MQTT-3.3.2-1");
  EXPECT_EQ(id_of("30 05 0004 'abc'"), "MQTT-3.3.2-1");
}
TEST(MqttRules, MQTT_3_3_2_2_NoWildcardInATopicName) {
  EXPECT_EQ(id_of("30 05 0003 't/#'"), "MQTT-3.3.2-2");
  EXPECT_EQ(id_of("30 0b 0009 'long/to+ic'"), "MQTT-3.3.2-2");
  EXPECT_EQ(id_of("30 05 0003 'a+b'"), "MQTT-3.3.2-2");
}

TEST(MqttRules, SubscribeEntries) {
  EXPECT_EQ(id_of("82 02 0001"), "MQTT-3.8.3-3");
  EXPECT_EQ(id_of("82 05 0001 0001 'a'"), "MQTT-3.8.3-3");
  EXPECT_EQ(id_of("82 06 0001 0001 'a' 03"), "MQTT-3.8.3-4");
  EXPECT_EQ(id_of("82 06 0001 0001 'a' 41"), "MQTT-3.8.3-4");
  EXPECT_EQ(id_of("82 06 0001 ffff 'a' 00"), "MQTT-3.8.3-1");
  EXPECT_EQ(id_of("82 06 0001 0001 ff 00"), "MQTT-3.8.3-1");
  EXPECT_EQ(id_of("82 05 0001 0000 00"), "MQTT-4.7.3-1");
}
TEST(MqttRules, UnsubscribeEntries) {
  EXPECT_EQ(id_of("a2 02 0001"), "MQTT-3.10.3-2");
  EXPECT_EQ(id_of("a2 05 0001 0002 'a'"), "MQTT-3.10.3-1");
  EXPECT_EQ(id_of("a2 03 0001 00"), "MQTT-3.10.3-1");
}
TEST(MqttRules, SubackCodes) {
  EXPECT_EQ(id_of("90 03 0001 03"), "MQTT-3.9.3-2");
  EXPECT_EQ(id_of("90 02 0001"), "MQTT-3.8.4-5");
  EXPECT_EQ(id_of("90 00"), "MQTT-2.3.1-7");
}
TEST(MqttRules, AcknowledgementsAndPingsHaveFixedLengths) {
  for (std::string_view each :
       {"40 01 00", "40 03 000100", "50 00", "62 01 01", "70 01 00", "b0 00", "c0 01 00", "d0 01 00", "e0 01 00"})
    EXPECT_EQ(id_of(each), "MQTT-4.8.0-1") << each;
}

TEST(MqttRules, CheckConnectFindsWhatMustNotBeSent) {
  std::string const longer(65536, 'x');
  mqtt::connect how;
  EXPECT_EQ(check_connect(how).what().substr(0, 12), "MQTT-3.1.3-7");
  how.clean_session = true;
  EXPECT_FALSE(check_connect(how));
  how.client_id = longer;
  EXPECT_TRUE(check_connect(how));
  how.client_id = "c";
  how.has_password = true;
  EXPECT_EQ(check_connect(how).what().substr(0, 13), "MQTT-3.1.2-22");
  how.has_username = true;
  EXPECT_FALSE(check_connect(how));
  how.username = "\xff";
  EXPECT_TRUE(check_connect(how));
  how.username = "u";
  how.password = longer;
  EXPECT_TRUE(check_connect(how));
  how.password = "";
  how.has_will = true;
  EXPECT_TRUE(check_connect(how)) << "no topic";
  how.will.topic = "t";
  how.will.qos = 3;
  EXPECT_EQ(check_connect(how).what().substr(0, 13), "MQTT-3.1.2-14");
  how.will.qos = 1;
  how.will.payload = longer;
  EXPECT_TRUE(check_connect(how));
}

}  // namespace
