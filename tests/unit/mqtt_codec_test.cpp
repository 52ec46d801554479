// Control packets against golden bytes: encoded, decoded, cut at every byte, fed byte by byte.
#include <iothub/mqtt/codec.hpp>

#include <gtest/gtest.h>

#include <iothub/mqtt/decoder.hpp>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::bytes;
using iothub_test::encoded;
using iothub_test::hex;

decoded decode_whole(std::string const& raw, packet& into, filter_scratch& scratch) {
  return decode(raw, 1u << 20, into, scratch);
}

// MQTT 3.1.1 table 3.x layouts, by hand.
std::string const connect_bytes = bytes(
    "10 22"           // CONNECT, 34 bytes follow
    "0004 'MQTT' 04"  // protocol name and level
    "ee"              // user name, password, will retain, will QoS 1, will, clean session
    "003c"            // keep-alive 60 s
    "0002 'c1'"       // client id
    "0002 'wt' 0003 'bye'"
    "0004 'user' 0003 'pwd'");
mqtt::connect full_connect() {
  mqtt::connect how;
  how.client_id = "c1";
  how.username = "user";
  how.password = "pwd";
  how.has_username = how.has_password = how.clean_session = how.has_will = true;
  how.keep_alive = 60;
  how.will = {"wt", "bye", 1, true};
  return how;
}

TEST(MqttCodec, EncodesConnectWithEveryField) {
  EXPECT_EQ(hex(encoded(full_connect())), hex(connect_bytes));
}

TEST(MqttCodec, DecodesConnectWithEveryField) {
  packet what;
  filter_scratch scratch;
  decoded const found = decode_whole(connect_bytes, what, scratch);
  ASSERT_EQ(found.status, decode_status::complete) << found.rule.what();
  EXPECT_EQ(found.size, connect_bytes.size());
  ASSERT_EQ(what.type, packet_type::connect);
  EXPECT_EQ(what.connect, full_connect());
}

TEST(MqttCodec, EncodesPublishAtEachQos) {
  publish m;
  m.topic = "t";
  m.payload = "ok";
  EXPECT_EQ(hex(encoded(m)), hex(bytes("30 05 0001 't' 'ok'")));  // QoS 0 has no packet id: MQTT-2.3.1-5
  m.qos = 1;
  m.id = 10;
  EXPECT_EQ(hex(encoded(m)), hex(bytes("32 07 0001 't' 000a 'ok'")));
  m.dup = true;
  m.retain = true;
  EXPECT_EQ(hex(encoded(m)), hex(bytes("3b 07 0001 't' 000a 'ok'")));
}

// A packet of each kind and its bytes.
struct golden {
  char const* name;
  packet what;
  std::string raw;
};
std::vector<golden> all_kinds() {
  static subscription const filters[] = {{"a/#", 1}, {"b", 0}};
  static std::string_view const names[] = {"a/#", "b"};
  static std::uint8_t const codes[] = {1, 0x80};
  publish m;
  m.topic = "t/1";
  m.payload = std::string_view{"\0\xff", 2};
  m.qos = 1;
  m.id = 0x1234;
  mqtt::connect how;
  how.client_id = "dev";
  how.keep_alive = 240;
  return {
      {"connect", how, bytes("10 0f 0004 'MQTT' 04 00 00f0 0003 'dev'")},
      {"connack", connack{true, connect_code::accepted}, bytes("20 02 01 00")},
      {"connack refused", connack{false, connect_code::not_authorized}, bytes("20 02 00 05")},
      {"publish", m, bytes("32 09 0003 't/1' 1234 00ff")},
      {"puback", packet{packet_type::puback, 0xfffe}, bytes("40 02 fffe")},
      {"pubrec", packet{packet_type::pubrec, 1}, bytes("50 02 0001")},
      {"pubrel", packet{packet_type::pubrel, 1}, bytes("62 02 0001")},
      {"pubcomp", packet{packet_type::pubcomp, 1}, bytes("70 02 0001")},
      {"subscribe", subscribe{7, filters}, bytes("82 0c 0007 0003 'a/#' 01 0001 'b' 00")},
      {"suback", suback{7, codes}, bytes("90 04 0007 01 80")},
      {"unsubscribe", unsubscribe{8, names}, bytes("a2 0a 0008 0003 'a/#' 0001 'b'")},
      {"unsuback", packet{packet_type::unsuback, 8}, bytes("b0 02 0008")},
      {"pingreq", packet{packet_type::pingreq}, bytes("c0 00")},
      {"pingresp", packet{packet_type::pingresp}, bytes("d0 00")},
      {"disconnect", packet{packet_type::disconnect}, bytes("e0 00")},
  };
}

TEST(MqttCodec, EncodesEveryPacketKind) {
  for (golden const& each : all_kinds()) EXPECT_EQ(hex(encoded(each.what)), hex(each.raw)) << each.name;
}

TEST(MqttCodec, DecodingThenEncodingGivesTheSameBytes) {
  for (golden const& each : all_kinds()) {
    packet what;
    filter_scratch scratch;
    decoded const found = decode_whole(each.raw, what, scratch);
    ASSERT_EQ(found.status, decode_status::complete) << each.name << ": " << found.rule.what();
    EXPECT_EQ(what.type, each.what.type);
    EXPECT_EQ(hex(encoded(what)), hex(each.raw)) << each.name;
  }
}

