// Strings that were written to break parsers: every one is refused with an error, or goes through unharmed.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <iterator>
#include <set>
#include <string>

#include <iothub/hub/fault_plan.hpp>
#include <iothub/hub/query_parser.hpp>
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
  auto const length = static_cast<std::size_t>(row["length"].as_int().value_or(static_cast<std::int64_t>(text.size())));
  while (text.size() < length) text.append(unit);
  text.resize(length);
  return text;
}

json::value const& strings() {
  static auto const all = iothub_test::load("hostile_strings.json");
  return all;
}
// The rows of a table, of which there are so many: a table by another name would be an empty one.
auto rows(char const* group, char const* name, std::size_t count) {
  json::value const& table = strings()[group][name];
  EXPECT_EQ(table.size(), count) << group << '/' << name;
  return table.elements();
}

TEST(HostileConnectionStrings, GoodOnesAreRead) {
  for (auto const& row : rows("connection_strings", "ok", 4)) {
    std::string const text = text_of(row["s"]);
    bool const device = text.find("DeviceId=") != std::string::npos;
    auto const parsed = device ? parse_device_connection_string(text) : parse_service_connection_string(text);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->print().reveal().size(), text.size());
  }
}

TEST(HostileConnectionStrings, BadOnesAreRefusedWithoutEchoingTheKey) {
  for (auto const& row : rows("connection_strings", "refuse", 21)) {
    std::string const text = text_of(row["s"]);
    auto const parsed = parse_device_connection_string(text);
    ASSERT_FALSE(parsed) << row["why"].dump();
    EXPECT_EQ(parsed.error(), errc::malformed);
    EXPECT_EQ(parsed.error().message().find("AAECAwQF"), std::string_view::npos);
    EXPECT_LT(parsed.error().message().size(), 200u);
  }
}

TEST(HostileTopics, GoodOnesAreKnown) {
  auto const d1 = device_topics::make({"d1"}).value();
  for (auto const& row : rows("topics", "inbound_ok", 5))
    EXPECT_NE(d1.classify(text_of(row)).kind, inbound_kind::unknown) << row.dump();
}

