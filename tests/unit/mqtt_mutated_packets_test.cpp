// Packets that a hub sends, with every byte of them changed, cut at every byte: https://github.com/Azure/azure-umqtt-c/pull/97
// (memory written past its end and used after it was freed, found by a fuzzer that began with seven such packets). Here our
// own seven of the same kinds, and that SDK's where they are at hand.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/decoder.hpp>

#include "mqtt_peers.hpp"
#include "test_data.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::at;
using iothub_test::bytes;

struct seed {
  std::string name;
  std::string raw;
};
std::vector<seed> own_seeds() {
  return {
      {"CONNACK", bytes("20 02 00 00")},
      {"PUBACK", bytes("40 02 00 02")},
      {"SUBACK", bytes("90 05 00 01 01 01 01")},
      {"C2D", bytes("32 2f 0029 'devices/d/messages/devicebound/%24.mid=m1' 0007 'hi'")},
      {"DEVICEMETHOD", bytes("30 2b 0022 '$iothub/methods/POST/blink/?$rid=1' '{\"n\":1}'")},
      {"TWINGET", bytes("30 2c 001c '$iothub/twin/res/200/?$rid=4' '{\"desired\":{}}'")},
      {"TWINUPDATE", bytes("30 3b 0032 '$iothub/twin/PATCH/properties/desired/?$version=12' '{\"a\":1}'")},
  };
}
std::vector<seed> foreign_seeds() {
  std::vector<seed> all;
  std::filesystem::path const folder{IOTHUB_FOREIGN_DATA "/fuzz_seeds"};
  if (!std::filesystem::is_directory(folder)) return all;
  for (auto const& each : std::filesystem::directory_iterator{folder})
    if (each.path().extension() == ".bin")
      all.push_back({each.path().stem().string(), iothub_test::read_file(each.path().string())});
  return all;
}

// A client with three subscriptions and a message that wait for the hub's word, or one that waits for CONNACK. What it hears
// of these bytes, in two pieces.
struct listener {
  iothub_test::written_down sink;
  client_session session{sink};
  decoder input{1u << 20};
  std::string heard;
  std::size_t messages = 0;

  explicit listener(bool connected) {
    mqtt::connect how;
    how.client_id = "c1";
    how.clean_session = true;
    EXPECT_TRUE(session.open(how, at(0)));
    if (!connected) return;
    session.receive(connack{}, at(0));
    subscription const three[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    EXPECT_EQ(*session.subscribe(three, at(0)), 1u);
    EXPECT_EQ(*session.publish({.topic = "t", .payload = "p", .qos = 1}, at(0)), 2u);
  }
  void hear(std::string_view piece) {
    input.append(piece);
    packet what;
    for (;;) {
      decode_status const found = input.next(what);
      if (found == decode_status::need_more || session.state() == client_session::state_type::closed) return;
      client_event const* const e =
          found == decode_status::complete ? session.receive(what, at(1)) : session.broken(input.rule());
      if (e == nullptr) continue;
      heard += iothub_test::text(e) + ";";
      if (e->kind != client_event_kind::message) continue;
      ++messages;
      if (e->publish.qos == 1) session.acknowledge(e->id, at(1));
    }
  }
};
std::string told(std::string_view raw, std::size_t split, bool connected) {
  listener one{connected};
  one.hear(raw.substr(0, split));
  one.hear(raw.substr(split));
  return one.heard + one.sink.taken();
}

// Changes every byte to every other value, whole, and to a few of them at every split. What comes behind the packet is
// garbage too, so that a length that grew finds something.
void mutate(seed const& from) {
  SCOPED_TRACE(from.name);
  bool const connected = from.raw[0] != '\x20';
  std::string const behind(20, '\x30');
  for (std::size_t i = 0; i != from.raw.size(); ++i)
    for (int change = 1; change != 256; ++change) {
      std::string raw = from.raw + behind;
      raw[i] = static_cast<char>(raw[i] ^ change);
      std::string const whole = told(raw, 0, connected);
      bool const a_few = change == 1 || change == 0x80 || raw[i] == '\xff';
      if (!a_few) continue;
      for (std::size_t split = 1; split != raw.size(); ++split)
        ASSERT_EQ(told(raw, split, connected), whole) << "byte " << i << " is " << (raw[i] & 255) << ", split at " << split;
    }
}

TEST(MutatedPackets, OursAreWhatTheyShouldBe) {
  std::string all;
  for (seed const& each : own_seeds()) {
    listener one{each.raw[0] != '\x20'};
    one.hear(each.raw);
    all += one.heard;
  }
  EXPECT_EQ(all,
            "connected;published 2;subscribed 1: 1 1 1;"
            "message devices/d/messages/devicebound/%24.mid=m1 hi qos1 id7;"
            "message $iothub/methods/POST/blink/?$rid=1 {\"n\":1} qos0;"
            "message $iothub/twin/res/200/?$rid=4 {\"desired\":{}} qos0;"
            "message $iothub/twin/PATCH/properties/desired/?$version=12 {\"a\":1} qos0;");
}
TEST(MutatedPackets, OfOursMeanTheSameHoweverTheyAreCut) {
  for (seed const& each : own_seeds()) mutate(each);
}
TEST(MutatedPackets, OfThatSdksMeanTheSameHoweverTheyAreCut) {
  auto const all = foreign_seeds();
  if (all.empty()) {
    std::puts("fuzz_seeds is not there: only our own packets were changed");
    GTEST_SKIP() << "fuzz_seeds is not there";
  }
  EXPECT_EQ(all.size(), 7u);
  for (seed const& each : all) mutate(each);
}

// A topic that is longer than its packet: MQTT-C, https://www.cve.org/CVERecord?id=CVE-2026-54412, and many who found it,
// https://github.com/LiamBindle/MQTT-C/issues/158, https://github.com/LiamBindle/MQTT-C/issues/198,
// https://github.com/LiamBindle/MQTT-C/issues/199, https://github.com/LiamBindle/MQTT-C/pull/200,
// https://github.com/LiamBindle/MQTT-C/issues/201, https://github.com/LiamBindle/MQTT-C/issues/202,
// https://github.com/LiamBindle/MQTT-C/issues/203, https://github.com/LiamBindle/MQTT-C/issues/204,
// https://github.com/LiamBindle/MQTT-C/issues/205, https://github.com/LiamBindle/MQTT-C/issues/206. Nothing is delivered, and the
// connection ends.
TEST(MutatedPackets, WithATopicThatIsLongerDeliverNothing) {
  for (seed const& each : own_seeds()) {
    if ((each.raw[0] & 0xf0) != 0x30) continue;
    for (unsigned size = static_cast<unsigned char>(each.raw[1]) - 1u; size <= 0xffff; size += size < 0x200 ? 1 : 0xff) {
      std::string raw = each.raw;
      raw[2] = static_cast<char>(size >> 8);
      raw[3] = static_cast<char>(size & 255);
      listener one{true};
      one.hear(raw);
      ASSERT_EQ(one.messages, 0u) << each.name << ' ' << size;
      ASSERT_EQ(one.session.state(), client_session::state_type::closed) << each.name << ' ' << size;
    }
  }
}

}  // namespace
