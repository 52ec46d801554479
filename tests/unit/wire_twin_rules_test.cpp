#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/twin_rules.hpp>

namespace {

using namespace iothub;
using namespace std::string_literals;
using json::value;

errc fault(value const& patch, twin_rules const& rules = {}) {
  auto const outcome = check_twin_patch(patch, rules);
  return outcome ? errc::stalled : outcome.error().code();
}
constexpr errc fine = errc::stalled;

value object_with(std::string const& name, value item) {
  value v = value::make_object();
  v.set(name, std::move(item));
  return v;
}
value nested_objects(int levels) {
  value v = 1;
  for (int i = 0; i != levels; ++i) v = object_with("a", std::move(v));
  return object_with("top", std::move(v));
}
value nested_arrays(int levels) {
  value v = 1;
  for (int i = 0; i != levels; ++i) {
    value a = value::make_array();
    a.push_back(std::move(v));
    v = std::move(a);
  }
  return object_with("top", std::move(v));
}

TEST(TwinRules, APatchIsAnObject) {
  for (value const& bad : {value{}, value{5}, value{"x"}, value{json::array{1}}})
    EXPECT_EQ(fault(bad), errc::invalid_argument);
  EXPECT_EQ(fault(value::make_object()), fine);
}

TEST(TwinRules, AllowEveryKindOfValue) {
  EXPECT_EQ(fault({{"s", "x"},
                   {"n", 1.5},
                   {"b", true},
                   {"o", {{"x", nullptr}}},
                   {"a", json::array{1, "x", json::array{}}},
                   {"gone", nullptr}}),
            fine);
}

TEST(TwinRules, RefuseForbiddenCharactersInNames) {
  for (std::string const& bad :
       {""s, "a.b"s, "$version"s, "a b"s, "a#b"s, "a\tb"s, "\x7f"s, "a\xC2\x80"s, "a\xC2\x9F"s, "a\xC2\xA0"s,
        "\xE3\x80\x80"s, "\xE2\x80\xA8"s, "\xE2\x80\x83x"s, "\xE1\x9A\x80"s, "\xE2\x81\x9F"s}) {
    EXPECT_EQ(fault(object_with(bad, 1)), errc::invalid_argument) << bad;
    EXPECT_EQ(fault(object_with("o", object_with(bad, 1))), errc::invalid_argument) << bad;
  }
  for (std::string const& good : {"a-b_c/d"s, "\xC2\xA1"s, "\xE2\x82\xAC"s, "\xE2\x80\xA0"s, "\xF0\x9F\x98\x80"s})
    EXPECT_EQ(fault(object_with(good, 1)), fine) << good;
  twin_rules const documented{.strict_names = false};
  EXPECT_EQ(fault(object_with("a#b", 1), documented), fine);
  EXPECT_EQ(fault(object_with("a\xC2\xA0", 1), documented), fine);
  EXPECT_EQ(fault(object_with("a\xC2\x85", 1), documented), errc::invalid_argument);
}

TEST(TwinRules, LimitNamesStringsAndIntegers) {
  EXPECT_EQ(fault(object_with(std::string(1024, 'n'), 1)), fine);
  EXPECT_EQ(fault(object_with(std::string(1025, 'n'), 1)), errc::too_large);
  EXPECT_EQ(fault(object_with("s", std::string(4096, 's'))), fine);
  EXPECT_EQ(fault(object_with("s", std::string(4097, 's'))), errc::too_large);
  EXPECT_EQ(fault(object_with("i", 4503599627370495)), fine);
  EXPECT_EQ(fault(object_with("i", 4503599627370496)), errc::invalid_argument);
  EXPECT_EQ(fault(object_with("i", -4503599627370496)), fine);
  EXPECT_EQ(fault(object_with("i", -4503599627370497)), errc::invalid_argument);
  EXPECT_EQ(fault(object_with("r", 1e300)), fine);
}

TEST(TwinRules, CountLevelsOfObjectsAndArrays) {
  EXPECT_EQ(fault(nested_objects(10)), fine);
  EXPECT_EQ(fault(nested_objects(11)), errc::too_large);
  EXPECT_EQ(fault(nested_arrays(10)), fine);
  EXPECT_EQ(fault(nested_arrays(11)), errc::too_large);
}

TEST(TwinRules, RefuseNullInsideArraysAtAnyDepth) {
  EXPECT_EQ(fault({{"a", json::array{nullptr, 1}}}), errc::invalid_argument);
  EXPECT_EQ(fault({{"a", json::array{value{{"x", nullptr}}, 1}}}), errc::invalid_argument);
  EXPECT_EQ(fault({{"a", json::array{value{{"x", {{"y", nullptr}}}}, 1}}}), errc::invalid_argument);
}

TEST(TwinRules, NameThePropertyAndTheRule) {
  auto const refused = check_twin_patch({{"ok", 1}, {"outer", {{"in.ner", 1}}}});
  EXPECT_EQ(refused.error().message(), "twin property outer.in.ner: a dot, a dollar sign or a blank in the name");
}

TEST(TwinSize, CountsByTheDocumentedFormula) {
  EXPECT_EQ(twin_section_size(value::make_object()), 0u);
  EXPECT_EQ(twin_section_size({{"ab", 1}}), 10u);
  EXPECT_EQ(twin_section_size({{"ab", 1.5}}), 10u);
  EXPECT_EQ(twin_section_size({{"ab", true}}), 6u);
  EXPECT_EQ(twin_section_size({{"ab", "xyz"}}), 5u);
  EXPECT_EQ(twin_section_size({{"ab", "x\n\x7f\xC2\x85y"}}), 4u);
  EXPECT_EQ(twin_section_size({{"ab", "\xE2\x82\xAC"}}), 5u);
  EXPECT_EQ(twin_section_size({{"ab", json::array{1, "x", true}}}), 2u + 8 + 1 + 4);
  EXPECT_EQ(twin_section_size({{"ab", {{"c", 1}}}}), 2u + 1 + 8);
  EXPECT_EQ(twin_section_size({{"$version", 7}, {"$metadata", {{"x", 1}}}, {"a", 1}}), 9u);
  EXPECT_EQ(twin_member_size("ab", 1), 10u);
}

TEST(TwinSize, OnlyGrowthBeyondTheLimitIsRefused) {
  EXPECT_TRUE(twin_size_allowed(0, 100, 100));
  EXPECT_FALSE(twin_size_allowed(0, 101, 100));
  EXPECT_TRUE(twin_size_allowed(200, 150, 100));
  EXPECT_TRUE(twin_size_allowed(150, 150, 100));
  EXPECT_FALSE(twin_size_allowed(150, 151, 100));
  EXPECT_EQ(twin_rules{}.max_size(twin_part::tags), 8192u);
  EXPECT_EQ(twin_rules{}.max_size(twin_part::reported), 32768u);
}

}  // namespace
