// Telemetry and the event log; faults.
#include "hub_world.hpp"

namespace {

using namespace hub_test;

struct telemetry_world : world {
  recording_link link;
  explicit telemetry_world(ih::options o = plain_options()) : world{std::move(o)} {
    create("d1");
    connect(link, "d1");
  }
  ~telemetry_world() { hub.disconnect(link, ih::ending::graceful, at); }
  iothub::result<ih::receipt> send(std::string_view body, std::vector<ih::property_view> properties = {}) {
    ih::d2c_message m;
    m.body = body;
    m.properties = properties;
    return hub.send_telemetry(link, m, at);
  }
};

TEST(HubTelemetry, AnEventShowsAllThatWasSentAndWhatTheHubAdds) {
  telemetry_world w;
  ih::connect_options how;
  how.model_id = "dtmi:x;1";
  recording_link link;
  ASSERT_TRUE(w.hub.connect(link, {"d1", {}}, {ih::auth_scope::hub, iothub::utc_time::max(), {}}, how, w.at).has_value());
  w.advance(seconds{2});
  ih::property_view const properties[] = {{"temperatureAlert", "true", true}, {"empty", "", true}, {"bare", "", false}};
  ih::d2c_message m;
  m.body = std::string_view{"{\0}", 3};
  m.properties = properties;
  m.message_id = "mid";
  m.correlation_id = "cid";
  m.user_id = "uid";
  m.content_type = "application/json";
  m.content_encoding = "utf-8";
  m.to = "somewhere";
  m.output_name = "out";
  m.component_name = "thermostat";
  m.interface_id = "urn:x";
  m.creation_time = start;
  m.expiry_time = start + seconds{60};
  ASSERT_TRUE(w.hub.send_telemetry(link, m, w.at).has_value());

  iothub::telemetry_event expected;
  expected.source = {"d1", {}};
  expected.content.body = iothub::message_body{std::string{"{\0}", 3}};
  expected.content.properties = {{"temperatureAlert", "true", true}, {"empty", "", true}, {"bare", "", false}};
  expected.content.message_id = "mid";
  expected.content.correlation_id = "cid";
  expected.content.user_id = "uid";
  expected.content.content_type = "application/json";
  expected.content.content_encoding = "utf-8";
  expected.content.to = "somewhere";
  expected.content.output_name = "out";
  expected.content.component_name = "thermostat";
  expected.content.interface_id = "urn:x";
  expected.content.creation_time = start;
  expected.content.expiry_time = start + seconds{60};
  auto const events = w.hub.events().all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].source, expected.source);
  EXPECT_EQ(events[0].content, expected.content);
  EXPECT_EQ(events[0].enqueued_time, start + seconds{2});
  EXPECT_EQ(events[0].generation_id, w.hub.get_identity({"d1", {}}).value().generation_id);
  EXPECT_EQ(events[0].auth_method, R"({"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})");
  EXPECT_EQ(events[0].model_id, "dtmi:x;1");
  EXPECT_EQ(events[0].message_source, "Telemetry");
  EXPECT_EQ(w.hub.get_identity({"d1", {}}).value().last_activity_time, start + seconds{2});
}

