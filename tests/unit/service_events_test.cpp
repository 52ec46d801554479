// What surrounds reading events: connection strings, error conditions, who reads what, checkpoints, events as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include <iothub/base/iso8601.hpp>
#include <iothub/file_checkpoint_store.hpp>
#include <iothub/service/event_balance.hpp>
#include <iothub/service/event_message.hpp>
#include <iothub/service/event_reader_options.hpp>
#include <iothub/service/event_source.hpp>
#include <iothub/wire/amqp_conditions.hpp>
#include <iothub/wire/c2d_feedback.hpp>
#include <iothub/wire/event_hub_string.hpp>
#include <iothub/wire/hub_event_text.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// --- connection strings ----------------------------------------------------------------------------------------------

TEST(EventHubString, IsReadInTheFormOfThePortal) {
  auto const s = parse_event_hub_string(
                     "Endpoint=sb://iothub-ns-h-1.servicebus.windows.net/;SharedAccessKeyName=service;"
                     "SharedAccessKey=a2V5PT0=;EntityPath=h")
                     .value();
  EXPECT_EQ(s.host, "iothub-ns-h-1.servicebus.windows.net");
  EXPECT_EQ(s.port, 0);
  EXPECT_EQ(s.entity, "h");
  EXPECT_EQ(s.shared_access_key_name, "service");
  EXPECT_EQ(s.shared_access_key.reveal(), "a2V5PT0=");
  EXPECT_FALSE(s.emulator);
}

TEST(EventHubString, KnowsTheEmulatorAndAPort) {
  auto const s = parse_event_hub_string(
                     "endpoint=sb://localhost:6672;sharedaccesskeyname=x;SharedAccessKey=eA==;EntityPath=h;"
                     "UseDevelopmentEmulator=true;")
                     .value();
  EXPECT_EQ(s.host, "localhost");
  EXPECT_EQ(s.port, 6672);
  EXPECT_TRUE(s.emulator);
}

