#include <iothub/json/parse.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include <iothub/json/value.hpp>

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using iothub::errc;
namespace json = iothub::json;
using json::array;
using json::parse;
using json::value;

std::string message_of(std::string_view text) {
  auto const parsed = parse(text);
  if (parsed) return "parsed as " + parsed->dump();
  EXPECT_EQ(parsed.error().code(), errc::malformed);
  return std::string{parsed.error().message()};
}

TEST(JsonParse, ReadsEveryKindOfValue) {
  auto const v = parse(R"( {"n":null, "t":true, "f":false, "i":-7, "r":2.5, "s":"text", "a":[1,[2]], "o":{"x":{}}} )");
  value const expected{{"n", nullptr}, {"t", true}, {"f", false}, {"i", -7}, {"r", 2.5}, {"s", "text"},
                       {"a", array{1, array{2, 3}}}, {"o", {{"x", value::make_object()}}}};
  ASSERT_TRUE(v.has_value()) << v.error().message();
  EXPECT_NE(*v, expected);  // [2] is not [2,3]
  EXPECT_EQ((*v)["a"][1], array{2});
  EXPECT_EQ((*v)["o"]["x"].kind(), json::kind::object);
  EXPECT_EQ(v->dump(), R"({"n":null,"t":true,"f":false,"i":-7,"r":2.5,"s":"text","a":[1,[2]],"o":{"x":{}}})");
}

TEST(JsonParse, TakesAScalarAsDocument) {
  EXPECT_EQ(*parse("42"), 42);
  EXPECT_EQ(*parse("\t\"x\"\r\n"), "x");
  EXPECT_TRUE(parse("null")->is_null());
}