TEST(HostileTopics, BadOnesAreUnknownOrHaveABadBag) {
  auto const d1 = device_topics::make({"d1"}).value();
  for (auto const& row : rows("topics", "inbound_hostile", 22)) {
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
  for (auto const& row : rows("topics", "method_names_hostile", 12)) {
    auto const name = text_of(row);
    if (!is_valid_method_name(name)) continue;
    EXPECT_TRUE(name == "%2F" || name == "%00") << name;  // literal: nothing decodes them
    std::string topic;
    append_method_request_topic(topic, name, "1");
    EXPECT_EQ(device_topics::make({"d1"}).value().classify(topic).name, name);
  }
}

TEST(HostileTopics, PropertyNamesAreRefusedOrComeBackTheSame) {
  for (auto const& row : rows("topics", "property_names_hostile", 5)) {
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
  for (auto const& row : rows("topics", "device_ids_hostile", 21)) {
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
  for (auto const& row : rows("topics", "etags_hostile", 5)) {
    auto const tag = text_of(row);
    auto const read = read_if_match(tag);
    bool const any = tag == "*" || tag == "\"*\"";
    bool const injected = tag.find('\n') != std::string::npos;  // no tag of the hub's has a line break
    EXPECT_EQ(read.kind, any ? if_match_kind::any : injected ? if_match_kind::exact : if_match_kind::none) << tag;
    EXPECT_EQ(read.met_by("MQ=="), !injected);
  }
}

TEST(HostileJson, TwinNamesThatMeanSomethingElsewhere) {
  for (auto const& row : rows("json", "keys_hostile", 3)) {
    json::value patch = json::value::make_object();
    patch.set(text_of(row), 1);
    EXPECT_EQ(check_twin_patch(patch).has_value(), text_of(row) != "$metadata") << row.dump();
  }
}

TEST(HostileJson, NumbersAreKeptOrRefusedAndTwinsTakeWhatTheyHold) {
  struct outcome {
    char const* text;
    char const* printed;  // nothing: no JSON
    bool in_twin = false;
  };
  outcome const all[] = {{"-1e309", nullptr},          {"0.1", "0.1", true},
                         {"-0", "-0.0", true},         {"-4503599627370497", "-4503599627370497", false},
                         {"18446744073709551616", "18446744073709551616.0", true},
                         {"1E+2", "100.0", true},      {"Infinity", nullptr},
                         {"01", nullptr},              {"+1", nullptr}};
  auto expected = std::begin(all);
  for (auto const& row : rows("json", "numbers", std::size(all))) {
    SCOPED_TRACE(text_of(row));
    ASSERT_EQ(text_of(row), expected->text);
    auto const read = json::parse(text_of(row));
    ASSERT_EQ(read.has_value(), expected->printed != nullptr);
    if (read) {
      EXPECT_EQ(read->dump(), expected->printed);
      EXPECT_EQ(json::parse(read->dump()).value(), *read);
      EXPECT_EQ(check_twin_patch({{"n", *read}}).has_value(), expected->in_twin);
    }
    ++expected;
  }
}

TEST(HostileJson, AnObjectOfManyKeysIsReadAndEachIsFound) {
  auto const count = strings()["json"]["keys"][0]["n"].as_int().value();
  ASSERT_EQ(count, 200'000);
  std::string text = "{";
  for (std::int64_t i = 0; i != count; ++i) text += "\"k" + std::to_string(i * 7919 % count) + "\":" + std::to_string(i) + ",";
  text.back() = '}';
  auto const read = json::parse(text, {.max_size = 1u << 26}).value();
  EXPECT_EQ(read.size(), static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; i += 997) EXPECT_EQ(read["k" + std::to_string(i * 7919 % count)], i);
  EXPECT_FALSE(twin_size_allowed(0, twin_section_size(read), twin_rules{}.max_section_size));
}

TEST(HostileJson, TheLimitsOfTwinsAreTheDocumentedOnes) {
  json::value const& documented = strings()["json"]["twin_limits"];
  twin_rules const ours;
  EXPECT_EQ(documented.size(), 9u);
  EXPECT_EQ(documented["tags"], static_cast<std::int64_t>(ours.max_size(twin_part::tags)));
  EXPECT_EQ(documented["desired"], static_cast<std::int64_t>(ours.max_size(twin_part::desired)));
  EXPECT_EQ(documented["reported"], static_cast<std::int64_t>(ours.max_size(twin_part::reported)));
  EXPECT_EQ(documented["depth"], static_cast<std::int64_t>(ours.max_depth));
  EXPECT_EQ(documented["name"], static_cast<std::int64_t>(ours.max_name_size));
  EXPECT_EQ(documented["string"], static_cast<std::int64_t>(ours.max_string_size));
  EXPECT_EQ(documented["min_integer"], ours.min_integer);
  EXPECT_EQ(documented["max_integer"], ours.max_integer);
}

// Short ones and such as would be taken for their length alone, with the limit out of the way, too.
TEST(HostileQueries, AreReadOrRefusedWithTheirPlace) {
  struct outcome {
    char const* begins;
    bool good;
    char const* why = "";         // ... it is refused
    char const* why_however = ""; // ... where any length goes
  };
  constexpr auto too_long = "The query has more than 8192 characters";
  outcome const all[] = {
      {"SELECT * FROM", false, "at character 14: devices"},
      {"SELECT * FROM devices", true},
      {"SELECT * FROM devices WHERE ((", false, too_long, "too deep"},
      {"SELECT * FROM devices WHERE tags.x = '", false, "at character 38: a string does not end"},
      {"SELECT * FROM devices WHERE a=1 AND", false, too_long, "at character 61: a value expected"},
      {"SELECT c0,c1", false, too_long, "at character 28910: a name expected"},
      {"select * from DEVICES", true},
      {"SELECT * FROM devices WHERE a = 1e999", false, "at character 33: not a number"},
      {"SELECT * FROM devices WHERE a = 99999999999999999999", true},
      {"SELECT * FROM devices; DROP TABLE devices", false, "at character 22: unexpected character"},
  };
  hub::limits any_length;
  any_length.query_text = 1 << 20;
  json::value const& table = strings()["queries"];
  ASSERT_EQ(table.size(), std::size(all));
  auto expected = std::begin(all);
  for (auto const& row : table.elements()) {
    std::string const text = text_of(row);
    SCOPED_TRACE(text.substr(0, 60));
    EXPECT_TRUE(text.starts_with(expected->begins));
    auto const read = hub::parse_query(text), however = hub::parse_query(text, any_length);
    EXPECT_EQ(read.has_value(), expected->good);
    if (!read) {
      EXPECT_NE(read.error().message().find(expected->why), std::string_view::npos) << read.error().message();
      EXPECT_EQ(read.error().code(), errc::bad_request);
    }
    if (*expected->why_however != '\0') {
      ASSERT_FALSE(however);
      EXPECT_NE(however.error().message().find(expected->why_however), std::string_view::npos) << however.error().message();
    }
    ++expected;
  }
}

// What the end-to-end tests of the official SDKs ask a hub for: each word of theirs is understood, and no other.
TEST(FaultOperations, OfTheOfficialSdksAreAllUnderstood) {
  auto const known = iothub_test::load("hub_fault_operations.json");
  ASSERT_EQ(known["types"].size(), 16u);
  ASSERT_EQ(known["application_properties"].size(), 4u);
  ASSERT_EQ(known["no_disconnect"].size(), 3u);
  auto const name = [&](std::size_t i) { return *known["application_properties"][i].as_string(); };
  std::string const delay = known["default_delay_s"].dump(), lasting = known["default_duration_s"].dump();
  std::set<hub::link_part> parts;
  for (auto const& each : known["types"].elements()) {
    std::string_view const type = *each.as_string();
    hub::property_view const asked[] = {{name(0), type}, {name(1), "byebye"}, {name(2), delay}, {name(3), lasting}};
    auto const found = hub::find_requested_fault(asked);
    bool stays = false;
    for (auto const& kind : known["no_disconnect"].elements()) stays = stays || kind == each;
    EXPECT_NE(found.kind, hub::requested_kind::none) << type;
    EXPECT_EQ(found.kind != hub::requested_kind::end_connection, stays) << type;
    EXPECT_EQ(found.delay, std::chrono::seconds{2}) << type;
    EXPECT_EQ(found.lasting, std::chrono::seconds{5}) << type;
    bool const of_a_link = type.starts_with("KillAmqp") && type != "KillAmqpConnection";
    EXPECT_EQ(found.part != hub::link_part::connection, of_a_link) << type;
    if (of_a_link) parts.insert(found.part);
  }
  EXPECT_EQ(parts.size(), 9u);  // each has its own
  hub::property_view const other[] = {{name(0), "InvokeSomething"}};
  EXPECT_EQ(hub::find_requested_fault(other).kind, hub::requested_kind::none);
}

}  // namespace