TEST(HubTelemetry, AMessageHas256KilobytesOfBodyAndProperties) {
  telemetry_world w;
  std::string const most(262'144, 'x');
  EXPECT_TRUE(w.send(most).has_value());
  EXPECT_TRUE(w.send(std::string_view{most}.substr(2), {{"a", "b", true}}).has_value());
  auto const refused = w.send(std::string_view{most}.substr(1), {{"a", "b", true}});
  EXPECT_EQ(refused.error().code(), errc::too_large);
  EXPECT_EQ(refused.error().hub_code(), 413001);
  EXPECT_TRUE(w.link.attached());
}

TEST(HubTelemetry, WithoutAConnectionTheIdentityIsChecked) {
  telemetry_world w;
  ih::d2c_message m;
  EXPECT_TRUE(w.hub.send_telemetry({"d1", {}}, {}, m, w.at).has_value());
  EXPECT_EQ(hub_code(w.hub.send_telemetry({"d2", {}}, {}, m, w.at)), 404001);
  auto d = w.hub.get_identity({"d1", {}}).value();
  d.status = iothub::identity_status::disabled;
  w.hub.put_identity(d, ih::unconditional, w.at).value();
  EXPECT_EQ(hub_code(w.hub.send_telemetry({"d1", {}}, {}, m, w.at)), 403012);
}

TEST(HubEventLog, ADeviceKeepsToOnePartitionAndAllKeepsTheOrderOfArrival) {
  world w;
  std::vector<std::unique_ptr<recording_link>> links;
  std::vector<std::string> sent;
  for (int i = 0; i != 8; ++i) {
    w.create("d" + std::to_string(i));
    links.push_back(std::make_unique<recording_link>());
    w.connect(*links.back(), "d" + std::to_string(i));
  }
  for (int i = 0; i != 40; ++i) {
    sent.push_back("m" + std::to_string(i));
    ih::d2c_message m;
    m.body = sent.back();
    ASSERT_TRUE(w.hub.send_telemetry(*links[static_cast<std::size_t>(i % 8)], m, w.at).has_value());
  }
  std::vector<std::string> seen;
  std::vector<std::uint64_t> next(4, 0);
  for (auto const& e : w.hub.events().all()) {
    seen.emplace_back(e.content.body.bytes());
    EXPECT_EQ(e.partition, w.hub.events().partition_of(e.source.device_id));
    EXPECT_EQ(e.sequence_number, next.at(e.partition)++);
  }
  EXPECT_EQ(seen, sent);
}

ih::d2c_message body(std::string_view text) {
  ih::d2c_message m;
  m.body = text;
  return m;
}

TEST(HubEventLog, RetentionByCountDropsTheOldest) {
  ih::event_log log{{1, 3, 1u << 20}};
  for (std::string_view t : {"a", "b", "c", "d", "e"}) log.append(0, {}, body(t), start);
  EXPECT_EQ(log.first(0), 2u);
  EXPECT_EQ(log.next(0), 5u);
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(log.appended(), 5u);
  std::string seen;
  EXPECT_EQ(log.read(0, 0, 10, [&](ih::event_view const& e) { seen += e.body(); }), 5u);
  EXPECT_EQ(seen, "cde");
}

TEST(HubEventLog, RetentionByBytesDropsTheOldestAndKeepsTheLast) {
  ih::event_log log{{1, 1000, 1}};
  for (std::string_view t : {"a", "b"}) log.append(0, {}, body(t), start);
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.all()[0].content.body.bytes(), "b");
}

TEST(HubEventLog, ReadsGoOnWhereTheyStoppedOverManyChunks) {
  ih::event_log log{{1, 100'000, 64u << 20}};
  std::string const filler(700, 'x');
  for (int i = 0; i != 500; ++i) log.append(0, {}, body(filler + std::to_string(i)), start);
  std::uint64_t at = 0;
  int expected = 0;
  while (at != log.next(0))
    at = log.read(0, at, 7, [&](ih::event_view const& e) {
      EXPECT_EQ(e.sequence_number(), static_cast<std::uint64_t>(expected));
      EXPECT_EQ(e.body(), filler + std::to_string(expected++));
    });
  EXPECT_EQ(expected, 500);
  EXPECT_EQ(log.read(0, 321, 1, [](ih::event_view const& e) { EXPECT_EQ(e.sequence_number(), 321u); }), 322u);
  EXPECT_EQ(log.read(0, 500, 1, [](ih::event_view const&) { FAIL(); }), 500u);
}

TEST(HubEventLog, ChunksAreUsedAgainUnderRetention) {
  ih::event_log log{{1, 100, 64u << 20}};
  std::string const filler(2000, 'x');
  for (int i = 0; i != 2000; ++i) log.append(0, {}, body(filler), start);
  log.append(0, {}, body(std::string(200'000, 'y')), start);  // larger than a chunk
  for (int i = 0; i != 99; ++i) log.append(0, {}, body(filler), start);
  EXPECT_EQ(log.size(), 100u);
  EXPECT_EQ(log.all()[0].content.body.size(), 200'000u);
}

TEST(HubEventLog, TheObserverSeesEachEvent) {
  telemetry_world w;
  std::string seen;
  w.hub.events().observe([&](ih::event_view const& e) { seen.append(e.device_id()).append(":").append(e.body()); });
  w.send("x").value();
  w.hub.events().observe(nullptr);
  w.send("y").value();
  EXPECT_EQ(seen, "d1:x");
}

TEST(HubEventLog, PartitionsFollowAFixedHash) {
  ih::event_log const log{{4, 1, 1}};
  // FNV-1a, 32 bits, of "" and of "a".
  EXPECT_EQ(log.partition_of(""), 0x811c9dc5u % 4);
  EXPECT_EQ(log.partition_of("a"), 0xe40c292cu % 4);
  EXPECT_EQ((ih::event_log{{0, 1, 1}}.partitions()), 1u);
}

}  // namespace
