// The type system: every encoding of Part 1, 1.6, and what no encoder makes.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/amqp/writer.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::kind;
using amqp::value;

template <class F>
std::string written(F f) {
  byte_buffer out;
  amqp::writer w{out};
  f(w);
  return hex(out.view());
}

TEST(AmqpWriter, TakesTheSmallestEncodingOfIntegers) {
  EXPECT_EQ(written([](auto& w) { w.uint32(0), w.uint32(255), w.uint32(256); }), "43 52 ff 70 00 00 01 00");
  EXPECT_EQ(written([](auto& w) { w.uint64(0), w.uint64(255), w.uint64(256); }), "44 53 ff 80 00 00 00 00 00 00 01 00");
  EXPECT_EQ(written([](auto& w) { w.int32(-128), w.int32(127), w.int32(128); }), "54 80 54 7f 71 00 00 00 80");
  EXPECT_EQ(written([](auto& w) { w.int64(-1), w.int64(-129); }), "55 ff 81 ff ff ff ff ff ff ff 7f");
  EXPECT_EQ(written([](auto& w) { w.uint8(7), w.uint16(0x1234), w.int8(-1), w.int16(-2); }),
            "50 07 60 12 34 51 ff 61 ff fe");
}

TEST(AmqpWriter, WritesFixedWidths) {
  EXPECT_EQ(written([](auto& w) { w.null(), w.boolean(true), w.boolean(false); }), "40 41 42");
  EXPECT_EQ(written([](auto& w) { w.float32(1.5f), w.float64(-2.0); }), "72 3f c0 00 00 82 c0 00 00 00 00 00 00 00");
  EXPECT_EQ(written([](auto& w) { w.character(U'é'), w.timestamp(1); }), "73 00 00 00 e9 83 00 00 00 00 00 00 00 01");
  EXPECT_EQ(written([](auto& w) { w.uuid("0123456789abcdef"); }).substr(0, 5), "98 30");
  EXPECT_EQ(written([](auto& w) { w.decimal("abcd"); }), "74 61 62 63 64");
  EXPECT_EQ(written([](auto& w) { w.decimal("abcdefgh"); }).substr(0, 2), "84");
  EXPECT_EQ(written([](auto& w) { w.decimal("0123456789abcdef"); }).substr(0, 2), "94");
}

TEST(AmqpWriter, WidensTextAbove255Bytes) {
  std::string const longer(256, 'x');
  EXPECT_EQ(written([](auto& w) { w.binary("a"), w.string("b"), w.symbol("c"); }), "a0 01 61 a1 01 62 a3 01 63");
  EXPECT_EQ(written([&](auto& w) { w.string(longer); }).substr(0, 14), "b1 00 00 01 00");
  EXPECT_EQ(written([&](auto& w) { w.symbol(longer); }).substr(0, 14), "b3 00 00 01 00");
  EXPECT_EQ(written([&](auto& w) { w.binary(longer); }).substr(0, 14), "b0 00 00 01 00");
}

TEST(AmqpWriter, WidensListsWhenTheyEndLong) {
  auto const list = [](std::size_t size) {
    return written([&](amqp::writer& w) {
      auto const begun = w.begin_compound();
      w.binary(std::string(size, 'x'));
      w.end_list(begun, 1);
    });
  };
  EXPECT_EQ(written([](amqp::writer& w) { w.end_list(w.begin_compound(), 0); }), "45");
  EXPECT_EQ(list(1), "c0 04 01 a0 01 78");
  EXPECT_EQ(list(252).substr(0, 8), "c0 ff 01");
  EXPECT_EQ(list(253).substr(0, 32), "d0 00 00 01 03 00 00 00 01 a0 fd");
}

// The composite example of Part 1, 1.4: a book.
std::string book() {
  return bytes("00 a3 11") + "example:book:list" + bytes("c0 40 03 a1 15") + "AMQP for & by Dummies" +
         bytes("e0 25 02 a1 0e") + "Rob J. Godfrey" + bytes("13") + "Rafael H. Schloming" + bytes("40");
}

