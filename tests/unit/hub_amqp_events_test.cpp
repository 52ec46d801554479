// The event endpoint over AMQP: positions, readers, epochs, $management.
#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;
using by = hub::event_position::by;

constexpr std::string_view partition0 = "h/ConsumerGroups/$Default/Partitions/0";

struct Events : testing::Test {
  Events() { c.put_token("a", w.events_token("sb://h.azure-devices.net/h")); }
  amqp::link* read(amqp_client& from, std::string_view selector = {}, amqp::value const& properties = {},
                   std::uint32_t credit = 1000, std::string_view address = partition0) {
    return from.link(address, amqp::link_role::receiver, "another",
                     selector.empty() ? amqp::value{} : filter(selector), properties, credit);
  }
  static amqp::value epoch(std::int64_t number) { return amqp::value::symbol_map({{"com.microsoft:epoch", number}}); }
  amqp_world w;
  amqp_client c{w};
};

TEST(EventSelector, ReadsWhatClientsWrite) {
  auto const parse = [](std::string_view text) { return hub::parse_event_selector(text).value(); };
  EXPECT_EQ(parse("amqp.annotation.x-opt-offset > '-1'"), (hub::event_position{}));
  EXPECT_EQ(parse("amqp.annotation.x-opt-offset > '@latest'"), (hub::event_position{by::latest, false, 0}));
  EXPECT_EQ(parse("amqp.annotation.x-opt-offset > '37344'"), (hub::event_position{by::offset, false, 37344}));
  EXPECT_EQ(parse("amqp.annotation.x-opt-sequence-number >= '5'"), (hub::event_position{by::sequence_number, true, 5}));
  EXPECT_EQ(parse("amqp.annotation.x-opt-sequence-number > 5"), (hub::event_position{by::sequence_number, false, 5}));
  EXPECT_EQ(parse("amqp.annotation.x-opt-enqueued-time > '1650000000000'"),
            (hub::event_position{by::enqueued_time, false, 1650000000000}));
  EXPECT_EQ(parse("amqp.annotation.x-opt-enqueuedtimeutc > '1650000000000'"),
            (hub::event_position{by::enqueued_time, false, 1650000000000}));
  for (std::string_view const text : {"", "x > 1", "amqp.annotation.x-opt-offset", "amqp.annotation.x-opt-offset < 1",
                                      "amqp.annotation.x-opt-offset > ", "amqp.annotation.x-opt-offset > 'x'"})
    EXPECT_EQ(hub::parse_event_selector(text).error(), errc::bad_request) << text;
}

TEST_F(Events, CarryWhatTheServicePutsOnThem) {
  w.create("d1");
  hub::property_view const properties[] = {{"colour", "red", true}};
  hub::d2c_message what;
  what.body = R"({"t":1})";
  what.properties = properties;
  what.message_id = "m1";
  what.correlation_id = "c1";
  what.user_id = "u";
  what.content_type = "application/json";
  what.content_encoding = "utf-8";
  what.component_name = "thermostat1";
  what.creation_time = w.at.utc;
  w.hub.events().append(0, {.device_id = "d1", .module_id = "m", .model_id = "dtmi:x;1", .generation = 42}, what,
                        w.at.utc + 5ms);
  EXPECT_THAT(
      c.texts(read(c)),
      ElementsAre(
          R"(id="m1" cid="c1" uid=u ct=application/json ce=utf-8 )"
          R"(A{x-opt-sequence-number: 0, x-opt-offset: "0", x-opt-enqueued-time: @1704067200005, )"
          R"(iothub-connection-device-id: "d1", iothub-connection-module-id: "m", iothub-connection-auth-method: )"
          R"("{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}", )"
          R"(iothub-connection-auth-generation-id: "42", iothub-enqueuedtime: @1704067200005, )"
          R"(iothub-message-source: "Telemetry", dt-dataschema: "dtmi:x;1", dt-subject: "thermostat1"} )"
          R"(P{"colour": "red", "iothub-creation-time-utc": "2024-01-01T00:00:00.000Z"} {"t":1})"));
}

