// Strings that were written to break parsers: every one is refused with an error, or goes through unharmed.
#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/hub_topics.hpp>
#include <iothub/wire/etag.hpp>
#include <iothub/wire/rest_routes.hpp>
#include <iothub/wire/twin_rules.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;

// A row is a text, a pair of text and reason, or a prefix to be repeated up to a length.
std::string text_of(json::value const& row) {
  if (auto const text = row.as_string()) return std::string{*text};
  if (row.is_array()) return text_of(row[0]);
  std::string text{row["prefix"].as_string().value_or("")};
  std::string const unit{row["unit"].as_string().value_or(text.empty() ? "" : text.substr(text.size() - 1))};
  while (text.size() < static_cast<std::size_t>(row["length"].as_int().value_or(0))) text.append(unit);
  return text;
}

json::value const& strings() {
  static auto const all = iothub_test::load("hostile_strings.json");
  return all;
}

TEST(HostileConnectionStrings, GoodOnesAreRead) {
  for (auto const& row : strings()["connection_strings"]["ok"].elements()) {
    std::string const text = text_of(row["s"]);
    bool const device = text.find("DeviceId=") != std::string::npos;
    auto const parsed = device ? parse_device_connection_string(text) : parse_service_connection_string(text);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->print().reveal().size(), text.size());
  }
}

TEST(HostileConnectionStrings, BadOnesAreRefusedWithoutEchoingTheKey) {
  std::size_t seen = 0;
  for (auto const& row : strings()["connection_strings"]["refuse"].elements()) {
    std::string const text = text_of(row["s"]);
    auto const parsed = parse_device_connection_string(text);
    ASSERT_FALSE(parsed) << row["why"].dump();
    EXPECT_EQ(parsed.error(), errc::malformed);
    EXPECT_EQ(parsed.error().message().find("AAECAwQF"), std::string_view::npos);
    EXPECT_LT(parsed.error().message().size(), 200u);
    ++seen;
  }
  EXPECT_GE(seen, 20u);
}

TEST(HostileTopics, GoodOnesAreKnown) {
  auto const d1 = device_topics::make({"d1"}).value();
  for (auto const& row : strings()["topics"]["inbound_ok"].elements())
    EXPECT_NE(d1.classify(text_of(row)).kind, inbound_kind::unknown) << row.dump();
}

TEST(HostileTopics, BadOnesAreUnknownOrHaveABadBag) {
  auto const d1 = device_topics::make({"d1"}).value();
  for (auto const& row : strings()["topics"]["inbound_hostile"].elements()) {
    auto const topic = text_of(row);
    auto const read = d1.classify(topic);
    if (read.kind == inbound_kind::c2d) {
      c2d_message m;
      EXPECT_FALSE(read_c2d_bag(read.bag, m)) << topic;
    } else if (row[1] == "rid never asked") {
      EXPECT_EQ(read.kind, inbound_kind::twin_response);  // who asked is known to the session alone
    } else {
      EXPECT_EQ(read.kind, inbound_kind::unknown) << topic.substr(0, 80);
    }
  }
}

TEST(HostileTopics, MethodNamesStayOneLevelOrAreRefused) {
  for (auto const& row : strings()["topics"]["method_names_hostile"].elements()) {
    auto const name = text_of(row);
    if (!is_valid_method_name(name)) continue;
    EXPECT_TRUE(name == "%2F" || name == "%00") << name;  // literal: nothing decodes them
    std::string topic;
    append_method_request_topic(topic, name, "1");
    EXPECT_EQ(device_topics::make({"d1"}).value().classify(topic).name, name);
  }
}

TEST(HostileTopics, PropertyNamesAreRefusedOrComeBackTheSame) {
  for (auto const& row : strings()["topics"]["property_names_hostile"].elements()) {
    message const m{.properties = {{text_of(row), "v"}}};
    std::string bag;
    auto const made = append_telemetry_bag(bag, m);
    if (!made) {
      EXPECT_TRUE(made.error() == errc::too_large || m.properties[0].name == "$.mid");
      continue;
    }
    message back;
    read_property_bag(bag, back).value();
    EXPECT_EQ(back, m);
  }
}

TEST(HostileTopics, DeviceIdsAreRefusedOrSurviveEveryProtocol) {
  for (auto const& row : strings()["topics"]["device_ids_hostile"].elements()) {
    auto const id = text_of(row);
    auto const topics = device_topics::make({id});
    if (topics) {
      EXPECT_EQ(id.find_first_of("/#+"), std::string::npos);
    }
    if (!is_valid_id(id)) {
      EXPECT_FALSE(topics);
      EXPECT_EQ(parse_route("GET", "/devices/" + percent_encode(id)).error(), errc::bad_request) << id;
      continue;
    }
    rest_route const route{.kind = route_kind::get_device, .device_id = id};
    EXPECT_EQ(parse_route("GET", route_target(route)).value(), route);
  }
}

TEST(HostileTopics, EtagsAreAnyOrNoneOrMatchNothing) {
  for (auto const& row : strings()["topics"]["etags_hostile"].elements()) {
    auto const tag = text_of(row);
    auto const read = read_if_match(tag);
    bool const any = tag == "*" || tag == "\"*\"";
    bool const injected = tag.find('\n') != std::string::npos;  // no tag of the hub's has a line break
    EXPECT_EQ(read.kind, any ? if_match_kind::any : injected ? if_match_kind::exact : if_match_kind::none) << tag;
    EXPECT_EQ(read.met_by("MQ=="), !injected);
  }
}

TEST(HostileJson, TwinNamesThatMeanSomethingElsewhere) {
  for (auto const& row : strings()["json"]["keys_hostile"].elements()) {
    json::value patch = json::value::make_object();
    patch.set(text_of(row), 1);
    EXPECT_EQ(check_twin_patch(patch).has_value(), text_of(row) != "$metadata") << row.dump();
  }
}

}  // namespace