TEST(EventHubString, SaysWhatIsWrongAndNeverWhatTheKeyIs) {
  auto const wrong = [](std::string_view text) {
    auto const parsed = parse_event_hub_string(text);
    EXPECT_FALSE(parsed.has_value()) << text;
    if (parsed) return std::string{};
    EXPECT_EQ(parsed.error(), errc::malformed);
    EXPECT_THAT(std::string{parsed.error().message()}, Not(HasSubstr("c2VjcmV0")));
    return std::string{parsed.error().message()};
  };
  EXPECT_THAT(wrong(""), HasSubstr("Endpoint is missing"));
  EXPECT_THAT(wrong("Endpoint=https://h/;SharedAccessKeyName=x;SharedAccessKey=c2VjcmV0;EntityPath=h"), HasSubstr("sb://"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;SharedAccessKeyName=x;SharedAccessKey=c2VjcmV0"), HasSubstr("EntityPath"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;SharedAccessKey=c2VjcmV0;EntityPath=h"), HasSubstr("SharedAccessKeyName"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;SharedAccessKeyName=x;EntityPath=h"), HasSubstr("SharedAccessKey"));
  EXPECT_THAT(wrong("Endpoint=sb://h:0/;SharedAccessKeyName=x;SharedAccessKey=c2VjcmV0;EntityPath=h"), HasSubstr("port"));
  EXPECT_THAT(wrong("Endpoint=sb:///;SharedAccessKeyName=x;SharedAccessKey=c2VjcmV0;EntityPath=h"), HasSubstr("host"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;Endpoint=sb://h/;SharedAccessKeyName=x;SharedAccessKey=c2VjcmV0;EntityPath=h"),
              HasSubstr("twice"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;c2VjcmV0;EntityPath=h"), HasSubstr("element 2"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;c2VjcmV0=c2VjcmV0;EntityPath=h"), HasSubstr("element 2"));
  EXPECT_THAT(wrong("Endpoint=sb://h/;SharedAccessKeyName=x;SharedAccessKey=c2VjcmV0;EntityPath=h;"
                    "UseDevelopmentEmulator=maybe"),
              HasSubstr("true or false"));
}

TEST(EventSource, ChoosesByTheKindOfString) {
  event_reader_options const o{.amqps_port = 1, .amqp_port = 2};
  auto const hub = parse_event_source("HostName=h.net;SharedAccessKeyName=x;SharedAccessKey=eA==", o).value();
  EXPECT_EQ(hub.where, (endpoint{"h.net", 1}));
  EXPECT_EQ(hub.entity, "");
  auto const direct = parse_event_source("Endpoint=sb://e/;SharedAccessKeyName=x;SharedAccessKey=eA==;EntityPath=h", o).value();
  EXPECT_EQ(direct.where, (endpoint{"e", 1}));
  EXPECT_EQ(direct.entity, "h");
  auto const plain = parse_event_source("Endpoint=sb://localhost;SharedAccessKeyName=x;SharedAccessKey=eA==;EntityPath=h;"
                                        "UseDevelopmentEmulator=true",
                                        o)
                         .value();
  EXPECT_EQ(plain.where, (endpoint{"localhost", 2}));
  EXPECT_TRUE(plain.plain);
}

// --- conditions --------------------------------------------------------------------------------------------------------

// azure-iot-sdk-node amqp_service_errors.ts and amqp_device_errors.ts; @azure/core-amqp errors.ts.
TEST(AmqpConditions, MeanWhatAzuresClientsMakeOfThem) {
  using enum amqp_side;
  EXPECT_EQ(amqp_errc("amqp:not-found", back_end), errc::device_not_found);
  EXPECT_EQ(amqp_errc("amqp:not-found", event_reader), errc::not_found);
  EXPECT_EQ(amqp_errc("amqp:resource-limit-exceeded", back_end), errc::queue_full);
  EXPECT_EQ(amqp_errc("amqp:resource-limit-exceeded", device), errc::quota_exceeded);
  EXPECT_EQ(amqp_errc("amqp:link:message-size-exceeded", back_end), errc::too_large);
  EXPECT_EQ(amqp_errc("amqp:unauthorized-access", device), errc::unauthorized);
  EXPECT_EQ(amqp_errc("amqp:link:stolen", event_reader), errc::link_stolen);
  EXPECT_EQ(amqp_errc("amqp:link:detach-forced", event_reader), errc::service_unavailable);
  EXPECT_EQ(amqp_errc("com.microsoft:device-container-throttled", back_end), errc::throttled);
  EXPECT_EQ(amqp_errc("com.microsoft:server-busy", event_reader), errc::throttled);
  EXPECT_EQ(amqp_errc("com.microsoft:quota-exceeded", back_end), errc::quota_exceeded);
  EXPECT_EQ(amqp_errc("com.microsoft:message-lock-lost", device), errc::lock_lost);
  EXPECT_EQ(amqp_errc("com.microsoft:timeout", back_end), errc::service_unavailable);
  EXPECT_EQ(amqp_errc("com.microsoft:argument-error", event_reader), errc::bad_request);
  EXPECT_EQ(amqp_errc("com.microsoft:entity-disabled", event_reader), errc::forbidden);
  EXPECT_EQ(amqp_errc("com.example:unheard-of", back_end), errc::server_error);
  EXPECT_EQ(amqp_errc("", back_end), errc::server_error);
}

TEST(AmqpConditions, KeepTheSentenceAndTheTrackingId) {
  auto const e = amqp_error("amqp:not-found", "no such device", amqp_side::back_end, "T-1");
  EXPECT_EQ(e.message(), "no such device (amqp:not-found)");
  EXPECT_EQ(e.tracking_id(), "T-1");
  EXPECT_EQ(amqp_error("amqp:not-found", "", amqp_side::back_end).message(), "amqp:not-found");
}

// --- positions ---------------------------------------------------------------------------------------------------------

// @azure/event-hubs eventPosition.ts, getEventPositionFilter.
TEST(EventPosition, IsTheSelectorOfAzuresReaders) {
  EXPECT_EQ(event_position::earliest().selector(), "amqp.annotation.x-opt-offset > '-1'");
  EXPECT_EQ(event_position::latest().selector(), "amqp.annotation.x-opt-offset > '@latest'");
  EXPECT_EQ(event_position::offset("4711").selector(), "amqp.annotation.x-opt-offset > '4711'");
  EXPECT_EQ(event_position::offset("4711", true).selector(), "amqp.annotation.x-opt-offset >= '4711'");
  EXPECT_EQ(event_position::sequence_number(5, true).selector(), "amqp.annotation.x-opt-sequence-number >= '5'");
  EXPECT_EQ(event_position::enqueued_after(from_unix_seconds(1'650'000'000)).selector(),
            "amqp.annotation.x-opt-enqueued-time > '1650000000000'");
}

// --- messages ----------------------------------------------------------------------------------------------------------

std::string message_bytes(amqp::message_view const& m) {
  byte_buffer out;
  amqp::write_message(m, out);
  return std::string{out.view()};
}

TEST(EventMessage, KeepsAnnotationsThatItDoesNotKnow) {
  auto const annotations = amqp::value::symbol_map({{"x-opt-sequence-number", std::int64_t{7}},
                                                    {"x-opt-offset", "70"},
                                                    {"x-opt-enqueued-time", amqp::value::timestamp(1000)},
                                                    {"x-opt-partition-key", "k"},
                                                    {"number", std::int32_t{5}},
                                                    {"none", amqp::value{}}});
  amqp::message_view m;
  m.message_annotations = annotations.bytes();
  m.body = amqp::body_kind::data;
  m.data = "x";
  hub_event e;
  ASSERT_TRUE(read_event(message_bytes(m), e));
  EXPECT_EQ(e.sequence_number, 7);
  EXPECT_EQ(e.offset, "70");
  EXPECT_EQ(e.enqueued_time, from_unix_seconds(1));
  EXPECT_EQ(e.annotations, (property_list{{"x-opt-partition-key", "k"}, {"number", "5"}, {"none", "", false}}));
}

TEST(EventMessage, TakesBodiesOfOtherKinds) {
  auto const text = amqp::value{"hello"};
  amqp::message_view m;
  m.body = amqp::body_kind::value;
  m.value = text.bytes();
  hub_event e;
  ASSERT_TRUE(read_event(message_bytes(m), e));
  EXPECT_EQ(e.content.body.bytes(), "hello");
  EXPECT_EQ(e.sequence_number, -1);
  EXPECT_FALSE(read_event("no message", e));
}

TEST(EventMessage, ReadsEveryKindOfValueAsText) {
  auto const annotations = amqp::value::symbol_map({{"yes", true},
                                                    {"no", false},
                                                    {"when", amqp::value::timestamp(1500)},
                                                    {"real", 1.5},
                                                    {"big", std::uint64_t{18'446'744'073'709'551'615u}},
                                                    {"iothub-connection-module-id", "m"},
                                                    {"dt-dataschema", "dtmi:a;1"},
                                                    {"dt-subject", "part"},
                                                    {"iothub-interface-id", "i"},
                                                    {"iothub-enqueuedtime", amqp::value::timestamp(2000)}});
  amqp::message_view m;
  m.message_annotations = annotations.bytes();
  m.body = amqp::body_kind::data;
  hub_event e;
  ASSERT_TRUE(read_event(message_bytes(m), e));
  EXPECT_EQ(e.annotations, (property_list{{"yes", "true"},
                                          {"no", "false"},
                                          {"when", "1970-01-01T00:00:01.500Z"},
                                          {"real", "1.5"},
                                          {"big", "18446744073709551615"}}));
  EXPECT_EQ(e.module_id, "m");
  EXPECT_EQ(e.model_id, "dtmi:a;1");
  EXPECT_EQ(e.content.component_name, "part");
  EXPECT_EQ(e.content.interface_id, "i");
  EXPECT_EQ(e.enqueued_time, from_unix_seconds(2));
}

TEST(EventMessage, AnnotationsOfTheWrongKindAreAsIfTheyWereNotThere) {
  auto const annotations = amqp::value::symbol_map({{"x-opt-sequence-number", "seven"},
                                                    {"x-opt-enqueued-time", "noon"},
                                                    {"iothub-enqueuedtime", "noon"},
                                                    {"list", amqp::value::symbol_map({})}});
  amqp::message_view m;
  m.message_annotations = annotations.bytes();
  m.body = amqp::body_kind::data;
  hub_event e;
  ASSERT_TRUE(read_event(message_bytes(m), e));
  EXPECT_EQ(e.sequence_number, -1);
  EXPECT_EQ(e.enqueued_time, no_time);
  EXPECT_EQ(e.annotations, (property_list{{"list", ""}}));
}

TEST(EventMessage, TimesBeyondTheCalendarAreItsEnds) {
  for (auto const& [sent, read] : {std::pair{std::numeric_limits<std::int64_t>::min(), "0001-01-01T00:00:00.000Z"},
                                  std::pair{std::numeric_limits<std::int64_t>::max(), "9999-12-31T23:59:59.999Z"}}) {
    auto const annotations = amqp::value::symbol_map({{"x-opt-enqueued-time", amqp::value::timestamp(sent)}});
    amqp::message_view m;
    m.message_annotations = annotations.bytes();
    m.body = amqp::body_kind::data;
    hub_event e;
    ASSERT_TRUE(read_event(message_bytes(m), e));
    EXPECT_EQ(to_iso8601(e.enqueued_time), read);
  }
}

TEST(EventMessage, OutputAndTimeOfCreationComeAsProperties) {
  auto const properties = amqp::value::string_map({{"iothub-outputname", "out"},
                                                   {"iothub-creation-time-utc", "2024-01-01T00:00:00Z"},
                                                   {"level", "3"}});
  amqp::message_view m;
  m.application_properties = properties.bytes();
  m.body = amqp::body_kind::data;
  hub_event e;
  ASSERT_TRUE(read_event(message_bytes(m), e));
  EXPECT_EQ(e.content.output_name, "out");
  EXPECT_EQ(e.content.creation_time, parse_iso8601("2024-01-01T00:00:00Z").value());
  EXPECT_EQ(e.content.properties, (property_list{{"level", "3"}}));

  auto const nonsense = amqp::value::string_map({{"iothub-creation-time-utc", "noon"}});
  m.application_properties = nonsense.bytes();
  hub_event other;
  ASSERT_TRUE(read_event(message_bytes(m), other));
  EXPECT_FALSE(other.content.creation_time.has_value());
  EXPECT_EQ(other.content.properties, (property_list{{"iothub-creation-time-utc", "noon"}}));
}

TEST(EventText, IsOneLineWhateverADeviceSends) {
  hub_event e;
  e.device_id = "d1";
  e.enqueued_time = from_unix_seconds(1'704'067'200);
  e.message_source = "Telemetry";
  e.content.body = message_body{std::string{"a\nb\x1b[2J"}};
  e.content.properties = {{"k", "v\r"}, {"flag", "", false}};
  EXPECT_EQ(to_line(e), R"(2024-01-01T00:00:00.000Z d1 a\x0ab\x1b[2J k=v\x0d flag)");
  e.content.body = message_body{std::string{"\xff\xfe"}};
  e.content.properties = {};
  EXPECT_EQ(to_line(e), "2024-01-01T00:00:00.000Z d1 <2 bytes>");
}

TEST(EventText, IsADocumentWithTheBodyAsWhatItIs) {
  hub_event e;
  e.device_id = "d1";
  e.partition = "2";
  e.offset = "10";
  e.sequence_number = 3;
  e.enqueued_time = from_unix_seconds(1'704'067'200);
  e.content.body = message_body{R"({"t":1})"};
  e.content.properties = {{"k", "v"}};
  EXPECT_EQ(to_json(e).dump(), R"({"enqueuedTime":"2024-01-01T00:00:00.000Z","deviceId":"d1","partition":"2","offset":"10",)"
                               R"("sequenceNumber":3,"body":{"t":1},"properties":{"k":"v"}})");
  e.content.body = message_body{"plain"};
  EXPECT_EQ(to_json(e)["body"], "plain");
  e.content.body = message_body{std::string{"\xff"}};
  EXPECT_EQ(to_json(e)["bodyBase64"], "/w==");
}

TEST(Feedback, IsReadAsTheDocumentationPrintsIt) {
  auto const all = parse_feedback(R"([{"originalMessageId":"0987654321","enqueuedTimeUtc":"2015-07-28T16:24:48.789Z",
    "statusCode":"Success","description":"Success","deviceId":"123","deviceGenerationId":"abc"},
    {"originalMessageId":"2","statusCode":"deliverycountexceeded"},{"description":"Purged"},{"statusCode":"Eaten"}])")
                       .value();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].original_message_id, "0987654321");
  EXPECT_EQ(all[0].device_id, "123");
  EXPECT_EQ(all[0].device_generation_id, "abc");
  EXPECT_EQ(to_iso8601(all[0].enqueued_time), "2015-07-28T16:24:48.789Z");
  EXPECT_EQ(all[0].status, delivery_status::success);
  EXPECT_EQ(all[1].status, delivery_status::delivery_count_exceeded);
  EXPECT_EQ(all[2].status, delivery_status::purged);
  EXPECT_EQ(all[3].status, delivery_status::unknown);
  EXPECT_EQ(parse_feedback("{}").error(), errc::malformed);
  EXPECT_EQ(parse_feedback("[").error(), errc::malformed);
}

TEST(FileNotification, IsReadAsTheDocumentationPrintsIt) {
  auto const n = parse_file_notification(R"({"deviceId":"mydevice","blobUri":"https://a.net/c/d/blob.jpg",
    "blobName":"d/blob.jpg","lastUpdatedTime":"2016-06-01T21:22:41+00:00","blobSizeInBytes":1234,
    "enqueuedTimeUtc":"2016-06-01T21:22:43.7996883Z"})")
                     .value();
  EXPECT_EQ(n.device_id, "mydevice");
  EXPECT_EQ(n.blob_name, "d/blob.jpg");
  EXPECT_EQ(n.blob_size, 1234);
  EXPECT_EQ(to_iso8601(n.last_updated_time), "2016-06-01T21:22:41.000Z");
  EXPECT_EQ(parse_file_notification("[]").error(), errc::malformed);
}

// --- who reads what ------------------------------------------------------------------------------------------------------

using claims = std::vector<partition_claim>;
std::vector<std::string> const four{"0", "1", "2", "3"};
constexpr utc_time noon = from_unix_seconds(1'704'110'400);

std::string wanted(std::vector<std::string> const& partitions, claims const& there, std::string_view me = "me") {
  std::string text;
  for (auto const& each : balance_partitions(partitions, there, me, noon, 30s)) {
    EXPECT_EQ(each.made.owner, me);
    EXPECT_EQ(each.made.renewed, noon);
    text.append(text.empty() ? "" : " ").append(each.made.partition).append("@").append(std::to_string(each.made.level));
  }
  return text;
}

TEST(Balance, TakesEverythingWhenNobodyElseIsThere) {
  EXPECT_EQ(wanted(four, {}), "0@1 1@1 2@1 3@1");
}
TEST(Balance, RenewsItsOwnAtTheSameLevel) {
  EXPECT_EQ(wanted({"0", "1"}, {{"0", "me", 4, noon - 20s}, {"1", "me", 2, noon - 20s}}), "0@4 1@2");
}
TEST(Balance, RenewsItsOwnHoweverOldTheyAre) {
  EXPECT_EQ(wanted({"0"}, {{"0", "me", 4, noon - 300s}}), "0@4");
}
TEST(Balance, TakesWhatIsFreeUpToItsShare) {
  EXPECT_EQ(wanted(four, {{"0", "a", 1, noon}, {"1", "a", 1, noon}, {"2", "", 7, noon}, {"3", "dead", 3, noon - 31s}}),
            "2@8 3@4");
  EXPECT_EQ(wanted({"0", "1", "2", "3", "4"}, {{"0", "a", 1, noon}}), "1@1 2@1 3@1");
}
TEST(Balance, TakesFromTheRichestWhatItsShareLacks) {
  EXPECT_EQ(wanted(four, {{"0", "a", 1, noon}, {"1", "a", 1, noon}, {"2", "a", 1, noon}, {"3", "a", 1, noon}}), "3@2 2@2");
  EXPECT_EQ(wanted(four, {{"0", "a", 1, noon}, {"1", "a", 1, noon}, {"2", "a", 1, noon}, {"3", "b", 1, noon}}), "2@2");
}
TEST(Balance, LeavesOthersTheirShare) {
  EXPECT_EQ(wanted(four, {{"0", "a", 1, noon}, {"1", "b", 1, noon}, {"2", "c", 1, noon}, {"3", "d", 1, noon}}), "");
  EXPECT_EQ(wanted(four, {{"0", "a", 1, noon}, {"1", "a", 1, noon}, {"2", "me", 1, noon}, {"3", "b", 1, noon}}), "2@1");
}
TEST(Balance, SettlesWhateverItBeginsWith) {
  // Each of n readers decides in turn, from what the one before left: after two rounds the shares differ by one at most
  // and nothing moves any more.
  for (std::size_t partitions = 1; partitions != 12; ++partitions) {
    std::vector<std::string> ids;
    for (std::size_t i = 0; i != partitions; ++i) ids.push_back(std::to_string(i));
    for (std::size_t readers = 1; readers != 6; ++readers) {
      checkpoint_table table;
      int changes = 0;
      for (int round = 0; round != 4; ++round) {
        changes = 0;
        for (std::size_t r = 0; r != readers; ++r)
          for (auto const& want : balance_partitions(ids, table.claims, "r" + std::to_string(r), noon, 30s)) {
            changes += want.made.level != want.expected.level;
            ASSERT_TRUE(table.claim(want.made, want.expected).has_value());
          }
      }
      EXPECT_EQ(changes, 0) << partitions << " partitions, " << readers << " readers";
      std::size_t least = partitions, most = 0;
      for (std::size_t r = 0; r != readers; ++r) {
        std::size_t mine = 0;
        for (auto const& each : table.claims) mine += each.owner == "r" + std::to_string(r);
        least = mine < least ? mine : least;
        most = mine > most ? mine : most;
      }
      EXPECT_LE(most - least, 1u) << partitions << " partitions, " << readers << " readers";
    }
  }
}

// --- checkpoints -----------------------------------------------------------------------------------------------------------

struct FileCheckpoints : testing::Test {
  FileCheckpoints() {
    char name[] = "/tmp/iothub-checkpoints-XXXXXX";
    folder = ::mkdtemp(name);
    path = folder + "/c.json";
  }
  ~FileCheckpoints() override { std::filesystem::remove_all(folder); }
  void write(std::string_view text) { std::ofstream{path} << text; }
  std::string folder;
  std::string path;
  event_scope const scope{"hub", "$Default"};
};

TEST_F(FileCheckpoints, RememberAcrossStores) {
  {
    file_checkpoint_store store{path};
    EXPECT_THAT(store.checkpoints(scope).value(), IsEmpty());
    ASSERT_TRUE(store.save(scope, {"0", "100", 7, 0}).has_value());
    ASSERT_TRUE(store.save(scope, {"1", "5", 1, 2}).has_value());
    ASSERT_TRUE(store.save(scope, {"0", "200", 9, 0}).has_value());
    ASSERT_TRUE(store.save({"hub", "other"}, {"0", "1", 1, 0}).has_value());
    ASSERT_TRUE(store.claim(scope, {"1", "a", 1, noon}, {"1", "", 0, no_time}).has_value());
  }
  file_checkpoint_store store{path};
  EXPECT_THAT(store.checkpoints(scope).value(),
              ElementsAre(event_checkpoint{"0", "200", 9, 0}, event_checkpoint{"1", "5", 1, 2}));
  EXPECT_THAT(store.claims(scope).value(), ElementsAre(partition_claim{"1", "a", 1, noon}));
  EXPECT_THAT(store.claims({"hub", "other"}).value(), IsEmpty());
  std::set<std::string> left;
  for (auto const& each : std::filesystem::directory_iterator{folder}) left.insert(each.path().filename());
  EXPECT_THAT(left, ElementsAre("c.json", "c.json.lock"));
}

TEST_F(FileCheckpoints, GiveAClaimToTheFirstWhoAsks) {
  file_checkpoint_store a{path}, b{path};
  partition_claim const nobody{"0", "", 0, no_time};
  EXPECT_TRUE(a.claim(scope, {"0", "a", 1, noon}, nobody).has_value());
  EXPECT_EQ(b.claim(scope, {"0", "b", 1, noon}, nobody).error(), errc::precondition_failed);
  EXPECT_TRUE(b.claim(scope, {"0", "b", 2, noon}, {"0", "a", 1, noon}).has_value());
  EXPECT_EQ(a.claim(scope, {"0", "a", 1, noon + 10s}, {"0", "a", 1, noon}).error(), errc::precondition_failed);
  EXPECT_EQ(a.save(scope, {"0", "1", 1, 1}).error(), errc::lock_lost);
  EXPECT_TRUE(b.save(scope, {"0", "1", 1, 2}).has_value());
}

TEST_F(FileCheckpoints, SayWhatIsWrongWithTheFile) {
  for (std::string_view const text : {"", "no json", "[]", "{}", R"({"scopes":1})"}) {
    write(text);
    file_checkpoint_store store{path};
    EXPECT_EQ(store.checkpoints(scope).error(), errc::malformed) << text;
    EXPECT_EQ(store.save(scope, {"0", "1", 1, 0}).error(), errc::malformed) << text;
  }
  file_checkpoint_store nowhere{folder + "/no/such/folder/c.json"};
  EXPECT_THAT(nowhere.checkpoints(scope).value(), IsEmpty());
  EXPECT_EQ(nowhere.save(scope, {"0", "1", 1, 0}).error(), errc::io_error);
}

TEST_F(FileCheckpoints, BearStrangeNamesAndMembers) {
  write(R"({"version":1,"scopes":{"hub/$Default":{"checkpoints":{"0":{"offset":5,"sequenceNumber":"x"}},"claims":7}}})");
  file_checkpoint_store store{path};
  EXPECT_THAT(store.checkpoints(scope).value(), ElementsAre(event_checkpoint{"0", "", -1, 0}));
  EXPECT_THAT(store.claims(scope).value(), IsEmpty());
  event_scope const odd{"h\"/\n", "\xc3\xa4"};
  ASSERT_TRUE(store.save(odd, {"0", "1", 1, 0}).has_value());
  EXPECT_EQ(store.checkpoints(odd).value().size(), 1u);
}

}  // namespace