TEST(AmqpReader, ReadsTheBookOfTheStandard) {
  std::string const encoding = book();
  EXPECT_FALSE(amqp::check_value(encoding));
  EXPECT_EQ(amqp::to_text(encoding),
            "(example:book:list) [\"AMQP for & by Dummies\", <\"Rob J. Godfrey\", \"Rafael H. Schloming\">, null]");
  value const again = value::described(
      "example:book:list",
      value::list({"AMQP for & by Dummies", value::strings({"Rob J. Godfrey", "Rafael H. Schloming"}), value{}}));
  EXPECT_EQ(hex(again.bytes()), hex(encoding));
}

TEST(AmqpReader, ReadsTheDescribedUrlOfTheStandard) {
  std::string const encoding = bytes("00 a1 03") + "URL" + bytes("a1 1e") + "http://example.org/hello-world";
  EXPECT_EQ(amqp::to_text(encoding), "(\"URL\") \"http://example.org/hello-world\"");
}

TEST(AmqpReader, ReadsEveryEncodingOfANumber) {
  struct row {
    char const* encoding;
    kind type;
    std::int64_t number;
  };
  for (row const& each : {row{"43", kind::uint32, 0},
                          {"52 ff", kind::uint32, 255},
                          {"70 00 00 00 05", kind::uint32, 5},
                          {"44", kind::uint64, 0},
                          {"53 80", kind::uint64, 128},
                          {"80 00 00 00 00 00 00 00 09", kind::uint64, 9},
                          {"50 ff", kind::uint8, 255},
                          {"60 ff ff", kind::uint16, 65535},
                          {"51 80", kind::int8, -128},
                          {"61 80 00", kind::int16, -32768},
                          {"54 ff", kind::int32, -1},
                          {"71 80 00 00 00", kind::int32, INT32_MIN},
                          {"55 fe", kind::int64, -2},
                          {"81 80 00 00 00 00 00 00 00", kind::int64, INT64_MIN}}) {
    std::string const encoding = bytes(each.encoding);
    amqp::value_view const read = amqp::view_of(encoding);
    EXPECT_EQ(read.type(), each.type) << each.encoding;
    EXPECT_EQ(read.as_int(), each.number) << each.encoding;
    if (each.number < 0) {
      EXPECT_EQ(read.as_uint(), std::nullopt) << each.encoding;
    }
  }
  std::string const most = bytes("80 ff ff ff ff ff ff ff ff");
  EXPECT_EQ(amqp::view_of(most).as_uint(), UINT64_MAX);
  EXPECT_EQ(amqp::view_of(most).as_int(), std::nullopt);
}

TEST(AmqpReader, ReadsTheOtherFixedTypes) {
  std::string const always = bytes("41");
  EXPECT_EQ(amqp::view_of(always).as_bool(), true);
  std::string const nay = bytes("42");
  EXPECT_EQ(amqp::view_of(nay).as_bool(), false);
  std::string const yes = bytes("56 01");
  EXPECT_EQ(amqp::view_of(yes).as_bool(), true);
  std::string const number = bytes("72 3f c0 00 00");
  EXPECT_EQ(amqp::view_of(number).as_double(), 1.5);
  std::string const wide = bytes("82 c0 00 00 00 00 00 00 00");
  EXPECT_EQ(amqp::view_of(wide).as_double(), -2.0);
  std::string const letter = bytes("73 00 00 00 e9");
  EXPECT_EQ(amqp::view_of(letter).as_char(), U'é');
  std::string const when = bytes("83 ff ff ff ff ff ff ff ff");
  EXPECT_EQ(amqp::view_of(when).as_timestamp(), -1);
  EXPECT_EQ(amqp::view_of(when).as_int(), std::nullopt);
  std::string const id = bytes("98") + "0123456789abcdef";
  EXPECT_EQ(amqp::view_of(id).as_uuid(), "0123456789abcdef");
}