TEST_F(Events, ComeFromThePositionOn) {
  for (char n = '0'; n != '5'; ++n) {
    w.event(0, std::string{"e"} + n);
    w.pass(10ms);
  }
  std::uint64_t offset = 0;
  w.hub.events().read(0, 2, 1, [&](hub::event_view const& e) { offset = e.offset(); });
  auto const bodies = [&](std::string const& selector) { return c.bodies(read(c, selector)); };
  EXPECT_THAT(bodies(""), SizeIs(5));
  EXPECT_THAT(bodies("amqp.annotation.x-opt-offset > '" + std::to_string(offset) + "'"), ElementsAre("e3", "e4"));
  EXPECT_THAT(bodies("amqp.annotation.x-opt-offset >= '" + std::to_string(offset) + "'"), ElementsAre("e2", "e3", "e4"));
  c.session->end();
  c.run();
  c.session = c.connection().begin().value();
  c.run();
  EXPECT_THAT(bodies("amqp.annotation.x-opt-sequence-number > '3'"), ElementsAre("e4"));
  EXPECT_THAT(bodies("amqp.annotation.x-opt-sequence-number >= '3'"), ElementsAre("e3", "e4"));
  EXPECT_THAT(bodies("amqp.annotation.x-opt-enqueued-time > '1704067200020'"), ElementsAre("e3", "e4"));
  EXPECT_THAT(bodies("amqp.annotation.x-opt-enqueued-time >= '1704067200020'"), ElementsAre("e2", "e3", "e4"));
}

TEST_F(Events, ComeAsTheyAreAppendedAndOnlyOfThePartition) {
  w.event(0, "before");
  amqp::link* const latest = read(c, "amqp.annotation.x-opt-offset > '@latest'");
  EXPECT_THAT(c.bodies(latest), IsEmpty());
  w.event(0, "a");
  w.event(1, "other");
  w.event(0, "b");
  c.run();
  EXPECT_THAT(c.bodies(latest), ElementsAre("a", "b"));
}

TEST_F(Events, ComeAsFarAsCreditGoes) {
  for (int n = 0; n != 600; ++n) w.event(0, std::to_string(n));
  amqp::link* const slow = read(c, "", {}, 0);
  EXPECT_THAT(c.bodies(slow), IsEmpty());
  slow->add_credit(2);
  c.run();
  EXPECT_THAT(c.bodies(slow), ElementsAre("0", "1"));
  slow->add_credit(598);
  c.run();
  auto const rest = c.bodies(slow);
  ASSERT_THAT(rest, SizeIs(598));
  EXPECT_EQ(rest.back(), "599");
}

TEST_F(Events, TellASlowReaderWhatItMissed) {
  hub::options o = small_hub();
  o.retention.events = 3;
  amqp_world few{o};
  amqp_client reader{few};
  reader.put_token("a", few.events_token("sb://h.azure-devices.net/h"));
  amqp::link* const link = read(reader, "", {}, 0);
  for (int n = 0; n != 10; ++n) few.event(0, std::to_string(n));
  link->add_credit(10);
  reader.run();
  EXPECT_THAT(reader.bodies(link), ElementsAre("7", "8", "9"));
  EXPECT_THAT(few.log.lines, testing::Contains(HasSubstr("7 events were dropped by retention before it read them")));
}

