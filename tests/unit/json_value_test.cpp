#include <iothub/json/value.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
namespace json = iothub::json;
using json::array;
using json::value;

static_assert(sizeof(value) == 16 && std::is_nothrow_move_constructible_v<value> && std::is_nothrow_move_assignable_v<value>);
static_assert(!std::is_constructible_v<value, void*> && !std::is_constructible_v<value, int*>);

TEST(JsonValue, TakesLiterals) {
  EXPECT_EQ(value{}.kind(), json::kind::null);
  EXPECT_EQ(value{nullptr}.kind(), json::kind::null);
  EXPECT_EQ(value{true}.kind(), json::kind::boolean);
  EXPECT_EQ(value{std::uint8_t{7}}.kind(), json::kind::integer);
  EXPECT_EQ(value{1.5F}.kind(), json::kind::real);
  EXPECT_EQ(value{"text"}.kind(), json::kind::string);
  EXPECT_EQ(value{"text"s}.kind(), json::kind::string);
  EXPECT_EQ(value{"text"sv}.kind(), json::kind::string);
  EXPECT_EQ(value{array{}}.kind(), json::kind::array);
  EXPECT_EQ((value{{"a", "b"}}).kind(), json::kind::object);
  EXPECT_EQ(value::make_object().dump(), "{}");
  EXPECT_EQ(value::make_array().dump(), "[]");
}

TEST(JsonValue, TakesBracesForAnObjectAtEveryLevel) {
  value const v{{"a", 1}, {"b", {{"c", 2}}}, {"d", {{"e", "f"}, {"g", {{"h", array{1, "x", {{"i", nullptr}}}}}}}}};
  EXPECT_EQ(v.dump(), R"({"a":1,"b":{"c":2},"d":{"e":"f","g":{"h":[1,"x",{"i":null}]}}})");
  EXPECT_EQ((value{{"a", 1}, {"a", 2}}).dump(), R"({"a":2})");
}

TEST(JsonValue, MakesRealsOfUnsignedNumbersBeyondInt64) {
  EXPECT_EQ(value{std::numeric_limits<std::uint64_t>::max()}.kind(), json::kind::real);
  EXPECT_EQ(value{std::uint64_t{1} << 62}.kind(), json::kind::integer);
}

