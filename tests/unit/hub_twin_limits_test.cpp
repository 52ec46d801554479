// The limits of a twin, each at the limit and one beyond, and the sizes that the hub keeps up to date.
#include "hub_world.hpp"

#include <iothub/base/prng.hpp>

namespace {

using namespace hub_test;

struct store {
  ih::options settings = plain_options();
  ih::twin_section_state section;

  iothub::result<std::int64_t> apply(value const& patch, iothub::twin_part part = iothub::twin_part::reported) {
    auto change = ih::check_patch(section.properties, section.size, patch, part, settings);
    if (!change) return change;
    ih::merge(section.properties, &section.stamps, patch, start, ++section.version);
    section.size += *change;
    return section.size;
  }
  bool takes(value const& patch) { return apply(patch).has_value(); }
};

value one(std::string_view name, value v) {
  value out = value::make_object();
  out.set(name, std::move(v));
  return out;
}
value nested_objects(int levels) {
  value v = value::make_object();
  for (int i = 0; i != levels; ++i) v = one("a", std::move(v));
  return v;
}
value nested_arrays(int levels) {
  value v = value::make_array();
  for (int i = 1; i != levels; ++i) {
    value outer = value::make_array();
    outer.push_back(std::move(v));
    v = std::move(outer);
  }
  return v;
}

TEST(HubTwinLimits, NamesHave1024Bytes) {
  EXPECT_TRUE(store{}.takes(one(std::string(1024, 'n'), 1)));
  EXPECT_FALSE(store{}.takes(one(std::string(1025, 'n'), 1)));
  std::string umlauts;
  for (int i = 0; i != 512; ++i) umlauts += "\xc3\xa4";
  EXPECT_TRUE(store{}.takes(one(umlauts, 1)));
  EXPECT_FALSE(store{}.takes(one(umlauts + "n", 1)));
}

TEST(HubTwinLimits, NamesHaveNoControlsDotsDollarsBlanksAndHashes) {
  for (std::string_view bad : {"a.b", "$a", "a$", "a b", " ", "a\nb", "\x01", "\x7f", "\xc2\x85", "a#", "\xc2\xa0",
                               "\xe2\x80\x83", "\xe3\x80\x80"}) {
    EXPECT_FALSE(store{}.takes(one(bad, 1))) << bad;
    EXPECT_FALSE(store{}.takes(one("o", one(bad, 1)))) << bad;
    EXPECT_FALSE(store{}.takes(one("l", iothub::json::array{one(bad, 1)}))) << bad;
    EXPECT_FALSE(store{}.takes(one(bad, nullptr))) << bad;
  }
  for (std::string_view good : {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "a-b_c:d/e", "A"})
    EXPECT_TRUE(store{}.takes(one(good, 1))) << good;
}

TEST(HubTwinLimits, TheHashIsASwitch) {
  store s;
  s.settings.refuse_hash_in_twin_names = false;
  EXPECT_TRUE(s.takes(one("a#b", 1)));
  EXPECT_FALSE(s.takes(one("a b", 1)));
}

TEST(HubTwinLimits, StringsHave4096Bytes) {
  EXPECT_TRUE(store{}.takes(one("a", std::string(4096, 's'))));
  EXPECT_FALSE(store{}.takes(one("a", std::string(4097, 's'))));
  EXPECT_FALSE(store{}.takes(one("a", iothub::json::array{std::string(4097, 's')})));
}

TEST(HubTwinLimits, IntegersHave52Bits) {
  EXPECT_TRUE(store{}.takes(one("a", std::int64_t{-4503599627370496})));
  EXPECT_FALSE(store{}.takes(one("a", std::int64_t{-4503599627370497})));
  EXPECT_TRUE(store{}.takes(one("a", std::int64_t{4503599627370495})));
  EXPECT_FALSE(store{}.takes(one("a", std::int64_t{4503599627370496})));
  EXPECT_FALSE(store{}.takes(one("a", iothub::json::array{std::int64_t{4503599627370496}})));
  EXPECT_TRUE(store{}.takes(one("a", 1e300)));
}

TEST(HubTwinLimits, ArraysHoldNoNull) {
  EXPECT_FALSE(store{}.takes(parse(R"({"a":[null]})")));
  EXPECT_FALSE(store{}.takes(parse(R"({"a":[1,[null]]})")));
  EXPECT_FALSE(store{}.takes(parse(R"({"a":[{"b":null}]})")));
  EXPECT_TRUE(store{}.takes(parse(R"({"a":[{"b":[1,"x",{"c":true}]}]})")));
}

TEST(HubTwinLimits, ContainersNestTenLevels) {
  EXPECT_TRUE(store{}.takes(nested_objects(10)));
  EXPECT_FALSE(store{}.takes(nested_objects(11)));
  EXPECT_TRUE(store{}.takes(one("a", nested_arrays(10))));
  EXPECT_FALSE(store{}.takes(one("a", nested_arrays(11))));
  // Nine objects below the root, the ninth of which holds an array.
  value v = one("a", iothub::json::array{1});
  for (int i = 0; i != 9; ++i) v = one("a", std::move(v));
  EXPECT_TRUE(store{}.takes(v));
  EXPECT_FALSE(store{}.takes(one("a", v)));
}

TEST(HubTwinLimits, SizesAreCountedByTheFormula) {
  auto const size = [](std::string_view patch) { return store{}.apply(parse(patch)).value(); };
  EXPECT_EQ(size("{}"), 0);
  EXPECT_EQ(size(R"({"ab":1})"), 2 + 8);
  EXPECT_EQ(size(R"({"ab":1.5})"), 2 + 8);
  EXPECT_EQ(size(R"({"ab":true})"), 2 + 4);
  EXPECT_EQ(size(R"({"ab":"xyz"})"), 2 + 3);
  EXPECT_EQ(size(R"({"ab":"x\n\u0085y"})"), 2 + 2);
  EXPECT_EQ(size("{\"ab\":\"\xc3\xa4\"}"), 2 + 2);
  EXPECT_EQ(size(R"({"a":{"b":{"c":1}}})"), 3 + 8);
  EXPECT_EQ(size(R"({"a":[1,"xy",[true]]})"), 1 + 8 + 2 + 4);
  EXPECT_EQ(size(R"({"a":{"b":null}})"), 1);
}

// A section of exactly `size` by the formula.
value section_of(std::size_t size) {
  value v = value::make_object();
  int n = 0;
  while (size > 4100) {
    std::string const name = "k" + std::to_string(n++);
    std::size_t const text = size - name.size() > 4096 ? 4000 : size - name.size();
    v.set(name, std::string(text, 'x'));
    size -= name.size() + text;
  }
  if (size != 0) v.set("z", std::string(size - 1, 'x'));
  return v;
}

TEST(HubTwinLimits, SectionsHave32KilobytesAndTags8) {
  EXPECT_EQ(store{}.apply(section_of(32'768)).value(), 32'768);
  EXPECT_FALSE(store{}.takes(section_of(32'769)));
  EXPECT_EQ(store{}.apply(section_of(8'192), iothub::twin_part::tags).value(), 8'192);
  EXPECT_FALSE(store{}.apply(section_of(8'193), iothub::twin_part::tags).has_value());
  EXPECT_TRUE(ih::check_replacement(0, section_of(32'768), iothub::twin_part::desired, plain_options()).has_value());
  EXPECT_FALSE(ih::check_replacement(0, section_of(32'769), iothub::twin_part::desired, plain_options()).has_value());
}

TEST(HubTwinLimits, OnlyGrowthBeyondTheLimitIsRefused) {
  store s;
  ASSERT_TRUE(s.takes(section_of(32'768)));
  EXPECT_FALSE(s.takes(parse(R"({"a":1})")));
  EXPECT_TRUE(s.takes(parse(R"({"k0":null,"a":1})")));
  s.settings.limits.twin_section = 100;  // now it is oversize
  EXPECT_TRUE(s.takes(parse(R"({"k1":null})")));
  EXPECT_FALSE(s.takes(parse(R"({"b":1})")));
}

TEST(HubTwinLimits, ThePrintedLengthIsASwitch) {
  store s;
  s.settings.twin_size_as_json = true;
  s.settings.limits.twin_section = 12;
  EXPECT_TRUE(s.takes(parse(R"({"a":1234})")));    // 10 characters
  EXPECT_FALSE(s.takes(parse(R"({"a":1234567})")));  // 13 characters
  EXPECT_FALSE(ih::check_replacement(0, parse(R"({"a":1234567})"), iothub::twin_part::desired, s.settings).has_value());
}

TEST(HubTwinLimits, TheKeptSizeStaysExactOverRandomPatches) {
  iothub::prng random{5};
  store s;
  auto const leaf = [&]() -> value {
    switch (random.below(5)) {
      case 0: return nullptr;
      case 1: return static_cast<std::int64_t>(random.below(1000));
      case 2: return std::string(random.below(20), 'x');
      case 3: return random.below(2) == 0;
      default: return iothub::json::array{1, "ab"};
    }
  };
  for (int i = 0; i != 2000; ++i) {
    value patch = value::make_object();
    for (std::uint64_t n = random.below(4); n != ~std::uint64_t{0}; --n) {
      std::string const name(1, static_cast<char>('a' + random.below(6)));
      value inner = value::make_object();
      inner.set(std::string(1, static_cast<char>('a' + random.below(3))), leaf());
      patch.set(name, random.below(2) == 0 ? leaf() : inner);
    }
    ASSERT_TRUE(s.takes(patch));
    value expected = s.section.properties;
    ASSERT_EQ(s.section.size, static_cast<std::int64_t>(iothub::twin_section_size(expected))) << expected.dump();
  }
}

TEST(HubTwinLimits, TheRefusalNamesTheSectionAndTheProperty) {
  store s;
  EXPECT_EQ(s.apply(one("a", one("b c", 1))).error().message().substr(0, 9), "reported:");
  EXPECT_NE(s.apply(one("a", one("b c", 1))).error().message().find("a.b c"), std::string_view::npos);
  EXPECT_EQ(s.apply(section_of(32'769)).error().message(),
            "reported would have a size of 32769 bytes, above 32768");
}

}  // namespace