TEST(MqttCodec, ATruncatedPacketNeedsMoreAtEveryByte) {
  for (golden const& each : all_kinds()) {
    for (std::size_t cut = 0; cut < each.raw.size(); ++cut) {
      packet what;
      filter_scratch scratch;
      decoded const found = decode_whole(each.raw.substr(0, cut), what, scratch);
      EXPECT_EQ(found.status, decode_status::need_more) << each.name << " cut at " << cut;
      EXPECT_EQ(found.size, cut < 2 ? 0 : each.raw.size()) << each.name << " cut at " << cut;
    }
  }
}

// Shortens the packet and its length field together: the fields no longer fit, and that is always noticed, except where
// the last field is the payload.
TEST(MqttCodec, APacketWhoseLengthCutsAFieldIsBroken) {
  for (golden const& each : all_kinds()) {
    if (each.what.type == packet_type::publish || each.what.type == packet_type::suback) continue;
    for (std::size_t length = 0; length < each.raw.size() - 2; ++length) {
      std::string raw = each.raw.substr(0, 2 + length);
      raw[1] = static_cast<char>(length);
      packet what;
      filter_scratch scratch;
      decoded const found = decode_whole(raw, what, scratch);
      if (each.what.type == packet_type::subscribe && length == 8) continue;    // one whole filter
      if (each.what.type == packet_type::unsubscribe && length == 7) continue;  // one whole filter
      EXPECT_EQ(found.status, decode_status::broken) << each.name << " of length " << length;
    }
  }
}

TEST(MqttDecoder, GivesTheSamePacketsWholeAndByteByByte) {
  std::string stream;
  for (golden const& each : all_kinds()) stream += each.raw;
  decoder whole{1000};
  whole.append(stream);
  decoder pieces{1000};
  std::string from_whole;
  std::string from_pieces;
  packet what;
  while (whole.next(what) == decode_status::complete) from_whole += encoded(what);
  for (char const c : stream) {
    pieces.append({&c, 1});
    while (pieces.next(what) == decode_status::complete) from_pieces += encoded(what);
  }
  EXPECT_EQ(hex(from_whole), hex(stream));
  EXPECT_EQ(hex(from_pieces), hex(stream));
  EXPECT_EQ(whole.size(), 0u);
}

TEST(MqttDecoder, RejectsRemainingLengthOfFiveBytes) {
  decoder d{1000};
  packet what;
  d.append(bytes("30 ff ff ff"));
  EXPECT_EQ(d.next(what), decode_status::need_more);
  d.append(bytes("80"));
  EXPECT_EQ(d.next(what), decode_status::broken);
  EXPECT_EQ(d.rule().what(), "2.2.3: Remaining Length has more than four bytes");
  d.append(bytes("d0 00"));
  EXPECT_EQ(d.next(what), decode_status::broken) << "the stream has no meaning any more";
  d.reset();
  d.append(bytes("d0 00"));
  EXPECT_EQ(d.next(what), decode_status::complete);
}

TEST(MqttDecoder, RejectsAPacketAboveTheLimitBeforeItsBodyComes) {
  decoder d{100};
  packet what;
  d.append(bytes("30 62"));  // 2 + 98 = 100
  EXPECT_EQ(d.next(what), decode_status::need_more);
  d.reset();
  d.append(bytes("30 63"));  // 2 + 99
  EXPECT_EQ(d.next(what), decode_status::broken);
  EXPECT_EQ(d.rule().what(), "2.2.3: the packet is longer than this side accepts");
}

TEST(MqttDecoder, AcceptsALengthThatIsNotMinimal) {
  decoder d{100};
  packet what;
  d.append(bytes("d0 80 80 00"));
  EXPECT_EQ(d.next(what), decode_status::complete);
  EXPECT_EQ(what.type, packet_type::pingresp);
}

// 2.2.3, table 2.4: the borders between lengths of 1, 2, 3 and 4 bytes.
TEST(MqttCodec, EncodesRemainingLengthAtEachBorder) {
  struct border {
    std::size_t length;
    char const* field;
  };
  for (border const& each : {border{127, "7f"}, border{128, "8001"}, border{16'383, "ff7f"}, border{16'384, "808001"},
                             border{2'097'151, "ffff7f"}, border{2'097'152, "80808001"}}) {
    std::string const payload(each.length - 3, 'x');
    publish m;
    m.topic = "t";
    m.payload = payload;
    std::string const raw = encoded(m);
    EXPECT_EQ(hex(raw.substr(1, raw.size() - 1 - each.length)), each.field);
    packet what;
    filter_scratch scratch;
    ASSERT_EQ(decode(raw, max_remaining_length, what, scratch).status, decode_status::complete);
    EXPECT_EQ(what.publish, m);
  }
}

TEST(MqttDecoder, KeepsNoMemoryForWhatAnAnnouncedLengthPromises) {
  decoder d{max_remaining_length + 5};
  packet what;
  d.append(bytes("30 ff ff ff 7f 00 01 't'"));
  EXPECT_EQ(d.next(what), decode_status::need_more);
  EXPECT_EQ(d.prepare(1).size() + d.size(), 64u);
}

}  // namespace
