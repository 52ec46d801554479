// Topic names, topic filters and what matches what (4.7 of the standard, with its own examples).
#include <iothub/mqtt/topic_filter.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace iothub::mqtt;

TEST(MqttTopicFilter, MQTT_4_7_1_2_HashIsAloneAndLast) {
  for (char const* good : {"#", "/#", "a/#", "sport/tennis/player1/#"}) EXPECT_FALSE(check_topic_filter(good)) << good;
  for (char const* bad : {"a#", "##", "a/#/b", "#/", "a/b#"})
    EXPECT_EQ(check_topic_filter(bad).what().substr(0, 12), "MQTT-4.7.1-2") << bad;
}

TEST(MqttTopicFilter, MQTT_4_7_1_3_PlusFillsALevel) {
  for (char const* good : {"+", "+/+", "/+", "+/tennis/#", "a/+/b"}) EXPECT_FALSE(check_topic_filter(good)) << good;
  for (char const* bad : {"a+", "+a", "a/+b/c", "++"})
    EXPECT_EQ(check_topic_filter(bad).what().substr(0, 12), "MQTT-4.7.1-3") << bad;
}

TEST(MqttTopicFilter, MQTT_4_7_3_1_AtLeastOneCharacter) {
  EXPECT_EQ(check_topic_filter("").what().substr(0, 12), "MQTT-4.7.3-1");
  EXPECT_EQ(check_topic_name("").what().substr(0, 12), "MQTT-4.7.3-1");
  EXPECT_FALSE(check_topic_name("/"));
  EXPECT_FALSE(check_topic_name(" "));
}

TEST(MqttTopicFilter, MQTT_4_7_3_2_NoNul) {
  EXPECT_EQ(check_topic_filter({"a\0b", 3}).what().substr(0, 12), "MQTT-4.7.3-2");
  EXPECT_EQ(check_topic_name({"a\0b", 3}).what().substr(0, 12), "MQTT-4.7.3-2");
}

TEST(MqttTopicFilter, MQTT_4_7_3_3_AtMost65535Bytes) {
  std::string topic(65535, 'a');
  EXPECT_FALSE(check_topic_name(topic));
  EXPECT_FALSE(check_topic_filter(topic));
  EXPECT_FALSE(check_string(topic));
  topic += 'a';
  EXPECT_EQ(check_topic_name(topic).what().substr(0, 12), "MQTT-4.7.3-3");
  EXPECT_EQ(check_topic_filter(topic).what().substr(0, 12), "MQTT-4.7.3-3");
  EXPECT_TRUE(check_string(topic));
}

// The quick check reads eight bytes at a time: a bad byte must be seen at each place of names of each length.
TEST(MqttTopicFilter, SeesABadByteAtEveryPlace) {
  for (std::size_t size = 1; size < 40; ++size) {
    for (std::size_t place = 0; place < size; ++place) {
      for (char const bad : {'\0', '#', '+', '\x80', '\xff'}) {
        std::string topic(size, 'a');
        topic[place] = bad;
        EXPECT_TRUE(check_topic_name(topic)) << size << " " << place << " " << static_cast<int>(bad);
      }
      for (char const good : {'\x01', '"', '$', '*', ',', '\x7f', '\x03', '\x0b'}) {
        std::string topic(size, 'a');
        topic[place] = good;
        EXPECT_FALSE(check_topic_name(topic)) << size << " " << place << " " << static_cast<int>(good);
      }
    }
  }
}

struct pair {
  char const* filter;
  char const* topic;
};

TEST(MqttTopicFilter, MatchesTheExamplesOfTheStandard) {
  for (pair const& each : {pair{"sport/tennis/player1/#", "sport/tennis/player1"},
                           {"sport/tennis/player1/#", "sport/tennis/player1/ranking"},
                           {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"},
                           {"sport/#", "sport"},
                           {"#", "a"},
                           {"#", "/"},
                           {"+", "finance"},
                           {"+/+", "/finance"},
                           {"/+", "/finance"},
                           {"sport/+", "sport/"},
                           {"sport/tennis/+", "sport/tennis/player1"},
                           {"+/tennis/#", "sport/tennis"},
                           {"$SYS/#", "$SYS/a"},
                           {"$SYS/monitor/+", "$SYS/monitor/c"},
                           {"a/b", "a/b"},
                           {"/", "/"},
                           {"+/#", "a"},
                           {"a/+/#", "a/b"}})
    EXPECT_TRUE(matches(each.filter, each.topic)) << each.filter << " " << each.topic;
}

TEST(MqttTopicFilter, DoesNotMatchTheCounterExamplesOfTheStandard) {
  for (pair const& each : {pair{"sport/tennis/+", "sport/tennis/player1/ranking"},
                           {"sport/+", "sport"},
                           {"+", "/finance"},
                           {"a/b", "a/b/"},
                           {"a/b", "a"},
                           {"a", "a/b"},
                           {"a/#", "ab"},
                           {"a/+", "a"},
                           {"+", "a/b"},
                           {"", "a"},
                           {"a", ""},
                           {"a/#", "b/a"}})
    EXPECT_FALSE(matches(each.filter, each.topic)) << each.filter << " " << each.topic;
}

TEST(MqttTopicFilter, MQTT_4_7_2_1_WildcardsDoNotMatchDollarTopics) {
  EXPECT_FALSE(matches("#", "$SYS/a"));
  EXPECT_FALSE(matches("+/monitor/Clients", "$SYS/monitor/Clients"));
  EXPECT_TRUE(matches("a/#", "a/$SYS"));
}

TEST(MqttTopicFilter, MQTT_4_7_3_4_NothingIsNormalised) {
  EXPECT_FALSE(matches("ACCOUNTS", "Accounts"));
  EXPECT_FALSE(matches("\xc3\xa4", "a\xcc\x88"));
  EXPECT_FALSE(matches("a//b", "a/b"));
}

}  // namespace