// Whole values of every kind, one in another.
value everything() {
  return value::list({true,
                      std::uint8_t{1},
                      std::uint16_t{2},
                      std::uint32_t{3},
                      std::uint64_t{4},
                      std::int8_t{-1},
                      std::int16_t{-2},
                      std::int32_t{-3},
                      std::int64_t{-4},
                      1.5f,
                      2.5,
                      value::timestamp(5),
                      value::character(U'x'),
                      value::uuid("0123456789abcdef"),
                      value::binary("bin"),
                      "text",
                      value::symbol("sym"),
                      value::list({value{}, value::list({})}),
                      value::symbol_map({{"a", 1}, {"b", value::string_map({{"c", "d"}})}}),
                      value::strings({"x", "yy"}),
                      value::symbols({}),
                      value::described(amqp::descriptor::accepted, value::list({}))});
}

TEST(AmqpReader, RejectsAWholeValueThatIsCutAnywhere) {
  value const all = everything();
  std::string const encoding{all.bytes()};
  EXPECT_FALSE(amqp::check_value(encoding));
  for (std::size_t size = 0; size != encoding.size(); ++size)
    EXPECT_TRUE(amqp::check_value(std::string_view{encoding}.substr(0, size))) << size;
  EXPECT_TRUE(amqp::check_value(encoding + '\x40'));
}

TEST(AmqpValue, IsCopiedFromAViewUnchanged) {
  value const all = everything();
  EXPECT_EQ(value{all.view()}, all);
  amqp::reader in{all.view()};
  amqp::value_view item;
  for (std::uint32_t i = 0; in.next(item); ++i) {
    value const copy{item};
    EXPECT_EQ(hex(copy.bytes()), hex(item.is_null() ? "" : item.bytes()));
  }
}

TEST(AmqpValue, GivesElementsOfAnArrayAConstructor) {
  value const texts = value::strings({"x", "yy"});
  amqp::array_reader in{texts.view()};
  amqp::value_view element;
  ASSERT_TRUE(in.next(element));
  EXPECT_EQ(value{element}, value{"x"});
  ASSERT_TRUE(in.next(element));
  EXPECT_EQ(value{element}, value{"yy"});
  EXPECT_FALSE(in.next(element));
  EXPECT_FALSE(in.rule());
}

TEST(AmqpFind, TakesStringAndSymbolKeysAlike) {
  value const map = value::symbol_map({{"a", 1}, {"b", "two"}});
  EXPECT_EQ(amqp::find(map.bytes(), "b").as_string(), "two");
  EXPECT_TRUE(amqp::find(map.bytes(), "c").is_null());
  value const texts = value::string_map({{"a", 1}});
  EXPECT_EQ(amqp::find(texts.bytes(), "a").as_int(), 1);
  value const text{"text"};
  EXPECT_TRUE(amqp::find(text.bytes(), "a").is_null());
}

TEST(AmqpFind, SeesASymbolAloneAndInAnArray) {
  value const one = value::symbol("x");
  EXPECT_TRUE(amqp::has_symbol(one.bytes(), "x"));
  value const two = value::symbols({"a", "x"});
  EXPECT_TRUE(amqp::has_symbol(two.bytes(), "x"));
  EXPECT_FALSE(amqp::has_symbol(two.bytes(), "y"));
  EXPECT_FALSE(amqp::has_symbol({}, "x"));
}

TEST(AmqpDescriptor, ReadsNumberAndName) {
  amqp::value_view content;
  std::string const number = bytes("00 53 24 45");
  std::string const wide = bytes("00 80 00 00 00 00 00 00 00 24 45");
  std::string const name = bytes("00 a3 12") + "amqp:accepted:list" + bytes("45");
  for (std::string const& each : {number, wide, name})
    EXPECT_EQ(amqp::descriptor_of(amqp::view_of(each), content), amqp::descriptor::accepted);
  std::string const other = bytes("00 a3 01 78 45");
  EXPECT_EQ(amqp::descriptor_of(amqp::view_of(other), content), amqp::descriptor::none);
  EXPECT_EQ(amqp::descriptor_of(amqp::view_of(bytes("40")), content), amqp::descriptor::none);
}