TEST_F(Events, TellAReaderThatComesTooLateWhatItMissed) {
  hub::options o = small_hub();
  o.retention.bytes = 3 * 49;  // 48 bytes of header and one of body
  amqp_world few{o};
  amqp_client reader{few};
  reader.put_token("a", few.events_token("sb://h.azure-devices.net/h"));
  for (int n = 0; n != 10; ++n) few.event(0, std::to_string(n), "");
  few.log.lines.clear();
  auto const missed = [&](std::string const& selector) {
    few.log.lines.clear();
    EXPECT_THAT(reader.bodies(read(reader, selector)), ElementsAre("7", "8", "9"));
    return few.log.lines.empty() ? std::string{} : few.log.lines.back();
  };
  EXPECT_EQ(missed("amqp.annotation.x-opt-offset > '-1'"), "");
  EXPECT_EQ(missed("amqp.annotation.x-opt-sequence-number > '6'"), "");
  EXPECT_EQ(missed("amqp.annotation.x-opt-sequence-number > '3'"),
            "missed  3 events from sequence number 4 on were dropped by retention before a reader of "
            "h/ConsumerGroups/$Default/Partitions/0 asked for them; it begins with 7");
  EXPECT_EQ(missed("amqp.annotation.x-opt-offset > '100'"),
            "missed  the events behind offset 100 were dropped by retention before a reader of "
            "h/ConsumerGroups/$Default/Partitions/0 asked for them; it begins with 7");
}

TEST_F(Events, SayHowFarThePartitionIsWhereThatIsAskedFor) {
  w.event(0, "e0");
  w.event(0, "e1");
  amqp::link* const link =
      c.link(partition0, amqp::link_role::receiver, "here", {}, {}, 1000,
             amqp::value::symbols({"com.microsoft:enable-receiver-runtime-metric"}));
  EXPECT_THAT(c.texts(link).at(0), StartsWith("D{last_enqueued_sequence_number: 1, last_enqueued_offset: \"56\", "
                                              "last_enqueued_time_utc: @1704067200000, "
                                              "runtime_info_retrieval_time_utc: @1704067200000}"));
}

TEST_F(Events, AReaderNeedsAnEntityAndAPartitionThatAreThere) {
  c.put_token("all", w.events_token("sb://h.azure-devices.net"));
  c.receiver("other/ConsumerGroups/$Default/Partitions/0");
  EXPECT_THAT(c.ended("other/"), StartsWith("amqp:not-found"));
  c.receiver("h/ConsumerGroups/$Default/Partitions/2");
  EXPECT_EQ(c.ended("h/ConsumerGroups/$Default/Partitions/2"), "amqp:not-found: there is no such partition; the hub has 2");
  read(c, "colour = 'red'");
  EXPECT_THAT(c.ended(partition0), StartsWith("com.microsoft:argument-error"));
}

TEST_F(Events, AHigherEpochTakesThePlace) {
  amqp_client second{w};
  second.put_token("a", w.events_token("sb://h.azure-devices.net/h"));
  read(c, "", epoch(1));
  read(second, "", epoch(0));
  EXPECT_EQ(second.ended(partition0), "amqp:link:stolen: Receiver with a higher epoch of '1' already exists.");
  read(second);
  EXPECT_EQ(c.ended(partition0), "");
  amqp::link* const winner = read(second, "", epoch(2));
  c.run();
  EXPECT_EQ(c.ended(partition0), "amqp:link:stolen: New receiver with higher epoch of '2' is created hence current "
                                 "receiver is getting disconnected.");
  w.event(0, "after");
  second.run();
  EXPECT_THAT(second.bodies(winner), ElementsAre("after"));
  // Another group is another matter.
  EXPECT_EQ(read(c, "", {}, 10, "h/ConsumerGroups/g2/Partitions/0")->state(), amqp::link::state_type::attached);
}

TEST_F(Events, AnEpochDisconnectsReadersWithoutAndTheSameEpochTakesOver) {
  read(c);
  read(c);
  amqp_client second{w};
  second.put_token("a", w.events_token("sb://h.azure-devices.net/h"));
  read(second, "", epoch(0));
  c.run();
  EXPECT_THAT(c.ended(partition0), StartsWith("amqp:link:stolen"));
  read(c, "", epoch(0));
  second.run();
  EXPECT_THAT(second.ended(partition0), StartsWith("amqp:link:stolen"));
}

