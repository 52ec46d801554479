#include <iothub/json/merge_patch.hpp>

#include <gtest/gtest.h>

#include <string>

#include <iothub/json/path.hpp>
#include <iothub/json/value.hpp>

#include "test_data.hpp"

namespace {

namespace json = iothub::json;
using json::array;
using json::value;

TEST(JsonMergePatch, GivesTheResultsOfRfc7396) {
  value const vectors = iothub_test::load("rfc7396_merge_patch.json");
  ASSERT_GE(vectors["cases"].size(), 15u);
  for (auto const& c : vectors["cases"].elements()) {
    value copied = c["target"];
    json::merge_patch(copied, c["patch"]);
    EXPECT_EQ(copied, c["result"]) << c.dump();
    value moved = c["target"];
    json::merge_patch(moved, value{c["patch"]});
    EXPECT_EQ(moved, c["result"]) << c.dump();
  }
}

TEST(JsonMergePatch, DropsTheNullsOfNewObjects) {
  value target{{"x", 1}};
  json::merge_patch(target, value{{"a", {{"b", nullptr}, {"c", {{"d", nullptr}}}}}});
  EXPECT_EQ(target.dump(), R"({"x":1,"a":{"c":{}}})");
}

TEST(JsonMergePatch, LeavesThePatchAsItWas) {
  value const patch{{"list", array{1, "a string longer than fifteen"}}, {"text", "another string of that kind"}};
  value target;
  json::merge_patch(target, patch);
  target["list"].push_back(2);
  EXPECT_EQ(patch["list"].size(), 2u);
  EXPECT_EQ(target["text"], patch["text"]);
}

TEST(JsonMergePatch, ReplacesStringsOfAnyLength) {
  value target{{"t", "2024-01-01T00:00:00.000Z"}};
  for (auto const* text : {"2024-01-01T00:00:20.000Z", "a string longer than fifteen", "short", "again somewhat longer than fifteen",
                           "shorter by a lot"}) {
    json::merge_patch(target, value{value{{"t", text}}});
    value const patch{{"t", text}};
    json::merge_patch(target, patch);
    EXPECT_EQ(target, patch);
  }
}

TEST(JsonMergePatch, KeepsAWideTargetInOrder) {
  value target = value::make_object();
  for (int i = 0; i != 100; ++i) target["name" + std::to_string(i)] = i;
  json::merge_patch(target, value{{"name50", nullptr}, {"name51", "x"}, {"name100", 100}, {"name0", nullptr}});
  EXPECT_EQ(target.size(), 99u);
  EXPECT_EQ(target.members().begin()->key(), "name1");
  EXPECT_EQ(target["name51"], "x");
  EXPECT_EQ(target.find("name50"), nullptr);
  EXPECT_TRUE(target.dump().ends_with(R"("name99":99,"name100":100})"));
}

TEST(JsonPath, WalksMembersByDots) {
  value const v{{"properties", {{"reported", {{"rebootTime", "now"}}}}}, {"", {{"x", 1}}}};
  EXPECT_EQ(*json::find_path(v, "properties.reported.rebootTime"), "now");
  EXPECT_EQ(json::find_path(v, ""), &v);
  EXPECT_EQ(*json::find_path(v, ".x"), 1);
  EXPECT_EQ(json::find_path(v, "properties.desired.rebootTime"), nullptr);
  EXPECT_EQ(json::find_path(v, "properties.reported.rebootTime.x"), nullptr);
  EXPECT_EQ(json::find_path(v, "properties."), nullptr);
}

}  // namespace