TEST(JsonValue, ConvertsOnlyWhereNothingIsLost) {
  EXPECT_EQ(value{10}.as_int(), 10);
  EXPECT_EQ(value{10.0}.as_int(), 10);
  EXPECT_EQ(value{10.5}.as_int(), std::nullopt);
  EXPECT_EQ(value{0x1p63}.as_int(), std::nullopt);
  EXPECT_EQ(value{-0x1p63}.as_int(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(value{std::numeric_limits<double>::quiet_NaN()}.as_int(), std::nullopt);
  EXPECT_EQ(value{"10"}.as_int(), std::nullopt);
  EXPECT_EQ(value{true}.as_int(), std::nullopt);
  EXPECT_EQ(value{10}.as_double(), 10.0);
  EXPECT_EQ(value{"x"}.as_double(), std::nullopt);
  EXPECT_EQ(value{false}.as_bool(), false);
  EXPECT_EQ(value{0}.as_bool(), std::nullopt);
  EXPECT_EQ(value{"x"}.as_string(), "x");
  EXPECT_EQ(value{1}.as_string(), std::nullopt);
}

TEST(JsonValue, KeepsStringsOfEveryLength) {
  for (std::size_t size = 0; size != 40; ++size) {
    std::string const text(size, 'x');
    value const v{text};
    EXPECT_EQ(v, text);
    EXPECT_EQ(value{v}, v);
    EXPECT_EQ(v.as_string(), text);
  }
  EXPECT_EQ(value{"a\0b"sv}.as_string(), "a\0b"sv);
}

TEST(JsonValue, TellsAbsentFromNullOnlyByFind) {
  value const v{{"a", nullptr}};
  EXPECT_NE(v.find("a"), nullptr);
  EXPECT_EQ(v.find("b"), nullptr);
  EXPECT_TRUE(v["b"].is_null());
  EXPECT_TRUE(v["b"]["c"][3].is_null());
  value const number{1};
  EXPECT_EQ(number.find("a"), nullptr);
}

TEST(JsonValue, CreatesMembersOnTheWay) {
  value v;
  v["properties"]["desired"]["interval"] = 10;
  v.set("list", array{}).push_back("x");
  EXPECT_EQ(v.dump(), R"({"properties":{"desired":{"interval":10}},"list":["x"]})");
  v.set("list", 1);
  EXPECT_EQ(v["list"], 1);
  value number{5};
  number["a"] = 1;
  EXPECT_EQ(number.dump(), R"({"a":1})");
  number.push_back(1);
  EXPECT_EQ(number.dump(), "[1]");
}

TEST(JsonValue, IndexesArraysByPosition) {
  value v = array{"a", "b"};
  EXPECT_EQ(v[0], "a");
  EXPECT_EQ(v[1], "b");
  EXPECT_TRUE(v[2].is_null());
  for (auto& item : v.elements()) item = 1;
  EXPECT_EQ(v, (array{1, 1}));
}

TEST(JsonValue, ErasesMembersAndKeepsTheOrder) {
  value v{{"a", 1}, {"b", "a string longer than fifteen"}, {"c", 3}};
  EXPECT_FALSE(v.erase("x"));
  EXPECT_TRUE(v.erase("b"));
  EXPECT_FALSE(v.erase("b"));
  EXPECT_EQ(v.dump(), R"({"a":1,"c":3})");
  EXPECT_TRUE(v.erase("a"));
  EXPECT_TRUE(v.erase("c"));
  EXPECT_EQ(v.dump(), "{}");
  EXPECT_FALSE(value{1}.erase("a"));
}

// Against a plain list of pairs, on both sides of the width where objects get an index.
TEST(JsonValue, BehavesTheSameWhateverItsWidth) {
  value v = value::make_object();
  std::vector<std::pair<std::string, int>> model;
  std::uint32_t state = 1;
  for (int step = 0; step != 5000; ++step) {
    state = state * 1664525 + 1013904223;
    std::string const name = ((state >> 20) % 2 != 0 ? "key" : "a name longer than fifteen ") + std::to_string((state >> 8) % 60);
    bool const erase = (state >> 28) % 16 < (step % 1000 < 700 ? 5u : 12u);
    auto at = model.begin();
    while (at != model.end() && at->first != name) ++at;
    if (erase) {
      EXPECT_EQ(v.erase(name), at != model.end());
      if (at != model.end()) model.erase(at);
    } else {
      v[name] = step;
      if (at == model.end())
        model.emplace_back(name, step);
      else
        at->second = step;
    }
    ASSERT_EQ(v.size(), model.size());
    std::size_t i = 0;
    for (auto const& m : v.members()) {
      ASSERT_EQ(m.key(), model[i].first);
      ASSERT_EQ(m.value(), model[i++].second);
    }
    ASSERT_EQ(i, model.size());
    ASSERT_EQ(v.find("absent"), nullptr);
    if (step % 100 == 0) {
      value const copy = v;
      ASSERT_EQ(copy, v);
      ASSERT_EQ(copy.dump(), v.dump());
    }
  }
}

TEST(JsonValue, ComparesNumbersByValueAndObjectsWithoutOrder) {
  EXPECT_EQ(value{1}, value{1.0});
  EXPECT_NE(value{1}, value{1.5});
  EXPECT_NE(value{std::numeric_limits<std::int64_t>::max()}, value{0x1p63});
  EXPECT_NE(value{9007199254740993}, value{9007199254740992.0});
  EXPECT_NE(value{0}, value{false});
  EXPECT_NE(value{0}, value{});
  EXPECT_NE(value{array{}}, value::make_object());
  EXPECT_EQ((value{{"a", 1}, {"b", 2}}), (value{{"b", 2}, {"a", 1}}));
  EXPECT_NE((value{{"a", 1}, {"b", 2}}), (value{{"a", 1}, {"c", 2}}));
  EXPECT_NE((array{1, 2}), (value{array{2, 1}}));
  EXPECT_NE((value{array{1, 2}}), (value{array{1}}));
  EXPECT_NE(value{1}, "1");
}

TEST(JsonValue, MayBeAssignedAPartOfItself) {
  value v{{"a", {{"b", array{1, "a string longer than fifteen"}}}}};
  v = v["a"];
  v = std::move(*v.find("b"));
  EXPECT_EQ(v, (array{1, "a string longer than fifteen"}));
  v.push_back(v[1]);
  for (int i = 0; i != 20; ++i) v.push_back(v);
  EXPECT_EQ(v.size(), 23u);
  value w{{"a name longer than fifteen", 1}};
  for (int i = 0; i != 20; ++i) w.set(w.members().begin()->key(), i), w["n" + std::to_string(i)] = w;
  EXPECT_EQ(w["a name longer than fifteen"], 19);
}

TEST(JsonValue, LetsPartsOutliveTheDocumentTheyCameFrom) {
  auto document = iothub::json::parse(R"({"a":{"name of more than fifteen":["x","a string longer than fifteen"]},"b":"another long string of it"})");
  ASSERT_TRUE(document.has_value());
  value a = std::move((*document)["a"]);
  value b = (*document)["b"];
  document = value{};
  EXPECT_EQ(a.dump(), R"({"name of more than fifteen":["x","a string longer than fifteen"]})");
  a["more"] = std::move(b);
  EXPECT_EQ(a["more"], "another long string of it");
}

TEST(JsonValue, DestroysTheDeepestDocumentWithoutRecursion) {
  value v;
  for (int i = 0; i != 1'000'000; ++i) {
    value outer;
    if (i % 2 != 0)
      outer.push_back(std::move(v));
    else
      outer["a name longer than fifteen"] = std::move(v);
    v = std::move(outer);
  }
  v = nullptr;
  EXPECT_TRUE(v.is_null());
}

TEST(JsonValue, OfANameThatIsWrittenTwiceTheLastValueCountsAtTheFirstPlace) {
  value v{{"a", "a text that has more than fifteen characters"},
          {"a name that has more than fifteen characters", 1},
          {"a", {{"b", "another text of more than fifteen characters"}}},
          {"a name that has more than fifteen characters", value{}}};
  EXPECT_EQ(v.dump(), R"({"a":{"b":"another text of more than fifteen characters"},)"
                      R"("a name that has more than fifteen characters":null})");
  v["c"] = 2;
  EXPECT_TRUE(v.erase("a"));
  EXPECT_EQ(v.dump(), R"({"a name that has more than fifteen characters":null,"c":2})");
}

TEST(JsonValue, AWideObjectIsWrittenOut) {
  value v{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}, {"f", 6}, {"g", 7}, {"h", 8}, {"i", 9},
          {"j", 1}, {"k", 2}, {"l", 3}, {"m", 4}, {"n", 5}, {"o", 6}, {"p", 7}, {"q", 8}, {"a", 0}};
  EXPECT_EQ(v.size(), 17u);
  EXPECT_EQ(v["a"], 0);
  EXPECT_EQ(v["q"], 8);
  v["r"] = 9;
  EXPECT_EQ(v["r"], 9);
  EXPECT_EQ(v.find("s"), nullptr);
}

// What a member, found in a temporary value, gives must not hang in the air.
TEST(JsonValue, OfATemporaryGivesCopies) {
  auto const made = [] { return value{{"a", "a text that is too long to be kept in sixteen bytes"}, {"b", {{"c", 7}}}}; };
  auto const text = made()["a"].as_string();
  static_assert(std::is_same_v<decltype(text), std::optional<std::string> const>);
  EXPECT_EQ(text, "a text that is too long to be kept in sixteen bytes");
  value const& kept = made()["b"]["c"];
  EXPECT_EQ(kept, 7);
  EXPECT_EQ(value{1}.as_string(), std::nullopt);
  EXPECT_EQ((value{json::array{1, 2}}[1]), 2);
}

TEST(JsonArrayOf, MakesAnArrayOfWhatAContainerHolds) {
  std::vector<std::string> const names{"a", "b"};
  EXPECT_EQ(json::array_of(names).dump(), R"(["a","b"])");
  EXPECT_EQ(json::array_of(std::vector<int>{}).dump(), "[]");
  int const numbers[] = {1, 2};
  EXPECT_EQ(json::array_of(numbers).dump(), "[1,2]");
}

TEST(JsonArrayOf, TakesElementsInBracesOfTheirOwn) {
  EXPECT_EQ(json::array_of({{{"a", 1}}}).dump(), R"([{"a":1}])");
  EXPECT_EQ(json::array_of({{{"a", 1}}, {{"b", 2}}}).dump(), R"([{"a":1},{"b":2}])");
  EXPECT_EQ(json::array_of({1, "two"}).dump(), R"([1,"two"])");
  EXPECT_EQ((json::array{{"a", 1}}.document.dump()), R"(["a",1])");  // the trap that it is there for
}

}  // namespace
