#include <iothub/json/print.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <iothub/json/value.hpp>

namespace {

using namespace std::string_view_literals;
namespace json = iothub::json;
using json::array;
using json::value;

TEST(JsonPrint, WritesNumbersInTheirShortestForm) {
  EXPECT_EQ(value{0}.dump(), "0");
  EXPECT_EQ(value{-1}.dump(), "-1");
  EXPECT_EQ(value{std::numeric_limits<std::int64_t>::min()}.dump(), "-9223372036854775808");
  EXPECT_EQ(value{21.5}.dump(), "21.5");
  EXPECT_EQ(value{0.1}.dump(), "0.1");
  EXPECT_EQ(value{-122.1003}.dump(), "-122.1003");
  EXPECT_EQ(value{0.30000000000000004}.dump(), "0.30000000000000004");
  EXPECT_EQ(value{1e300}.dump(), "1e+300");
  EXPECT_EQ(value{5e-324}.dump(), "5e-324");
}

TEST(JsonPrint, KeepsRealsReal) {
  EXPECT_EQ(value{1.0}.dump(), "1.0");
  EXPECT_EQ(value{-0.0}.dump(), "-0.0");
  EXPECT_EQ(value{123456789012.0}.dump(), "123456789012.0");
  EXPECT_EQ(value{1e22}.dump(), "1e+22");
}

TEST(JsonPrint, PrintsWhatJsonDoesNotHaveAsNull) {
  EXPECT_EQ(value{std::numeric_limits<double>::infinity()}.dump(), "null");
  EXPECT_EQ(value{std::numeric_limits<double>::quiet_NaN()}.dump(), "null");
}

TEST(JsonPrint, ReadsBackEveryReal) {
  std::uint64_t state = 42;
  for (int i = 0; i != 20'000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double const bits = std::bit_cast<double>(state);
    double const decimal = static_cast<double>(static_cast<std::int64_t>(state >> 30)) / (i % 2 != 0 ? 1e4 : 1e6);
    for (double const d : {bits, decimal}) {
      if (!std::isfinite(d)) continue;
      auto const back = json::parse(value{d}.dump());
      ASSERT_TRUE(back.has_value()) << value{d}.dump();
      ASSERT_EQ(back->kind(), json::kind::real) << value{d}.dump();
      ASSERT_EQ(std::bit_cast<std::uint64_t>(*back->as_double()), std::bit_cast<std::uint64_t>(d)) << value{d}.dump();
    }
  }
}

TEST(JsonPrint, EscapesOnlyWhatMustBe) {
  EXPECT_EQ(value{"\"\\/\b\f\n\r\t"}.dump(), R"("\"\\/\b\f\n\r\t")");
  EXPECT_EQ(value{"\x01\x1f\x7f"}.dump(), "\"\\u0001\\u001f\x7f\"");
  EXPECT_EQ(value{"a\0b"sv}.dump(), R"("a\u0000b")");
  EXPECT_EQ(value{"\v"}.dump(), R"("\u000b")");
  EXPECT_EQ(value{"é€😀 and more text"}.dump(), "\"é€😀 and more text\"");
}

TEST(JsonPrint, EscapesAtEveryPlaceOfAString) {
  for (std::size_t size = 1; size != 50; ++size)
    for (std::size_t at = 0; at != size; ++at) {
      std::string text(size, 'x');
      text[at] = '\x02';
      std::string expected = "\"" + text + "\"";
      expected.replace(at + 1, 1, "\\u0002");
      ASSERT_EQ(value{text}.dump(), expected);
    }
  EXPECT_EQ(value{std::string(1000, '"')}.dump().size(), 2002u);
}

TEST(JsonPrint, PrintsContainersCompactOrIndented) {
  value const v{{"a", array{1, value::make_array(), value::make_object()}}, {"b", {{"c", "d"}}}};
  EXPECT_EQ(v.dump(), R"({"a":[1,[],{}],"b":{"c":"d"}})");
  EXPECT_EQ(v.pretty(), "{\n  \"a\": [\n    1,\n    [],\n    {}\n  ],\n  \"b\": {\n    \"c\": \"d\"\n  }\n}");
  EXPECT_EQ(v.pretty(0), v.dump());
}

TEST(JsonPrint, AppendsToWhatIsThere) {
  std::string text = "x=";
  value{{"a", 1}}.append_to(text);
  EXPECT_EQ(text, R"(x={"a":1})");
  iothub::byte_buffer bytes;
  bytes.append("x=");
  value{{"a", std::string(1000, 'y') + "\n"}}.append_to(bytes);
  EXPECT_EQ(bytes.view(), "x={\"a\":\"" + std::string(1000, 'y') + "\\n\"}");
  std::string quoted = ">";
  json::append_quoted(quoted, "say \"x\"");
  EXPECT_EQ(quoted, R"(>"say \"x\"")");
}

}  // namespace