TEST(JsonParse, KeepsEveryInt64) {
  EXPECT_EQ(*parse("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(*parse("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_TRUE(parse("9223372036854775807")->is_int());
  EXPECT_EQ(*parse("0"), 0);
}

TEST(JsonParse, MakesRealsOfNumbersBeyondInt64) {
  EXPECT_EQ(parse("9223372036854775808")->kind(), json::kind::real);
  EXPECT_EQ(*parse("9223372036854775808")->as_double(), 0x1p63);
  EXPECT_EQ(*parse("-9223372036854775809")->as_double(), -0x1p63);
  EXPECT_EQ(*parse("123456789012345678901234567890")->as_double(), 123456789012345678901234567890.0);
}

TEST(JsonParse, ReadsRealsExactly) {
  struct {
    char const* text;
    double expected;
  } const cases[] = {{"0.1", 0.1}, {"-0.0", -0.0}, {"1e22", 1e22}, {"1E-22", 1e-22}, {"1.7976931348623157e308", 1.7976931348623157e308},
                     {"5e-324", 5e-324}, {"2.2250738585072011e-308", 2.2250738585072011e-308}, {"9007199254740993.0", 9007199254740992.0},
                     {"0.30000000000000004", 0.30000000000000004}, {"123456789.123456789", 123456789.123456789},
                     {"1e+2", 100}, {"1.5e0000000000003", 1500}, {"0e999999999999", 0}, {"0.000000000000000000000000012", 1.2e-26}};
  for (auto const& c : cases) {
    auto const v = parse(c.text);
    ASSERT_TRUE(v.has_value()) << c.text;
    EXPECT_EQ(v->kind(), json::kind::real) << c.text;
    EXPECT_EQ(*v->as_double(), c.expected) << c.text;
  }
}

TEST(JsonParse, KeepsTheSignOfMinusZero) {
  auto const v = parse("-0");
  EXPECT_EQ(v->kind(), json::kind::real);
  EXPECT_EQ(v->dump(), "-0.0");
}

TEST(JsonParse, TurnsTooSmallNumbersIntoZeroAndRefusesTooLargeOnes) {
  EXPECT_EQ(*parse("1e-400")->as_double(), 0.0);
  EXPECT_EQ(parse("-0.1e-99999999999999999999")->dump(), "-0.0");
  for (auto const* text : {"1e309", "-1e400", "1e99999999999999999999", "0.001e313", "1" })
    EXPECT_EQ(message_of(text), text == "1"sv ? "parsed as 1" : "JSON: number out of range at offset 0");
  EXPECT_EQ(message_of(std::string(400, '9')), "JSON: number out of range at offset 0");
  EXPECT_EQ(*parse("0." + std::string(400, '0') + "1")->as_double(), 0.0);
}

TEST(JsonParse, RefusesMalformedNumbers) {
  EXPECT_EQ(message_of("-"), "JSON: expected a digit at offset 1");
  EXPECT_EQ(message_of("01"), "JSON: number with a leading zero at offset 0");
  EXPECT_EQ(message_of("-012"), "JSON: number with a leading zero at offset 1");
  EXPECT_EQ(message_of("1."), "JSON: expected a digit at offset 2");
  EXPECT_EQ(message_of(".5"), "JSON: expected a value at offset 0");
  EXPECT_EQ(message_of("+1"), "JSON: expected a value at offset 0");
  EXPECT_EQ(message_of("1e"), "JSON: expected a digit at offset 2");
  EXPECT_EQ(message_of("1e+"), "JSON: expected a digit at offset 3");
  EXPECT_EQ(message_of("0x10"), "JSON: text behind the document at offset 1");
  EXPECT_EQ(message_of("NaN"), "JSON: expected a value at offset 0");
  EXPECT_EQ(message_of("Infinity"), "JSON: expected a value at offset 0");
}

TEST(JsonParse, DecodesEscapes) {
  EXPECT_EQ(*parse(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(*parse(R"("\u0041\u00e9\u20AC\uD83D\uDE00")"), "A\u00e9\u20ac\U0001F600");
  EXPECT_EQ(*parse(R"("a\u0000b")"), "a\0b"sv);
  EXPECT_EQ(*parse("\"" + std::string(300, 'x') + "\\n" + std::string(300, 'y') + "\""),
            std::string(300, 'x') + "\n" + std::string(300, 'y'));
  EXPECT_EQ(parse(R"({"\u0061\u0062":1})")->find("ab")->as_int(), 1);
}

TEST(JsonParse, RefusesMalformedStrings) {
  EXPECT_EQ(message_of(R"("abc)"), "JSON: unexpected end at offset 4");
  EXPECT_EQ(message_of(R"("abc\)"), "JSON: unexpected end at offset 5");
  EXPECT_EQ(message_of("\"a\nb\""), "JSON: control character in a string at offset 2");
  EXPECT_EQ(message_of(R"("\x41")"), "JSON: unknown escape or lone surrogate at offset 1");
  EXPECT_EQ(message_of(R"("\u12g4")"), "JSON: unknown escape or lone surrogate at offset 1");
  EXPECT_EQ(message_of(R"("\u12")"), "JSON: unknown escape or lone surrogate at offset 1");
  EXPECT_EQ(message_of(R"("\ud800")"), "JSON: unknown escape or lone surrogate at offset 1");
  EXPECT_EQ(message_of(R"("\ud800\u0041")"), "JSON: unknown escape or lone surrogate at offset 1");
  EXPECT_EQ(message_of(R"("\udc00x")"), "JSON: unknown escape or lone surrogate at offset 1");
  EXPECT_EQ(message_of("\"\\\x01\""), "JSON: unknown escape at offset 1");
}

TEST(JsonParse, AcceptsOnlyWellFormedUtf8) {
  for (auto const good : {"\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"})
    EXPECT_EQ(*parse("[\"pad pad pad pad" + std::string{good} + "\"]"), array{"pad pad pad pad" + std::string{good}});
  for (auto const bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
                         "\xef\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x98"})
    for (std::size_t pad : {0u, 5u, 17u})
      EXPECT_EQ(message_of("\"" + std::string(pad, 'x') + bad + "\""), "JSON: invalid UTF-8 at offset " + std::to_string(pad + 1));
}

TEST(JsonParse, RefusesWrongStructure) {
  EXPECT_EQ(message_of(""), "JSON: unexpected end at offset 0");
  EXPECT_EQ(message_of("[1,]"), "JSON: expected a value at offset 3");
  EXPECT_EQ(message_of("[1 2]"), "JSON: expected ',' or ']' at offset 3");
  EXPECT_EQ(message_of(R"({"a":1,})"), "JSON: expected a member name at offset 7");
  EXPECT_EQ(message_of(R"({"a" 1})"), "JSON: expected ':' at offset 5");
  EXPECT_EQ(message_of(R"({"a":1 "b":2})"), "JSON: expected ',' or '}' at offset 7");
  EXPECT_EQ(message_of("{1:2}"), "JSON: expected a member name at offset 1");
  EXPECT_EQ(message_of("[1}"), "JSON: expected ',' or ']' at offset 2");
  EXPECT_EQ(message_of("]"), "JSON: expected a value at offset 0");
  EXPECT_EQ(message_of("nul"), "JSON: expected a value at offset 0");
  EXPECT_EQ(message_of("{} x"), "JSON: text behind the document at offset 3");
  EXPECT_EQ(message_of("\xef\xbb\xbf{}"), "JSON: expected a value at offset 0");
  EXPECT_EQ(message_of("[1] // comment"), "JSON: text behind the document at offset 4");
  EXPECT_EQ(message_of("[\f1]"), "JSON: expected a value at offset 1");
  EXPECT_EQ(message_of("1\0"sv), "JSON: text behind the document at offset 1");
}

TEST(JsonParse, LimitsTheDepth) {
  std::string const deep = std::string(64, '[') + std::string(64, ']');
  EXPECT_TRUE(parse(deep).has_value());
  EXPECT_EQ(parse("[" + deep + "]").error().code(), errc::too_large);
  EXPECT_EQ(parse(R"({"a":{"b":{}}})", {.max_depth = 2}).error().message(),
            "JSON: containers nested deeper than the limit at offset 10");
  EXPECT_TRUE(parse(R"({"a":{"b":1}})", {.max_depth = 2}).has_value());
  EXPECT_EQ(parse(std::string(1'000'000, '['), {.max_depth = 10'000'000}).error().code(), errc::too_large);
  EXPECT_TRUE(parse(std::string(1000, '[') + std::string(1000, ']'), {.max_depth = 10'000'000}).has_value());
}

TEST(JsonParse, LimitsTheSize) {
  EXPECT_TRUE(parse("[1,2]", {.max_size = 5}).has_value());
  auto const refused = parse("[1,2]", {.max_size = 4});
  EXPECT_EQ(refused.error().code(), errc::too_large);
  EXPECT_EQ(refused.error().message(), "JSON text is longer than the limit of 4 bytes");
}

TEST(JsonParse, LetsTheLastOfRepeatedNamesWin) {
  EXPECT_EQ(parse(R"({"a":1,"b":2,"a":"a string of more than fifteen bytes","a":{"x":[1]},"c":3})")->dump(),
            R"({"a":{"x":[1]},"b":2,"c":3})");
  EXPECT_EQ(parse(R"({"a name of more than fifteen bytes":[1,2],"a name of more than fifteen bytes":[3]})")->dump(),
            R"({"a name of more than fifteen bytes":[3]})");
  std::string wide = "{";
  for (int round = 0; round != 2; ++round)
    for (int i = 0; i != 40; ++i) wide += "\"a rather long name " + std::to_string(i) + "\":[\"" + std::string(20, 'v') + std::to_string(round) + "\"],";
  wide.back() = '}';
  auto const v = parse(wide);
  ASSERT_TRUE(v.has_value());
  EXPECT_EQ(v->size(), 40u);
  EXPECT_EQ((*v)["a rather long name 39"][0], std::string(20, 'v') + "1");
  EXPECT_EQ(v->members().begin()->key(), "a rather long name 0");
}

TEST(JsonParse, IsAnErrorForEveryTruncation) {
  std::string const text =
      R"({"deviceId":"thermostat-1","tags":{"plant":"\u0052\"edmond 43 with a long name","€":[1,-2.5e3,true,false,null]},"v":{},"w":[]})";
  ASSERT_TRUE(parse(text).has_value());
  for (std::size_t size = 0; size != text.size(); ++size) {
    // A buffer of its own, so that a sanitizer sees a read behind it.
    std::string const part = text.substr(0, size);
    EXPECT_FALSE(parse(std::string_view{part.data(), part.size()}).has_value()) << part;
  }
}

TEST(JsonParse, SurvivesEveryChangedByte) {
  std::string const text = R"({"a":[1,-2.5e3,true,"x\u00e9\n"],"name of sixteen.":"and a long value of it","b":null})";
  for (std::size_t at = 0; at != text.size(); ++at)
    for (int byte = 0; byte != 256; ++byte) {
      std::string changed = text;
      changed[at] = static_cast<char>(byte);
      auto const v = parse(changed);
      EXPECT_TRUE(!v || *parse(v->dump()) == *v) << changed;
    }
}

TEST(JsonParse, ReadsDocumentsThatNeedSeveralBlocks) {
  std::string text = "[";
  for (int i = 0; i != 20'000; ++i) text += "{\"id\":" + std::to_string(i) + ",\"text\":\"" + std::string(40, 'x') + "\"},";
  text += "\"" + std::string(400'000, 'y') + "\"]";
  auto v = parse(text);
  ASSERT_TRUE(v.has_value());
  EXPECT_EQ(v->size(), 20'001u);
  EXPECT_EQ(v->dump(), text);
  value const kept = std::move(v->elements().begin()[777]);
  *v = nullptr;
  EXPECT_EQ(kept, (value{{"id", 777}, {"text", std::string(40, 'x')}}));
}

}  // namespace
