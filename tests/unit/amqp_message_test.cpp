// Messages: sections, ids of all four types, bodies of all three kinds.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/message.hpp>
#include <iothub/amqp/value.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::body_kind;
using amqp::value;

std::string written(amqp::message_view const& what) {
  byte_buffer out;
  amqp::write_message(what, out);
  return std::string{out.view()};
}

TEST(AmqpMessage, IsGoldenInEverySection) {
  value const delivery = value::symbol_map({{"d", 1}});
  value const annotations = value::symbol_map({{"x-opt-offset", "5"}});
  value const application = value::string_map({{"k", "v"}});
  value const footer = value::symbol_map({{"f", 2}});
  value const id{"m1"};
  amqp::message_view what;
  what.has_header = true;
  what.header.durable = true;
  what.header.ttl = 1000;
  what.delivery_annotations = delivery.bytes();
  what.message_annotations = annotations.bytes();
  what.has_properties = true;
  what.properties.message_id = id.bytes();
  what.properties.to = "/t";
  what.properties.content_type = "a/b";
  what.application_properties = application.bytes();
  what.body = body_kind::data;
  what.data = "hi";
  what.footer = footer.bytes();
  EXPECT_EQ(hex(written(what)),
            "00 53 70 c0 08 03 41 40 70 00 00 03 e8 "
            "00 53 71 c1 06 02 a3 01 64 54 01 "
            "00 53 72 c1 12 02 a3 0c 78 2d 6f 70 74 2d 6f 66 66 73 65 74 a1 01 35 "
            "00 53 73 c0 12 07 a1 02 6d 31 40 a1 02 2f 74 40 40 40 a3 03 61 2f 62 "
            "00 53 74 c1 07 02 a1 01 6b a1 01 76 "
            "00 53 75 a0 02 68 69 "
            "00 53 78 c1 06 02 a3 01 66 54 02");
}

TEST(AmqpMessage, ComesBackTheSame) {
  value const id = value::uuid("0123456789abcdef");
  value const answered{std::uint64_t{0}};
  value const map = value::symbol_map({{"k", value::timestamp(7)}});
  amqp::message_view what;
  what.has_header = true;
  what.header.priority = std::uint8_t{9};
  what.header.first_acquirer = true;
  what.header.delivery_count = 3;
  what.message_annotations = map.bytes();
  what.has_properties = true;
  amqp::message_properties& p = what.properties;
  p.message_id = id.bytes();
  p.user_id = "user";
  p.has_user_id = true;
  p.subject = "s";
  p.reply_to = "r";
  p.correlation_id = answered.bytes();
  p.content_encoding = "utf-8";
  p.absolute_expiry_time = 1'700'000'000'000;
  p.creation_time = 0;
  p.group_id = "g";
  p.group_sequence = 4;
  p.reply_to_group_id = "h";
  what.body = body_kind::value;
  what.value = map.bytes();
  std::string const payload = written(what);
  amqp::message_view read;
  ASSERT_FALSE(amqp::read_message(payload, read));
  EXPECT_EQ(hex(written(read)), hex(payload));
  EXPECT_EQ(hex(read.properties.correlation_id), "44");
  EXPECT_EQ(read.header.delivery_count, 3u);
  EXPECT_EQ(read.properties.absolute_expiry_time, 1'700'000'000'000);
  EXPECT_EQ(amqp::id_text(read.properties.message_id), "30313233-3435-3637-3839-616263646566");
  for (std::size_t size = 1; size != payload.size(); ++size) {
    amqp::message_view cut;
    bool const broken = static_cast<bool>(amqp::read_message(std::string_view{payload}.substr(0, size), cut));
    EXPECT_TRUE(broken || written(cut) == payload.substr(0, size)) << size;
  }
}

TEST(AmqpMessage, GivesEachDataSection) {
  std::string const payload = bytes("00 53 75 a0 01 61 00 53 75 a0 01 62");
  amqp::message_view read;
  ASSERT_FALSE(amqp::read_message(payload, read));
  EXPECT_EQ(read.body_count, 2u);
  std::string all;
  amqp::for_each_data(read, [&](byte_view part) { all.append(part).append("|"); });
  EXPECT_EQ(all, "a|b|");
  EXPECT_EQ(hex(written(read)), hex(payload));
  std::string const one = bytes("00 53 75 a0 01 61");
  amqp::message_view single;
  ASSERT_FALSE(amqp::read_message(one, single));
  all.clear();
  amqp::for_each_data(single, [&](byte_view part) { all.append(part); });
  EXPECT_EQ(all, "a");
}

TEST(AmqpMessage, KeepsSequencesAsTheyCame) {
  std::string const payload = bytes("00 53 76 c0 02 01 40 00 53 76 45");
  amqp::message_view read;
  ASSERT_FALSE(amqp::read_message(payload, read));
  EXPECT_EQ(read.body, body_kind::sequence);
  EXPECT_EQ(hex(written(read)), hex(payload));
}

TEST(AmqpMessage, IsRefusedByTheRuleThatItBreaks) {
  struct row {
    char const* payload;
    char const* rule;
  };
  for (row const& each : {row{"00 53 24 45", "3.2: a section that does not belong into a message"},
                          {"40", "3.2: a section that does not belong into a message"},
                          {"00 53 75 a0 00 00 53 70 45", "3.2: sections out of order"},
                          {"00 53 70 45 00 53 70 45", "3.2: sections out of order"},
                          {"00 53 75 a0 00 00 53 77 40", "3.2: a body of more than one kind"},
                          {"00 53 77 40 00 53 77 40", "3.2: a body of more than one kind"},
                          {"00 53 75 a1 00", "3.2.6: a data section that is not binary"},
                          {"00 53 76 40", "3.2.7: a sequence that is not a list"},
                          {"00 53 72 45", "3.2: a section that is not a map"},
                          {"00 53 74 c1 05 02 a1 01 ff 40", "1.6.20: a string that is not UTF-8"},
                          {"00 53 74 c1 07 02 a1 01 61 a3 01 ff", "1.6.21: a symbol that is not UTF-8"},
                          {"00 53 73 c0 07 04 40 40 40 a3 01 ff", "1.6.21: a symbol that is not UTF-8"},
                          {"00 53 73 c0 03 01 54 01", "3.2.4: a message id of another type"},
                          {"00 53 73 c0 07 06 40 40 40 40 40 41", "3.2.4: a message id of another type"},
                          {"00 53 73 a0 00", "1.4: a composite type that is not a list"},
                          {"00 53 70 c0 02 01 43", "1.4: a field of another type"},
                          {"00 53 75 b0 ff ff ff ff", "1.2: a size says more than there is"}}) {
    amqp::message_view read;
    std::string const payload = bytes(each.payload);
    EXPECT_EQ(amqp::read_message(payload, read).what(), each.rule) << each.payload;
  }
}

TEST(AmqpMessage, WithoutSectionsIsEmpty) {
  amqp::message_view read;
  EXPECT_FALSE(amqp::read_message({}, read));
  EXPECT_EQ(read.body, body_kind::none);
}

TEST(AmqpMessageId, IsTextWhereItCanBe) {
  value const text{"m1"};
  value const number{std::uint64_t{18446744073709551615u}};
  value const binary = value::binary("x");
  EXPECT_EQ(amqp::id_text(text.bytes()), "m1");
  EXPECT_EQ(amqp::id_text(number.bytes()), "18446744073709551615");
  EXPECT_EQ(amqp::id_text(binary.bytes()), "");
  EXPECT_EQ(amqp::id_text({}), "");
}

}  // namespace
