#include "../../tools/iothub-fake/fixture.hpp"

#include <gtest/gtest.h>

#include <iothub/crypto/seeded.hpp>

#include "../../tools/iothub-fake/log.hpp"

namespace {

using namespace iothub;

class Fixture : public testing::Test {
 protected:
  std::string load(std::string_view text) {
    auto const loaded = iothub_fake::load_fixture(text, hub, at);
    return loaded ? std::to_string(*loaded) : std::string{loaded.error().message()};
  }
  hub::instant at{time_point{std::chrono::hours{1}}, from_unix_seconds(1'704'067'200)};
  hub::policy_security<seeded_crypto> security{seeded_crypto{1}};
  hub::hub_core hub{{}, security};
};

TEST_F(Fixture, MakesDevicesWithAllThatIsSaid) {
  EXPECT_EQ(load(R"({"devices": [
    {"deviceId": "pump-7", "primaryKey": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "status": "disabled",
     "tags": {"plant": "R43"}, "desired": {"interval": 10}},
    {"deviceId": "plain"}]})"),
            "2");
  auto const pump = hub.get_identity({"pump-7", {}}).value();
  EXPECT_EQ(pump.authentication.primary_key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
  EXPECT_EQ(pump.authentication.secondary_key.size(), 44u);
  EXPECT_EQ(pump.status, identity_status::disabled);
  auto const twin = hub.get_twin({"pump-7", {}}).value();
  EXPECT_EQ(twin.tags["plant"], "R43");
  EXPECT_EQ(twin.desired["interval"], 10);
  EXPECT_EQ(hub.get_identity({"plain", {}}).value().authentication.primary_key.size(), 44u);
}

TEST_F(Fixture, MayBeEmpty) {
  EXPECT_EQ(load(R"({"devices": []})"), "0");
}

TEST_F(Fixture, HoldsFileNotificationsThatWaitForABackEnd) {
  EXPECT_EQ(load(R"({"devices": [{"deviceId": "a"}], "fileNotifications": [
    {"deviceId": "a", "blobName": "a/1", "blobUri": "https://x/a/1", "blobSizeInBytes": 9}]})"),
            "1");
  auto const files = hub.take_file_notifications();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0], (hub::file_notification{"a", "https://x/a/1", "a/1", at.utc, 9, at.utc}));
  EXPECT_EQ(load(R"({"devices": [], "fileNotifications": 1})"), "line 1, column 38: fileNotifications is an array");
  std::string const members =
      "a file notification has the texts deviceId, blobName and blobUri, and the number blobSizeInBytes";
  EXPECT_EQ(load(R"({"devices": [], "fileNotifications": [{"size": 1}]})"), "line 1, column 39: " + members);
  EXPECT_EQ(load(R"({"devices": [], "fileNotifications": [{"blobSizeInBytes": -1}]})"), "line 1, column 39: " + members);
  EXPECT_EQ(load(R"({"devices": [], "fileNotifications": [7]})"), "line 1, column 39: a file notification is an object");
  EXPECT_EQ(load(R"({"devices": [], "fileNotifications": [{"deviceId": "b"}]})").substr(0, 20), "line 1, column 39: D");
}

TEST_F(Fixture, SaysInWhichLineAndColumnItIsWrong) {
  EXPECT_EQ(load("{\"devices\": [\n  {\"deviceId\" \"a\"}]}").substr(0, 19), "line 2, column 15: ");
  EXPECT_EQ(load("[]"), "line 1, column 1: the fixture is an object with the member devices");
  EXPECT_EQ(load("{}"), "line 1, column 1: devices is an array");
  EXPECT_EQ(load("{\n \"devces\": []}"), "line 2, column 2: there is no member \"devces\" here");
  EXPECT_EQ(load("{\"devices\":\n {}}"), "line 2, column 2: devices is an array");
  EXPECT_EQ(load("{\"devices\": [\n 7]}"), "line 2, column 2: a device is an object");
  EXPECT_EQ(load("{\"devices\": [{\"x\":[1,{\"]\":2}]},\n  {}]}"), "line 1, column 15: a device has no member \"x\"");
  EXPECT_EQ(load("{\"devices\": [{\"deviceId\":\"a\"},\n  {\"status\": \"enabled\"}]}"),
            "line 2, column 3: the device has no deviceId");
  EXPECT_EQ(load("{\"devices\": [{\"deviceId\": \"b\",\n \"status\": \"off\"}]}"),
            "line 2, column 12: status is enabled or disabled");
  EXPECT_EQ(load("{\"devices\": [{\"deviceId\": \"c\\\"]\", \"tags\": [1]}]}"), "line 1, column 43: tags is an object");
  EXPECT_EQ(load("{\"devices\": [{\"deviceId\": \"\"}]}"), "line 1, column 27: deviceId is a text that is not empty");
}

