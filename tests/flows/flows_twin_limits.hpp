// Flow 6, the limits of a twin (Microsoft docs: "Understand and use device twins in IoT Hub"): each at the limit and
// one above it, for reported properties, desired properties and tags.
#pragma once

#include <gmock/gmock.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;

template <class Wiring>
class TwinLimits : public ::testing::Test {};
TYPED_TEST_SUITE(TwinLimits, flow_wirings, wiring_names);

struct limit_case {
  char const* what;
  json::value patch;
  bool allowed;
};

json::value one(std::string name, json::value item) {
  json::value object = json::value::make_object();
  object.set(name, std::move(item));
  return object;
}
// So many containers below the section: objects, arrays, or both in turn.
json::value nested(int levels, int arrays_of_two) {
  json::value inner{1};
  for (int i = 0; i != levels; ++i) {
    if (i % 2 < arrays_of_two && i + 1 != levels) {
      json::value array = json::value::make_array();
      array.push_back(std::move(inner));
      inner = std::move(array);
    } else {
      inner = one("n", std::move(inner));
    }
  }
  return one("n", std::move(inner));
}
// A section of that size by the documented formula, out of strings that are as long as allowed.
json::value of_size(std::size_t size) {
  json::value object = json::value::make_object();
  for (char name = 'a'; size != 0; ++name) {
    std::size_t const part = size < 4096 ? size : 4096;
    object.set(std::string(1, name), json::value{std::string(part - 1, 'x')});
    size -= part;
  }
  return object;
}
std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  while (times-- != 0) all += text;
  return all;
}

std::vector<limit_case> limit_cases() {
  json::value deep_null = json::value::make_array();
  deep_null.push_back(json::value{});
  json::value null_member = json::value::make_array();
  null_member.push_back(one("x", {}));
  json::value mixed = json::value::make_array();
  mixed.push_back(json::value{json::array{1, "x"}});
  mixed.push_back(one("x", 1));
  return {
      {"a name of 1024 bytes", one(std::string(1024, 'n'), 1), true},
      {"a name of 1025 bytes", one(std::string(1025, 'n'), 1), false},
      {"a name of 512 two-byte letters", one(repeated("\xc3\xa4", 512), 1), true},
      {"a name of 1025 bytes in UTF-8", one("n" + repeated("\xc3\xa4", 512), 1), false},
      {"a dot in a name", one("a.b", 1), false},
      {"a dollar sign in a name", one("a$b", 1), false},
      {"a blank in a name", one("a b", 1), false},
      {"a hash sign in a name", one("a#b", 1), false},
      {"a control character in a name", one("a\x01", 1), false},
      {"a C1 control character in a name", one("a\xc2\x85", 1), false},
      {"other signs in a name", one("a-b_c:d/e@f", 1), true},
      {"a string of 4096 bytes", one("s", std::string(4096, 's')), true},
      {"a string of 4097 bytes", one("s", std::string(4097, 's')), false},
      {"the largest integer", one("i", std::int64_t{4503599627370495}), true},
      {"one above it", one("i", std::int64_t{4503599627370496}), false},
      {"the smallest integer", one("i", std::int64_t{-4503599627370496}), true},
      {"one below it", one("i", std::int64_t{-4503599627370497}), false},
      {"a large real", one("r", 1.5e300), true},
      {"ten levels of objects", nested(10, 0), true},
      {"eleven levels of objects", nested(11, 0), false},
      {"ten levels of objects and arrays", nested(10, 1), true},
      {"eleven levels of objects and arrays", nested(11, 1), false},
      {"ten levels of arrays", nested(10, 2), true},
      {"eleven levels of arrays", nested(11, 2), false},
      {"an array of everything", one("l", mixed), true},
      {"null in an array", one("l", deep_null), false},
      {"null in an object in an array", one("l", null_member), false},
      {"a deep bad name", one("o", one("p", one("q.r", 1))), false},
  };
}

TYPED_TEST(TwinLimits, HoldForReportedProperties) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  for (auto const& c : limit_cases()) {
    SCOPED_TRACE(c.what);
    auto const before = w.get_twin("d").reported;
    auto const outcome = device.update_reported_properties(c.patch);
    ASSERT_EQ(outcome.has_value(), c.allowed) << (outcome ? "" : outcome.error().message());
    if (c.allowed) {
      device.update_reported_properties(one(std::string{c.patch.members().begin()->key()}, {})).value();
      continue;
    }
    EXPECT_EQ(outcome.error(), errc::bad_request);
    EXPECT_EQ(w.get_twin("d").reported, before);
  }
}

TYPED_TEST(TwinLimits, HoldForDesiredPropertiesAndTags) {
  world<TypeParam> w;
  w.create("d");
  auto service = w.connect_service();
  for (auto const& c : limit_cases()) {
    SCOPED_TRACE(c.what);
    for (json::value const& update : {one("properties", one("desired", c.patch)), one("tags", c.patch)}) {
      auto const outcome = service.update_twin("d", update);
      ASSERT_EQ(outcome.has_value(), c.allowed) << (outcome ? "" : outcome.error().message());
      if (!c.allowed) {
        EXPECT_EQ(outcome.error(), errc::bad_request);
        EXPECT_EQ(outcome.error().http_status(), 400);
      }
    }
    service
        .replace_twin(
            "d", {{"tags", json::value::make_object()}, {"properties", one("desired", json::value::make_object())}})
        .value();
  }
}

TYPED_TEST(TwinLimits, OneBadPropertyRefusesThePatchAsAWhole) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  device.update_reported_properties({{"kept", 1}}).value();
  EXPECT_THAT(device.update_reported_properties({{"kept", 2}, {"new", 1}, {"bad.name", 1}}),
              FailedWith(errc::bad_request));
  EXPECT_EQ(device.get_twin().value().reported.properties, (json::value{{"kept", 1}}));
  EXPECT_EQ(device.get_twin().value().reported.version, 2);
}

TYPED_TEST(TwinLimits, TheSizeOfASectionCountsAfterTheMerge) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  EXPECT_EQ(device.update_reported_properties(of_size(32'768)).value(), 2);
  EXPECT_THAT(device.update_reported_properties({{"z", ""}}), FailedWith(errc::bad_request));
  EXPECT_EQ(device.update_reported_properties({{"a", nullptr}}).value(), 3);
  EXPECT_EQ(device.update_reported_properties({{"z", ""}}).value(), 4);
  EXPECT_THAT(device.update_reported_properties(of_size(32'769)), FailedWith(errc::bad_request));

  auto service = w.connect_service();
  EXPECT_TRUE(service.update_twin("d", one("properties", one("desired", of_size(32'768)))));
  EXPECT_THAT(service.update_twin("d", one("properties", one("desired", one("z", "")))), FailedWith(errc::bad_request));
  EXPECT_TRUE(service.update_twin("d", one("tags", of_size(8'192))));
  EXPECT_THAT(service.update_twin("d", one("tags", one("z", ""))), FailedWith(errc::bad_request));
  auto const seen = device.get_twin().value();
  EXPECT_EQ(seen.desired.properties, of_size(32'768));
}

TYPED_TEST(TwinLimits, APatchThatIsNoObjectIsRefused) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  for (json::value const& patch : {json::value{json::array{1}}, json::value{5}, json::value{}, json::value{"x"}})
    EXPECT_THAT(device.update_reported_properties(patch), FailedWith(errc::bad_request)) << patch.dump();
  EXPECT_EQ(device.get_twin().value().reported.version, 1);
}

}  // namespace
