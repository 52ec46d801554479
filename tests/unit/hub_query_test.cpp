// The query language over the twins of a small fleet (Microsoft docs: iot-hub-devguide-query-language).
#include "hub_world.hpp"

namespace {

using namespace hub_test;

struct fleet : world {
  fleet() {
    add("d1", R"({"floor":1,"site":"a","group":"g"})", R"({"x":1,"on":true})", R"({"temp":20,"name":"one"})");
    add("d2", R"({"floor":2,"site":"b"})", R"({"x":2.5,"on":false,"n":null})", R"({"temp":30,"deep":{"v":"p-1"}})");
    add("d3", "{}", "{}", R"({"temp":"warm"})");
    create("d1", "m1");
  }
  void add(std::string id, std::string_view tags, std::string_view desired, std::string_view reported) {
    create(id);
    value const t = parse(tags), d = parse(desired);
    hub.patch_twin({id, {}}, {&t, &d}, ih::unconditional, at).value();
    recording_link link;
    connect(link, id);
    hub.patch_reported(link, parse(reported), {}, at).value();
    hub.disconnect(link, ih::ending::graceful, at);
  }
  iothub::query_page run(std::string_view text, std::size_t size = 0, std::string_view continuation = {}) {
    auto page = hub.query(text, size, continuation);
    EXPECT_TRUE(page.has_value()) << text << ": " << text_of(page);
    return page ? std::move(*page) : iothub::query_page{};
  }
  std::string rows(std::string_view text) {
    std::string out;
    for (auto const& item : run(text).items) out += item.dump();
    return out;
  }
  // The ids, one letter each, that a condition selects.
  std::string where(std::string_view condition) {
    std::string out;
    for (auto const& item : run("SELECT deviceId FROM devices WHERE " + std::string{condition}).items)
      out += item["deviceId"].as_string()->substr(1);
    return out;
  }
};

TEST(HubQuery, ConditionsSelect) {
  fleet f;
  struct row {
    std::string_view condition;
    std::string_view selected;
  };
  constexpr row rows[] = {
      // numbers
      {"tags.floor = 1", "1"},
      {"tags.floor != 1", "2"},
      {"tags.floor <> 1", "2"},
      {"tags.floor < 2", "1"},
      {"tags.floor > 1", "2"},
      {"tags.floor <= 2", "12"},
      {"tags.floor >= 2", "2"},
      {"properties.desired.x = 2.5", "2"},
      {"properties.desired.x = 1.0", "1"},
      {"tags.floor = 0x2", "2"},
      {"tags.floor = -1", ""},
      // strings, in both quotes, by their bytes
      {"tags.site = 'a'", "1"},
      {"tags.site = \"b\"", "2"},
      {"tags.site > 'a'", "2"},
      {"properties.reported.name = '\\u006fne'", "1"},
      {"tags.site = 'A'", ""},
      // booleans and null
      {"properties.desired.on = true", "1"},
      {"properties.desired.on", "1"},
      {"properties.desired.on != true", "2"},
      {"properties.desired.on > false", "1"},
      {"null = null", "123"},
      {"null < null", ""},
      {"tags.site != null", "12"},
      {"tags.floor = null", ""},
      // kinds do not mix
      {"properties.reported.temp > 10", "12"},
      {"properties.reported.temp = 'warm'", "3"},
      {"properties.reported.temp != 'warm'", "12"},
      {"tags.floor = '1'", ""},
      {"true = 1", ""},
      // what is not there is undefined, and compares with nothing
      {"tags.nothing = 1", ""},
      {"tags.nothing != 1", ""},
      {"tags.nothing", ""},
      {"undefined = undefined", ""},
      {"tags.site.deeper = 1", ""},
      // only true selects
      {"1", ""},
      {"'true'", ""},
      {"null", ""},
      {"undefined", ""},
      {"tags", ""},
      {"true", "123"},
      // objects do not compare
      {"tags = tags", ""},
      {"properties.reported.deep != 1", ""},
      // logic and its precedence: NOT, then AND, then OR
      {"tags.floor = 1 OR tags.floor = 2", "12"},
      {"tags.floor = 1 AND tags.site = 'a'", "1"},
      {"tags.floor = 1 AND tags.site = 'b'", ""},
      {"NOT tags.floor = 1", "23"},
      {"NOT tags.floor = 1 AND tags.floor = 2", "2"},
      {"NOT (tags.floor = 1 OR tags.floor = 2)", "3"},
      {"true OR false AND false", "123"},
      {"(true OR false) AND false", ""},
      {"NOT NOT true", "123"},
      {"NOT 1", ""},
      // lists
      {"tags.site IN ['a', 'c']", "1"},
      {"tags.site NIN ['a', 'c']", "2"},
      {"tags.floor IN [1, -2, 0x2]", "12"},
      {"tags.floor IN []", ""},
      {"tags.nothing NIN [1]", ""},
      {"properties.desired.on IN [true, null]", "1"},
      {"tags.floor IN ['1']", ""},
      // functions
      {"IS_DEFINED(tags.floor)", "12"},
      {"is_defined(tags.nothing)", ""},
      {"NOT IS_DEFINED(tags.site)", "3"},
      {"IS_DEFINED(DeviceId)", "123"},
      {"STARTSWITH(properties.reported.deep.v, 'p-')", "2"},
      {"startswith(deviceId, 'd')", "123"},
      {"ENDSWITH(deviceId, '3')", "3"},
      {"STARTSWITH(tags.floor, '1')", ""},
      // arithmetic
      {"tags.floor + 1 = 2", "1"},
      {"tags.floor * 2 - 1 = 3", "2"},
      {"tags.floor / 2 = 0.5", "1"},
      {"5 % 2 = tags.floor", "1"},
      {"-tags.floor < -1", "2"},
      {"2 + 3 * 2 = 8", "123"},
      {"(2 + 3) * 2 = 10", "123"},
      {"1 / 0 = 1", ""},
      {"tags.site + 1 = 2", ""},
      {"9223372036854775807 + 1 > 0", "123"},
      {"7 % -1 = 0", "123"},
      {"7.5 % 2 = 1.5", "123"},
      {"7.5 - 2 = 5.5", "123"},
      {"1.5 * 2 = 3", "123"},
      {"7 / -1 = -7", "123"},
      {"6 / 2 = 3", "123"},
      {"7 % 0 = 0", ""},
      {"1e308 * 10 > 0", ""},
      {"1 + 'a' = 1", ""},
      {"1 + tags.nothing = 1", ""},
      {"2.5 + 1 = 3.5", "123"},
      {"-tags.nothing = 1", ""},
      {"NOT tags.nothing", ""},
      {"tags.floor = tags", ""},
      {"tags.floor NIN ['1']", "12"},
      {"tags IN [1]", ""},
      {"tags.floor IN [-1.5, 1e0]", "1"},
      {"STARTSWITH(deviceId, 1)", ""},
      {"STARTSWITH(deviceId, tags.nothing)", ""},
      {"ENDSWITH(tags.nothing, 'x')", ""},
      {"tags.floor = .5e1 - 4", "1"},
      {"tags.floor = 10e-1", "1"},
      {"tags.floor = 1e+0", "1"},
      {"99999999999999999999 > 1", "123"},
      {"properties.reported.name = '\\u006Fne'", "1"},
      {"'\\ud83d\\ude00' = '\xF0\x9F\x98\x80' AND '\\u00e9' = '\xC3\xA9' AND '\\u20ac' = '\xE2\x82\xAC'", "123"},
      // names
      {"DEVICEID = 'd1'", "1"},
      {"TAGS.floor = 1", "1"},
      {"tags.Floor = 1", ""},
      {"tags.[[group]] = 'g'", "1"},
      {"[[tags]].[[floor]] = 1", "1"},
      {"properties.desired.$version = 2", "123"},
      {"properties.reported.$metadata.temp.$lastUpdated >= '2024-01-01'", "123"},
      {"capabilities.iotEdge = false", "123"},
      {"status = 'enabled' AND connectionState = 'Disconnected'", "123"},
      {"cloudToDeviceMessageCount = 0 AND version = 3 AND authenticationType = 'sas'", "123"},
      {"x509Thumbprint.primaryThumbprint = null", "123"},
      {"lastActivityTime > '2023-12-31T00:00:00Z'", "123"},
      {"moduleId = 'm1'", ""},
      {"etag = 'AAAAAAAAAAI='", "123"},
      {"IS_DEFINED(deviceEtag) AND IS_DEFINED(statusUpdateTime) AND IS_DEFINED(lastActivityTime)", "123"},
      {"IS_DEFINED(statusReason) OR IS_DEFINED(modelId) OR IS_DEFINED(deviceScope) OR IS_DEFINED(parentScopes)", ""},
      {"IS_DEFINED(properties) AND IS_DEFINED(properties.reported) AND NOT IS_DEFINED(properties.other)", "123"},
      {"IS_DEFINED(properties.desired.$version.x)", ""},
      {"IS_DEFINED(properties.desired.$metadata.none)", ""},
      {"IS_DEFINED(statusReason.x) OR IS_DEFINED(deviceId.x)", ""},
      {"IS_DEFINED(anything)", ""},
      {"IS_DEFINED(tags)", "12"},
  };
  for (auto const& r : rows) EXPECT_EQ(f.where(r.condition), r.selected) << r.condition;
}

TEST(HubQuery, EveryFieldOfATwinCanBeSelected) {
  fleet f;
  iothub::device_identity wanted;
  wanted.device_id = "edge";
  wanted.iot_edge = true;
  wanted.status = iothub::identity_status::disabled;
  wanted.status_reason = "broken";
  wanted.parent_scopes = {"ms-azure-iot-edge://up"};
  auto const made = f.hub.put_identity(wanted, {}, f.at);
  ASSERT_TRUE(made.has_value()) << text_of(made);
  auto const rows = f.run("SELECT status, statusReason, deviceScope, parentScopes, capabilities.iotEdge, properties FROM devices "
                          "WHERE deviceId = 'edge'").items;
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["status"], "disabled");
  EXPECT_EQ(rows[0]["statusReason"], "broken");
  EXPECT_EQ(rows[0]["parentScopes"], parse(R"(["ms-azure-iot-edge://up"])"));
  EXPECT_EQ(rows[0]["iotEdge"], true);
  EXPECT_EQ(rows[0]["properties"]["desired"]["$version"], 1);
  EXPECT_NE(rows[0]["deviceScope"], "");
}

TEST(HubQuery, AConnectedDeviceIsOneAndItsMessagesAreCounted) {
  fleet f;
  recording_link link;
  f.connect(link, "d1");
  EXPECT_EQ(f.where("connectionState = 'Connected'"), "1");
  iothub::hub::c2d_send m;
  m.content.message_id = "m";
  f.hub.send_c2d("d2", m, f.at).value();
  EXPECT_EQ(f.where("cloudToDeviceMessageCount = 1"), "2");
}

TEST(HubQuery, AggregatesOfMixedNumbers) {
  fleet f;
  f.add("d4", R"({"floor":-1.5})", "{}", "{}");
  EXPECT_EQ(f.rows("SELECT SUM(tags.floor) AS s, MIN(tags.floor) AS l, MAX(tags.floor) AS h FROM devices"),
            R"({"s":1.5,"l":-1.5,"h":2})");
  EXPECT_EQ(f.rows("SELECT MIN(tags.nothing) AS l, SUM(tags.nothing) AS s, COUNT() AS n FROM devices"), R"({"n":4})");
}

TEST(HubQuery, TakesOnlyContinuationsOfItsOwn) {
  fleet f;
  auto const page = f.run("SELECT deviceId FROM devices", 1);
  for (std::string const& other : {std::string{"%%%"}, iothub::to_base64("x"), iothub::to_base64("1\n2"), iothub::to_base64("1\nx\ny"),
                                   page.continuation + "AAAA"}) {
    auto const refused = f.hub.query("SELECT deviceId FROM devices", 1, other);
    ASSERT_FALSE(refused.has_value()) << other;
    EXPECT_EQ(refused.error(), errc::bad_request);
  }
  EXPECT_FALSE(f.hub.query("SELECT tags FROM devices", 1, page.continuation).has_value());
}

TEST(HubQuery, SelectEverythingGivesWholeTwins) {
  fleet f;
  auto const page = f.run("SELECT * FROM devices WHERE deviceId = 'd1'");
  EXPECT_EQ(page.item_type, "Twin");
  ASSERT_EQ(page.items.size(), 1u);
  auto const& t = page.items[0];
  EXPECT_EQ(t["deviceId"], "d1");
  EXPECT_EQ(t["etag"], "AAAAAAAAAAI=");
  EXPECT_EQ(t["version"], 3);
  EXPECT_EQ(t["tags"], parse(R"({"floor":1,"site":"a","group":"g"})"));
  EXPECT_EQ(t["properties"]["desired"]["$version"], 2);
  EXPECT_EQ(t["properties"]["reported"]["temp"], 20);
  EXPECT_EQ(t["statusUpdateTime"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(t["capabilities"], parse(R"({"iotEdge":false})"));
  EXPECT_EQ(t.find("moduleId"), nullptr);
  std::string order;
  for (auto const& m : t.members()) order.append(m.key()).append(" ");
  EXPECT_EQ(order,
            "deviceId etag deviceEtag status statusUpdateTime connectionState lastActivityTime "
            "cloudToDeviceMessageCount authenticationType x509Thumbprint version tags properties capabilities ");
}

TEST(HubQuery, ModulesAreASourceOfTheirOwn) {
  fleet f;
  EXPECT_EQ(f.rows("SELECT deviceId, moduleId FROM devices.modules"), R"({"deviceId":"d1","moduleId":"m1"})");
  EXPECT_EQ(f.run("SELECT * FROM devices.modules").items[0].find("capabilities"), nullptr);
}

TEST(HubQuery, SaysThatThereAreNoJobs) {
  fleet f;
  auto const page = f.hub.query("SELECT * FROM devices.jobs WHERE devices.jobs.status = 'x'", 0, {});
  ASSERT_FALSE(page.has_value());
  EXPECT_EQ(page.error().code(), errc::unsupported);
  EXPECT_EQ(page.error().hub_code(), 404013);
}

TEST(HubQuery, ProjectionsUseCanonicalNamesOrAliasesAndOmitWhatIsMissing) {
  fleet f;
  EXPECT_EQ(f.run("SELECT deviceId FROM devices").item_type, "Raw");
  EXPECT_EQ(f.rows("select DeviceID, tags.floor as level, properties.desired.x FROM devices"),
            R"({"deviceId":"d1","level":1,"x":1}{"deviceId":"d2","level":2,"x":2.5}{"deviceId":"d3"})");
  EXPECT_EQ(f.rows("SELECT tags.site AS [[a b]] FROM devices WHERE tags.floor = 1"), R"({"a b":"a"})");
  EXPECT_EQ(f.rows("SELECT tags FROM devices WHERE tags.floor = 2"), R"({"tags":{"floor":2,"site":"b"}})");
}

TEST(HubQuery, AggregatesCountAndIgnoreWhatIsNoNumber) {
  fleet f;
  EXPECT_EQ(f.rows("SELECT COUNT() AS n FROM devices"), R"({"n":3})");
  EXPECT_EQ(f.rows("SELECT COUNT() AS n FROM devices WHERE false"), R"({"n":0})");
  EXPECT_EQ(f.rows("SELECT SUM(properties.reported.temp) AS s, AVG(properties.reported.temp) AS a, "
                   "MIN(properties.reported.temp) AS l, MAX(properties.reported.temp) AS h FROM devices"),
            R"({"s":50,"a":25.0,"l":20,"h":30})");
  EXPECT_EQ(f.rows("SELECT AVG(tags.nothing) AS a, COUNT() FROM devices"), R"({"$2":3})");
}

TEST(HubQuery, GroupByCountsPerValue) {
  fleet f;
  f.add("d4", R"({"floor":1})", "{}", "{}");
  EXPECT_EQ(f.rows("SELECT tags.floor AS floor, COUNT() AS n FROM devices GROUP BY tags.floor"),
            R"({"n":1}{"floor":1,"n":2}{"floor":2,"n":1})");
  EXPECT_EQ(f.rows("SELECT COUNT() AS n FROM devices WHERE false GROUP BY tags.floor"), "");
  auto const page = f.run("SELECT tags.floor AS floor, COUNT() AS n FROM devices GROUP BY tags.floor", 2);
  EXPECT_EQ(page.items.size(), 2u);
  auto const rest = f.run("SELECT tags.floor AS floor, COUNT() AS n FROM devices GROUP BY tags.floor", 2, page.continuation);
  EXPECT_EQ(rest.items.size(), 1u);
  EXPECT_EQ(rest.continuation, "");
}

TEST(HubQuery, PagesEndWithoutAContinuation) {
  fleet f;
  constexpr std::string_view text = "SELECT deviceId FROM devices";
  std::string continuation, seen;
  for (int page = 1; page <= 3; ++page) {
    auto const p = f.run(text, 1, continuation);
    ASSERT_EQ(p.items.size(), 1u);
    seen += *p.items[0]["deviceId"].as_string();
    EXPECT_EQ(p.continuation.empty(), page == 3);
    continuation = p.continuation;
  }
  EXPECT_EQ(seen, "d1d2d3");
}

TEST(HubQuery, PagesStayRightWhenDevicesComeAndGo) {
  fleet f;
  constexpr std::string_view text = "SELECT deviceId FROM devices";
  auto const first = f.run(text, 1);
  ASSERT_TRUE(f.hub.delete_identity({"d1", {}}, {}, f.at).has_value());
  f.create("d0");
  EXPECT_EQ(f.run(text, 1, first.continuation).items[0]["deviceId"], "d2");
}

TEST(HubQuery, PageSizesAreKeptToAThousand) {
  world w;
  for (int i = 0; i != 1001; ++i) w.create("d" + std::to_string(i));
  EXPECT_EQ(w.hub.query("SELECT deviceId FROM devices", 0, {}).value().items.size(), 100u);
  EXPECT_EQ(w.hub.query("SELECT deviceId FROM devices", 5000, {}).value().items.size(), 1000u);
}

TEST(HubQuery, TopLimitsAllPagesTogether) {
  fleet f;
  EXPECT_EQ(f.run("SELECT TOP 2 * FROM devices").items.size(), 2u);
  EXPECT_EQ(f.run("SELECT TOP 0 * FROM devices").items.size(), 0u);
  auto const first = f.run("SELECT TOP 2 deviceId FROM devices", 1);
  auto const second = f.run("SELECT TOP 2 deviceId FROM devices", 1, first.continuation);
  EXPECT_EQ(second.items.size(), 1u);
  EXPECT_EQ(second.continuation, "");
}

TEST(HubQuery, AForeignContinuationIsRefused) {
  fleet f;
  auto const first = f.run("SELECT deviceId FROM devices", 1);
  for (std::string const& bad : {std::string{"x"}, std::string{"MQ=="}, first.continuation.substr(4)})
    EXPECT_EQ(hub_code(f.hub.query("SELECT deviceId FROM devices", 1, bad)), 400004) << bad;
  EXPECT_EQ(hub_code(f.hub.query("SELECT * FROM devices", 1, first.continuation)), 400004);
}

TEST(HubQuery, TheDevicesThatRebootedSinceATimeAreFound) {
  fleet f;
  recording_link link;
  f.connect(link, "d2");
  f.hub.patch_reported(link, parse(R"({"rebootTime":"2024-05-01T10:00:00Z"})"), {}, f.at).value();
  EXPECT_EQ(f.where("properties.reported.rebootTime > '2024-05-01T00:00:00Z'"), "2");
  EXPECT_EQ(f.where("properties.reported.rebootTime > '2024-05-02T00:00:00Z'"), "");
}

}  // namespace
