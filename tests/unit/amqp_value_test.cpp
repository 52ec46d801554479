// Owned values: elements of arrays given constructors of their own, and every kind printed.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/value.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::value;

// An array of one element: the constructor, then the element's bytes.
value first_of(std::string const& constructor_and_element) {
  std::string array = bytes("e0 00 01") + constructor_and_element;
  array[1] = static_cast<char>(array.size() - 2);
  amqp::value_view const whole = amqp::view_of(array);
  EXPECT_EQ(whole.type(), amqp::kind::array);
  amqp::array_reader in{whole};
  amqp::value_view element;
  EXPECT_TRUE(in.next(element));
  EXPECT_TRUE(element.bytes().empty());
  return value{element};
}

TEST(AmqpValue, RewritesElementsOfArraysOfEveryKind) {
  struct row {
    char const* element;
    char const* rewritten;
    char const* printed;
  };
  for (row const& each : {row{"41", "41", "true"},
                          {"56 00", "42", "false"},
                          {"50 07", "50 07", "7"},
                          {"60 00 07", "60 00 07", "7"},
                          {"70 00 00 00 07", "52 07", "7"},
                          {"80 00 00 00 00 00 00 00 07", "53 07", "7"},
                          {"80 ff ff ff ff ff ff ff ff", "80 ff ff ff ff ff ff ff ff", "0xffffffffffffffff"},
                          {"51 ff", "51 ff", "-1"},
                          {"61 ff ff", "61 ff ff", "-1"},
                          {"71 ff ff ff ff", "54 ff", "-1"},
                          {"81 80 00 00 00 00 00 00 00", "81 80 00 00 00 00 00 00 00", "-9223372036854775808"},
                          {"72 3f c0 00 00", "72 3f c0 00 00", "float 3fc00000"},
                          {"82 c0 00 00 00 00 00 00 00", "82 c0 00 00 00 00 00 00 00", "double c000000000000000"},
                          {"74 01 02 03 04", "74 01 02 03 04", "decimal32 01020304"},
                          {"84 01 02 03 04 05 06 07 08", "84 01 02 03 04 05 06 07 08", "decimal64 0102030405060708"},
                          {"73 00 00 00 41", "73 00 00 00 41", "char 65"},
                          {"83 00 00 00 00 00 00 00 09", "83 00 00 00 00 00 00 00 09", "@9"},
                          {"a0 01 ff", "a0 01 ff", "binary ff"},
                          {"b1 00 00 00 01 61", "a1 01 61", "\"a\""},
                          {"a3 01 61", "a3 01 61", "a"},
                          {"c0 03 02 40 41", "c0 03 02 40 41", "[null, true]"},
                          {"d1 00 00 00 08 00 00 00 02 a3 01 61 41", "c1 05 02 a3 01 61 41", "{a: true}"},
                          {"e0 03 01 50 07", "e0 03 01 50 07", "<7>"}}) {
    value const copy = first_of(bytes(each.element));
    EXPECT_EQ(hex(copy.bytes()), each.rewritten) << each.element;
    EXPECT_EQ(amqp::to_text(copy.bytes()), each.printed) << each.element;
  }
  std::string const wide = bytes("94 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66");
  value const copied = first_of(wide);
  EXPECT_EQ(hex(copied.bytes()), hex(wide));
  EXPECT_TRUE(first_of(bytes("40")).is_null());
  std::string const id = bytes("98 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66");
  value const uuid = first_of(id);
  EXPECT_EQ(amqp::to_text(uuid.bytes()), "uuid 30313233343536373839616263646566");
}

TEST(AmqpValue, IsTheSameHoweverItIsMade) {
  EXPECT_EQ(value{std::string{"a"}}, value{"a"});
  value const described = value::described("n", 1);
  EXPECT_EQ(described.view().type(), amqp::kind::described);
  EXPECT_NE(value{std::int32_t{1}}, value{std::int64_t{1}});
  value const none;
  EXPECT_EQ(amqp::to_text(none.bytes()), "null");
  EXPECT_TRUE(value::made([](amqp::writer& w) { w.null(); }).is_null());
}

TEST(AmqpValue, WritesArraysOfLongTexts) {
  std::string const longer(300, 'x');
  value const texts = value::strings({"a", longer});
  amqp::array_reader in{texts.view()};
  amqp::value_view element;
  ASSERT_TRUE(in.next(element));
  EXPECT_EQ(element.as_string(), "a");
  ASSERT_TRUE(in.next(element));
  EXPECT_EQ(element.as_string(), longer);
  EXPECT_FALSE(amqp::check_value(texts.bytes()));
}

TEST(AmqpArray, StepsOverTheDescriptorOfItsElements) {
  std::string const array = bytes("e0 08 02 00 53 7f a1 01 61 00");
  amqp::array_reader in{amqp::view_of(array)};
  amqp::value_view element;
  ASSERT_TRUE(in.next(element));
  EXPECT_EQ(element.as_string(), "a");
  ASSERT_TRUE(in.next(element));
  EXPECT_EQ(element.as_string(), "");
  std::string const broken = bytes("e0 04 01 00 a1 09");
  EXPECT_TRUE(amqp::check_value(broken));
}

TEST(AmqpKind, HasTheNameOfTheStandard) {
  EXPECT_EQ(amqp::to_string(amqp::kind::uint64), "ulong");
  EXPECT_EQ(amqp::to_string(amqp::kind::described), "described");
}

}  // namespace