// One row for each rule; the bytes are what an attacker would send.
TEST(AmqpHostileValue, IsRefusedByTheRuleThatItBreaks) {
  struct row {
    char const* encoding;
    char const* rule;
  };
  for (row const& each : {
           row{"", "1.2: a value is missing"},
           {"46", "1.6: an unknown format code"},
           {"ff", "1.6: an unknown format code"},
           {"56 02", "1.6.2: a boolean that is neither 0 nor 1"},
           {"70 00 00 00", "1.2: a value is cut off"},
           {"a1", "1.2: the size of a value is cut off"},
           {"b1 00 00 00", "1.2: the size of a value is cut off"},
           {"a1 01", "1.2: a size says more than there is"},
           {"b0 ff ff ff ff", "1.2: a size says more than there is"},
           {"b1 ff ff ff fb 00", "1.2: a size says more than there is"},
           {"c0 00", "1.6.22: the size of a compound value does not hold its count"},
           {"d0 00 00 00 00", "1.6.22: the size of a compound value does not hold its count"},
           {"d0 00 00 00 03 00 00 00", "1.6.22: the size of a compound value does not hold its count"},
           {"d0 ff ff ff ff 00 00 00 00", "1.2: a size says more than there is"},
           {"d0 00 00 00 04 ff ff ff ff", "1.6.22: a count says more than there is"},
           {"c0 02 02 40", "1.6.22: a count says more than there is"},
           {"c0 03 01 40 40", "1.6.22: a count that is not the number of items"},
           {"c1 02 01 40", "1.6.23: a map with a key that has no value"},
           {"e0 01 00", "1.6.24: an array without an element constructor"},
           {"e0 02 01 a1", "1.6.24: an array counts more elements than it holds"},
           {"f0 00 00 00 05 ff ff ff ff 40", "1.6.24: an array counts more elements than it holds"},
           {"f0 00 00 00 06 ff ff ff ff 70 00", "1.6.24: an array counts more elements than it holds"},
           {"e0 03 01 50 01 00", "1.2: bytes behind a value"},
           {"e0 04 01 50 01 00", "1.6.24: bytes behind an array's elements"},
           {"e0 03 00 50 01", "1.6.24: bytes behind an array's elements"},
           {"a1 01 ff", "1.6.20: a string that is not UTF-8"},
           {"00", "1.2: a value is missing"},
           {"00 40", "1.2: a value is missing"},
           {"40 40", "1.2: bytes behind a value"},
       }) {
    std::string const encoding = bytes(each.encoding);
    EXPECT_EQ(amqp::check_value(encoding).what(), each.rule) << each.encoding;
  }
}

TEST(AmqpHostileValue, IsRefusedWhenNestedTooDeep) {
  std::string lists = bytes("45");
  for (int i = 0; i != 40; ++i) {
    std::string wider = bytes("c0 00 01") + lists;
    wider[1] = static_cast<char>(lists.size() + 1);
    lists = wider;
    EXPECT_EQ(static_cast<bool>(amqp::check_value(lists)), i >= 31) << i;
  }
  std::string described(1'000'000, '\0');
  EXPECT_EQ(amqp::check_value(described).what(), "values are nested too deep");
  std::string constructors = bytes("f0 00 0f 42 40 00 00 00 01") + std::string(999'996, '\0');
  EXPECT_TRUE(amqp::check_value(constructors));
}

TEST(AmqpArray, CountsElementsWithoutBytesOnlySoFar) {
  std::string const some = bytes("f0 00 00 00 05 00 00 04 00 40");
  EXPECT_FALSE(amqp::check_value(some));
  std::string const many = bytes("f0 00 00 00 05 00 00 04 01 40");
  EXPECT_TRUE(amqp::check_value(many));
}

}  // namespace