TEST_F(Fixture, SaysWhatTheHubRefuses) {
  auto const twice = load("{\"devices\": [{\"deviceId\":\"a\"},\n  {\"deviceId\":\"a\"}]}");
  EXPECT_EQ(twice.substr(0, 29), "line 2, column 3: device a: A");
  EXPECT_EQ(load("{\"devices\": [{\"deviceId\":\"b\",\n\"desired\": {\"a.b\": 1}}]}").substr(0, 29),
            "line 2, column 12: device b: ");
  EXPECT_EQ(load("{\"devices\": [{\"deviceId\":\"c\", \"primaryKey\": \"short\"}]}").substr(0, 30),
            "line 1, column 14: device c: A");
}

// --- the log, which shows what came over the network

hub::log_entry entry(std::string_view device, std::string_view reason) {
  return {hub::log_level::warning, {{}, from_unix_seconds(1'704'067'200)}, "refused", device, {}, reason};
}

TEST(FakeLog, WritesAnEntryAsALineOfText) {
  EXPECT_EQ(format_log(entry("pump-7", "token expired by 12 s"), iothub_fake::log_format::text),
            "2024-01-01T00:00:00.000Z warning refused device=\"pump-7\" reason=\"token expired by 12 s\"\n");
}

TEST(FakeLog, WritesAnEntryAsAnObject) {
  auto const line = format_log(entry("pump-7", "token expired by 12 s"), iothub_fake::log_format::json);
  EXPECT_EQ(line,
            "{\"time\":\"2024-01-01T00:00:00.000Z\",\"level\":\"warning\",\"event\":\"refused\","
            "\"device\":\"pump-7\",\"reason\":\"token expired by 12 s\"}\n");
}

TEST(FakeLog, EscapesWhatCouldWriteLinesOrCommands) {
  std::string_view const hostile = "a\n2024 info \x1b[31m\"\\\xff\xc3\xa9";
  EXPECT_EQ(format_log(entry("d", hostile), iothub_fake::log_format::text),
            "2024-01-01T00:00:00.000Z warning refused device=\"d\" "
            "reason=\"a\\x0a2024 info \\x1b[31m\\\"\\\\\\xff\\xc3\\xa9\"\n");
  for (auto const text : {hostile, std::string_view{"caf\xc3\xa9\x7f"}}) {
    auto const line = format_log(entry("d", text), iothub_fake::log_format::json);
    EXPECT_TRUE(json::parse(line)) << line;
    EXPECT_EQ(line.find('\n'), line.size() - 1);
  }
}

TEST(FakeLog, JsonIsPlainAscii) {
  // A C1 control, an override of the direction, a line separator, a character outside of the basic plane, no UTF-8.
  auto const line = format_log(entry("d", "\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xf0\x9f\x98\x80\xff\x7f"),
                               iothub_fake::log_format::json);
  EXPECT_NE(line.find(R"("reason":"\u009b\u202e\u2028\ud83d\ude00\u00ff\u007f"})"), std::string::npos) << line;
}

TEST(FakeLog, ErrorsForPeopleKeepTheirQuotes) {
  std::string line;
  iothub_fake::append_for_people(line, "no \"J\xc3\xbcrgen\" in C:\\ \x1b[31m\xe2\x80\xae\xff\n");
  EXPECT_EQ(line, "no \"J\xc3\xbcrgen\" in C:\\ \\x1b[31m\\xe2\\x80\\xae\\xff\\x0a");
}

TEST(FakeLog, WarningsOfOneReasonAreLimitedInEachSecond) {
  iothub_fake::log_limiter limiter;
  auto at = [](int ms, std::string_view reason) {
    auto e = entry("d", reason);
    e.when.now = time_point{std::chrono::milliseconds{ms}};
    return e;
  };
  int passed = 0;
  for (int i = 0; i != 50; ++i) passed += limiter.admits(at(1000 + i, "token expired by " + std::to_string(i) + " s"));
  EXPECT_EQ(passed, 20);
  EXPECT_TRUE(limiter.admits(at(1100, "unknown device")));
  EXPECT_TRUE(limiter.take_suppressed(time_point{std::chrono::milliseconds{1999}}).empty());
  auto const told = limiter.take_suppressed(time_point{std::chrono::milliseconds{2000}});
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told.begin()->first, "refused: token expired by ");
  EXPECT_EQ(told.begin()->second, 30u);
  EXPECT_TRUE(limiter.admits(at(2000, "token expired by 7 s")));
  auto quiet = at(2000, "");
  quiet.level = hub::log_level::info;
  quiet.event = "created";
  for (int i = 0; i != 50; ++i) EXPECT_TRUE(limiter.admits(quiet));
}

TEST(FakeLog, AReaderThatDoesNotReadStopsNobody) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  iothub_fake::line_writer writer{ends[1]};
  std::string const line(1000, 'x');
  for (int i = 0; i != 1000 && writer.dropped() != 3; ++i) writer.write(line);
  EXPECT_EQ(writer.dropped(), 3u);
  EXPECT_FALSE(writer.ready());
  std::string bytes(1 << 20, ' ');
  EXPECT_GT(::read(ends[0], bytes.data(), bytes.size()), 0);
  EXPECT_TRUE(writer.ready());
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