TEST_F(Events, FiveReadersOfAGroupAreEnough) {
  for (int n = 0; n != 5; ++n) EXPECT_EQ(read(c)->state(), amqp::link::state_type::attached);
  read(c);
  EXPECT_THAT(c.ended(partition0), StartsWith("amqp:resource-limit-exceeded"));
}

TEST_F(Events, AReaderThatWentIsForgotten) {
  {
    amqp_client gone{w};
    gone.put_token("a", w.events_token("sb://h.azure-devices.net/h"));
    read(gone, "", epoch(9));
  }
  w.event(0, "x");
  EXPECT_THAT(c.bodies(read(c, "", epoch(1))), ElementsAre("x"));
}

struct Management : Events {
  std::string ask(std::string_view type, std::string_view name, std::string_view partition = {},
                  std::string_view operation = "READ") {
    amqp::link* const in = c.link("$management", amqp::link_role::receiver, "answers");
    amqp::link* const out = c.sender("$management");
    amqp::value const id{std::uint64_t{5}};
    amqp::value const properties = partition.empty()
                                       ? amqp::value::string_map({{"operation", operation}, {"type", type}, {"name", name}})
                                       : amqp::value::string_map({{"operation", operation},
                                                                  {"type", type},
                                                                  {"name", name},
                                                                  {"partition", partition}});
    amqp::message_view request;
    request.has_properties = true;
    request.properties.message_id = id.bytes();
    request.properties.reply_to = "answers";
    request.application_properties = properties.bytes();
    request.body = amqp::body_kind::data;
    request.data = "[]";
    c.order.clear();
    c.send(out, request);
    auto const got = c.texts(in);
    return got.size() == 1 ? got[0] : "answers: " + std::to_string(got.size());
  }
};

TEST_F(Management, DescribesTheHub) {
  EXPECT_EQ(ask("com.microsoft:eventhub", "h"),
            R"(cid=5 P{"status-code": 200, "status-description": "OK"} {"name": "h", "type": "com.microsoft:eventhub", )"
            R"("created_at": @1704067200000, "partition_count": 2, "partition_ids": <"0", "1">})");
}

// azure-uamqp-c (amqp_management.c) throws an answer away whose request is not settled, and az reads events with it.
TEST_F(Management, SettlesARequestBeforeItAnswers) {
  (void)ask("com.microsoft:eventhub", "h");
  EXPECT_THAT(c.order, ElementsAre("settled", "transfer"));
}

TEST_F(Management, DescribesAPartition) {
  EXPECT_THAT(ask("com.microsoft:partition", "h", "0"),
              HasSubstr(R"("partition": "0", "begin_sequence_number": 0, "last_enqueued_sequence_number": -1, )"
                        R"("last_enqueued_offset": "-1", "last_enqueued_time_utc": @-62135596800000, )"
                        R"("is_partition_empty": true})"));
  w.event(0, "e0");
  w.pass(1s);
  w.event(0, "e1");
  EXPECT_THAT(ask("com.microsoft:partition", "h", "0"),
              HasSubstr(R"("begin_sequence_number": 0, "last_enqueued_sequence_number": 1, )"
                        R"("last_enqueued_offset": "56", "last_enqueued_time_utc": @1704067201000, )"
                        R"("is_partition_empty": false})"));
}

TEST_F(Management, SaysWhatItDoesNotKnow) {
  EXPECT_THAT(ask("com.microsoft:eventhub", "other"), HasSubstr("\"status-code\": 404"));
  EXPECT_THAT(ask("com.microsoft:partition", "h", "2"), HasSubstr("\"status-code\": 404"));
  EXPECT_THAT(ask("com.microsoft:eventhub", "h", "", "DELETE"), HasSubstr("\"status-code\": 501"));
}

}  // namespace
