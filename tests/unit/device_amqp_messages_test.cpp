// The AMQP dialect of a device: telemetry and its outcomes, messages, methods, twin.
#include <limits>

#include "device_amqp_peer.hpp"
#include "test_data.hpp"

namespace {

using namespace device_amqp_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string const events_address = "/devices/d1/messages/events";
std::string const c2d_address = "/devices/d1/messages/devicebound";

// --- telemetry -------------------------------------------------------------------------------------------------------

TEST(AmqpTelemetry, CarriesEverythingThatAMessageHas) {
  dialect_world w;
  w.connect();
  message m{.body = "{\"a\":1}",
            .properties = {{"a b", "c/d"}, {"none", "", false}, {"empty", ""}},
            .message_id = "mid",
            .correlation_id = "cid",
            .user_id = "me",
            .content_type = "application/json",
            .content_encoding = "utf-8",
            .to = "/x",
            .output_name = "out",
            .component_name = "thermostat",
            .interface_id = "urn:s",
            .creation_time = from_unix_seconds(1'700'000'000),
            .expiry_time = from_unix_seconds(1'800'000'000)};
  ASSERT_TRUE(w.speaks.send_telemetry(m, w.now));
  w.step();
  ASSERT_THAT(w.hub().messages, SizeIs(1));
  EXPECT_FALSE(w.hub().messages[0].settled);
  EXPECT_EQ(w.hub().messages[0].text,
            "A{dt-subject: \"thermostat\", iothub-interface-id: \"urn:s\"} "
            "P{\"iothub-outputname\": \"out\", \"iothub-creation-time-utc\": \"2023-11-14T22:13:20.000Z\", "
            "\"a b\": \"c/d\", \"none\": null, \"empty\": \"\"} {\"a\":1}");
  amqp::message_view seen;
  ASSERT_FALSE(amqp::read_message(w.hub().messages[0].payload, seen));
  EXPECT_EQ(amqp::id_text(seen.properties.message_id), "mid");
  EXPECT_EQ(amqp::id_text(seen.properties.correlation_id), "cid");
  EXPECT_EQ(seen.properties.user_id, "me");
  EXPECT_EQ(seen.properties.to, "/x");
  EXPECT_EQ(seen.properties.content_type, "application/json");
  EXPECT_EQ(seen.properties.content_encoding, "utf-8");
  EXPECT_EQ(seen.properties.absolute_expiry_time, 1'800'000'000'000);
}

// As azure-iot-device-amqp was recorded to send it. It writes the address into `to`; here that is the program's.
TEST(AmqpTelemetry, IsWhatTheSdkSends) {
  dialect_world w;
  w.connect();
  int compared = 0;
  json::value const goldens = iothub_test::load("goldens.json");
  for (auto const& record : goldens.elements()) {
    if (record["action"] != "AMQP telemetry" || record["event"] != "transfer") continue;
    ++compared;
    auto const& p = record["properties"];
    message m{.body = *record["body"].as_string(),
              .message_id = std::string{*p["message_id"].as_string()},
              .correlation_id = std::string{*p["correlation_id"].as_string()},
              .content_type = std::string{*p["content_type"].as_string()},
              .content_encoding = std::string{*p["content_encoding"].as_string()},
              .to = std::string{*p["to"].as_string()}};
    for (auto const& each : record["application_properties"].members())
      m.properties.push_back({std::string{each.key()}, std::string{*each.value().as_string()}});
    ASSERT_TRUE(w.speaks.send_telemetry(m, w.now));
    w.step();
    amqp::message_view seen;
    std::string const payload = w.hub().messages.back().payload;
    ASSERT_FALSE(amqp::read_message(payload, seen));
    EXPECT_EQ(seen.body, amqp::body_kind::data);
    EXPECT_EQ(seen.data, *record["body"].as_string());
    EXPECT_EQ(amqp::view_of(seen.properties.message_id).type(), amqp::kind::string);
    EXPECT_EQ(amqp::id_text(seen.properties.message_id), m.message_id);
    EXPECT_EQ(seen.properties.content_type, m.content_type);
    EXPECT_EQ(amqp::find(seen.application_properties, "a b").as_text(), "c/d");
  }
  EXPECT_EQ(compared, 1);
}

struct said {
  amqp::delivery_state state;
  errc code;
  char const* text;
};

TEST(AmqpTelemetry, EndsAsTheHubSettlesIt) {
  said const all[] = {
      {amqp::delivery_state::accepted(), errc{}, "no error"},
      {amqp::delivery_state::rejected({"amqp:link:message-size-exceeded", "256 KB"}), errc::too_large,
       "the hub rejected the message: 256 KB (amqp:link:message-size-exceeded)"},
      {amqp::delivery_state::rejected({"com.microsoft:argument-error", "bad"}), errc::bad_request,
       "the hub rejected the message: bad (com.microsoft:argument-error)"},
      {amqp::delivery_state::rejected({"com.microsoft:device-container-throttled", ""}), errc::throttled,
       "the hub rejected the message: com.microsoft:device-container-throttled"},
      {amqp::delivery_state::rejected({"amqp:resource-limit-exceeded", "quota"}), errc::quota_exceeded,
       "the hub rejected the message: quota (amqp:resource-limit-exceeded)"},
      {amqp::delivery_state::rejected(), errc::bad_request, "the hub rejected the message and did not say why"},
      {amqp::delivery_state::released(), errc::service_unavailable, "the hub did not take the message (released)"},
      {amqp::delivery_state::modified(true, false), errc::service_unavailable,
       "the hub could not take the message (modified)"},
      {amqp::delivery_state{}, errc::protocol_error,
       "the hub settled the message without saying what became of it"},
  };
  dialect_world w;
  w.net.prepare = [](peer& p) { p.accepts_telemetry = false; };
  w.connect();
  for (auto const& each : all) {
    SCOPED_TRACE(each.text);
    auto const sent = w.speaks.send_telemetry(text("x"), w.now);
    ASSERT_TRUE(sent);
    w.step();
    EXPECT_FALSE(w.next());
    auto const& seen = w.hub().messages.back();
    seen.from->settle(seen.id, each.state);
    w.step();
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::telemetry_settled);
    EXPECT_EQ(w.event.ticket, *sent);
    EXPECT_EQ(w.error_text(), each.text);
    if (!w.event.outcome) {
      EXPECT_EQ(w.event.outcome.error(), each.code);
    }
    EXPECT_FALSE(w.next());
  }
}

TEST(AmqpTelemetry, WaitsForCredit) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.telemetry_credit = 2; };
  w.connect();
  EXPECT_TRUE(w.speaks.send_telemetry(text("1"), w.now));
  EXPECT_TRUE(w.speaks.send_telemetry(text("2"), w.now));
  EXPECT_EQ(w.speaks.send_telemetry(text("3"), w.now).error(), errc::outbox_full);
  w.step();
  w.hub().from_device[events_address]->add_credit(1);
  w.step();
  EXPECT_TRUE(w.speaks.send_telemetry(text("3"), w.now));
  w.step();
  EXPECT_THAT(w.hub().messages, SizeIs(3));
}

TEST(AmqpTelemetry, WithoutAnOutcomeIsSentAgainOnTheNextConnectionInItsOrder) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.accepts_telemetry = false; };
  w.connect();
  std::vector<ticket> tickets;
  for (char const* body : {"1", "2", "3", "4"}) tickets.push_back(w.speaks.send_telemetry(text(body), w.now).value());
  w.step();
  auto const& second = w.hub().messages[1];
  second.from->settle(second.id);
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.ticket, tickets[1]);
  w.speaks.abandon_telemetry(tickets[2]);  // its caller waits no longer
  w.speaks.close(dialect_close::abort, w.now);
  w.net.prepare = [](peer& p) { p.telemetry_credit = 1; };
  w.open();
  ASSERT_TRUE(w.next());  // ready
  EXPECT_EQ(w.event.kind, device_event_kind::ready);
  EXPECT_EQ(w.speaks.send_telemetry(text("5"), w.now).error(), errc::outbox_full);  // those come first
  w.hub().from_device[events_address]->add_credit(5);
  w.step();
  EXPECT_TRUE(w.speaks.send_telemetry(text("5"), w.now));
  w.step();
  std::vector<std::string> bodies;
  for (auto const& each : w.hub().messages) bodies.push_back(each.text);
  EXPECT_THAT(bodies, ElementsAre("1", "4", "5"));
  std::vector<ticket> settled;
  while (w.next()) settled.push_back(w.event.ticket);
  ASSERT_THAT(settled, SizeIs(3));
  EXPECT_EQ(settled[0], tickets[0]);
  EXPECT_EQ(settled[1], tickets[3]);
}

TEST(AmqpTelemetry, IsForgottenWhenTheClientIsClosed) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.accepts_telemetry = false; };
  w.connect();
  EXPECT_TRUE(w.speaks.send_telemetry(text("1"), w.now));
  w.step();
  w.speaks.close(dialect_close::graceful, w.now);
  w.connect();
  w.step();
  EXPECT_THAT(w.hub().messages, IsEmpty());
}

TEST(AmqpTelemetry, ThatWasGivenUpChangesNothingWhenItIsConfirmedAfterAll) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.accepts_telemetry = false; };
  w.connect();
  auto const sent = w.speaks.send_telemetry(text("1"), w.now).value();
  w.step();
  w.speaks.abandon_telemetry(sent);
  auto const& seen = w.hub().messages.back();
  seen.from->settle(seen.id);
  w.step();
  EXPECT_FALSE(w.next());
}

TEST(AmqpTelemetry, IsRefusedHereWhereNoHubWouldTakeIt) {
  dialect_world w;
  w.connect();
  auto const refused = [&](message m) { return w.speaks.send_telemetry(m, w.now).error().code(); };
  EXPECT_EQ(refused({.body = "x", .properties = {{"", "1"}}}), errc::invalid_argument);
  EXPECT_EQ(refused({.body = "x", .properties = {{"$.mid", "1"}}}), errc::invalid_argument);
  EXPECT_EQ(refused({.body = "x", .properties = {{"a", "\xff"}}}), errc::invalid_argument);
  EXPECT_EQ(refused({.body = "x", .message_id = "a b"}), errc::invalid_argument);
  EXPECT_EQ(refused({.body = "x", .content_type = std::string{"a\0b", 3}}), errc::invalid_argument);
  w.net.server_options.max_message_size = 600;
  w.connect();
  EXPECT_EQ(refused({.body = std::string(700, 'x')}), errc::too_large);
  EXPECT_TRUE(w.speaks.send_telemetry(text("x"), w.now));
}

// --- cloud to device -------------------------------------------------------------------------------------------------

amqp::message_view c2d(std::string_view body) {
  amqp::message_view m;
  m.body = amqp::body_kind::data;
  m.data = body;
  return m;
}

TEST(AmqpMessages, ArriveWithEverythingTheyHave) {
  dialect_world w;
  w.connect();
  w.enable(feature::messages);
  amqp::value const id{"m1"}, correlation{"c1"};
  auto const annotations = amqp::value::symbol_map({{"x-opt-sequence-number", std::int64_t{7}},
                                                    {"iothub-enqueuedtime", amqp::value::timestamp(1'700'000'000'000)},
                                                    {"iothub-deliverycount", std::int32_t{2}}});
  auto const properties =
      amqp::value::string_map({{"iothub-ack", "full"}, {"text", "v"}, {"number", std::int32_t{5}}, {"null", {}}});
  amqp::message_view m = c2d("turn on");
  m.message_annotations = annotations.bytes();
  m.has_properties = true;
  m.properties.message_id = id.bytes();
  m.properties.correlation_id = correlation.bytes();
  m.properties.user_id = "op";
  m.properties.has_user_id = true;
  m.properties.to = c2d_address;
  m.properties.content_type = "text/plain";
  m.properties.absolute_expiry_time = 1'800'000'000'000;
  m.application_properties = properties.bytes();
  w.say(c2d_address, m);
  ASSERT_TRUE(w.next());
  ASSERT_EQ(w.event.kind, device_event_kind::message_received);
  c2d_message const& got = *w.event.message;
  EXPECT_EQ(got.content, (message{.body = "turn on",
                                  .properties = {{"text", "v"}, {"number", "5"}, {"null", "", false}},
                                  .message_id = "m1",
                                  .correlation_id = "c1",
                                  .user_id = "op",
                                  .content_type = "text/plain",
                                  .to = c2d_address,
                                  .expiry_time = from_unix_seconds(1'800'000'000)}));
  EXPECT_EQ(got.ack, feedback_request::full);
  EXPECT_EQ(got.sequence_number, 7u);
  EXPECT_EQ(got.delivery_count, 2u);
  EXPECT_EQ(got.enqueued_time, from_unix_seconds(1'700'000'000));
}

TEST(AmqpMessages, AreAcceptedRejectedOrReleased) {
  dialect_world w;
  w.connect();
  w.enable(feature::messages);
  std::vector<ticket> tickets;
  for (std::uint64_t user = 1; user != 4; ++user) {
    w.say(c2d_address, c2d(std::to_string(user)), user);
    ASSERT_TRUE(w.next());
    tickets.push_back(w.event.ticket);
  }
  EXPECT_TRUE(w.speaks.settle_message(tickets[2], settlement::abandon, w.now));
  EXPECT_TRUE(w.speaks.settle_message(tickets[0], settlement::accept, w.now));
  EXPECT_TRUE(w.speaks.settle_message(tickets[1], settlement::reject, w.now));
  EXPECT_TRUE(w.speaks.settle_message(tickets[1], settlement::accept, w.now));  // once
  w.step();
  EXPECT_THAT(w.hub().dispositions, ElementsAre("3 released", "1 accepted", "2 rejected"));
  EXPECT_TRUE(w.speaks.capabilities().reject_message);
  EXPECT_TRUE(w.speaks.capabilities().abandon_message);
}

TEST(AmqpMessages, ThatCannotBeReadAreRejected) {
  dialect_world w;
  w.connect();
  w.enable(feature::messages);
  EXPECT_TRUE(w.hub().to_device[c2d_address]->send({.payload = "junk", .user = 9}));
  w.step();
  EXPECT_FALSE(w.next());
  w.step();
  EXPECT_THAT(w.hub().dispositions, ElementsAre("9 rejected amqp:decode-error"));
}

// The reading alone: what any hub, or anything that calls itself one, may send.
c2d_message read_c2d(byte_view payload) {
  c2d_message m;
  auto const read = iothub::detail::read_amqp_c2d(payload, m);
  EXPECT_TRUE(read.has_value()) << (read ? "" : read.error().message());
  return m;
}
byte_buffer null_body() {
  byte_buffer out;
  amqp::writer w{out};
  w.describe(amqp::descriptor::amqp_value);
  w.null();
  return out;
}
byte_buffer section(amqp::descriptor what, amqp::value const& content) {
  byte_buffer out;
  amqp::writer w{out};
  w.describe(what);
  out.append(content.bytes());
  return out;
}

TEST(AmqpMessages, HaveBytesOrTextForABody) {
  using amqp::descriptor;
  EXPECT_EQ(read_c2d(section(descriptor::amqp_value, amqp::value{"text"}).view()).content.body.bytes(), "text");
  EXPECT_EQ(read_c2d(section(descriptor::amqp_value, amqp::value::binary("bytes")).view()).content.body.bytes(), "bytes");
  EXPECT_EQ(read_c2d(null_body().view()).content.body.bytes(), "");
  EXPECT_EQ(read_c2d(section(descriptor::properties, amqp::value::list({})).view()).content.body.bytes(), "");
  c2d_message m;
  EXPECT_EQ(iothub::detail::read_amqp_c2d(section(descriptor::amqp_value, amqp::value{std::int32_t{1}}).view(), m).error(), errc::malformed);
  EXPECT_EQ(iothub::detail::read_amqp_c2d(section(descriptor::amqp_sequence, amqp::value::list({})).view(), m).error(), errc::malformed);
  EXPECT_EQ(iothub::detail::read_amqp_c2d("junk", m).error(), errc::malformed);
}

TEST(AmqpMessages, HavePropertiesOfEveryKindAsText) {
  auto const properties = amqp::value::string_map({{"iothub-ack", "negative"},
                                                   {"yes", true},
                                                   {"no", false},
                                                   {"real", 0.5},
                                                   {"when", amqp::value::timestamp(0)},
                                                   {"uuid", amqp::value::uuid(std::string(16, '\x11'))},
                                                   {"symbol", amqp::value::symbol("s")},
                                                   {"bytes", amqp::value::binary("b")},
                                                   {"big", std::uint64_t{18'446'744'073'709'551'615u}},
                                                   {"list", amqp::value::list({})}});
  auto const annotations = amqp::value::symbol_map({{"iothub-deliverycount", std::int64_t{4'294'967'296}}});
  amqp::message_view m = c2d("x");
  m.application_properties = properties.bytes();
  m.message_annotations = annotations.bytes();
  m.has_properties = true;
  m.properties.absolute_expiry_time = 0;
  m.properties.creation_time = 1000;
  byte_buffer bytes;
  amqp::write_message(m, bytes);
  auto const got = read_c2d(bytes.view());
  EXPECT_EQ(got.ack, feedback_request::negative);
  EXPECT_EQ(got.delivery_count, 0u);  // no count that there is
  EXPECT_FALSE(got.content.expiry_time.has_value());
  EXPECT_EQ(got.content.creation_time, from_unix_seconds(1));
  EXPECT_EQ(got.content.properties, (property_list{{"yes", "true"},
                                                   {"no", "false"},
                                                   {"real", "0.5"},
                                                   {"when", "1970-01-01T00:00:00.000Z"},
                                                   {"uuid", "11111111-1111-1111-1111-111111111111"},
                                                   {"symbol", "s"},
                                                   {"bytes", "b"},
                                                   {"big", "18446744073709551615"},
                                                   {"list", ""}}));
}

TEST(AmqpMessages, TimesBeyondTheCalendarAreItsEnds) {
  for (auto const& [sent, read] : {std::pair{std::numeric_limits<std::int64_t>::max(), "9999-12-31T23:59:59.999Z"},
                                   std::pair{std::int64_t{1}, "1970-01-01T00:00:00.001Z"}}) {
    amqp::message_view m = c2d("x");
    m.has_properties = true;
    m.properties.absolute_expiry_time = sent;
    byte_buffer bytes;
    amqp::write_message(m, bytes);
    EXPECT_EQ(to_iso8601(read_c2d(bytes.view()).content.expiry_time.value()), read);
  }
  EXPECT_EQ(to_iso8601(amqp::from_timestamp(std::numeric_limits<std::int64_t>::min())), "0001-01-01T00:00:00.000Z");
}

TEST(AmqpTelemetry, RefusesTextThatIsNoUtf8InEachOfItsFields) {
  std::string const bad{"\xff"};
  std::string message::*const fields[] = {&message::correlation_id, &message::user_id,     &message::to,
                                          &message::content_type,   &message::content_encoding, &message::output_name,
                                          &message::component_name, &message::interface_id};
  for (auto const field : fields) {
    message m{.body = "x"};
    m.*field = bad;
    byte_buffer out;
    EXPECT_EQ(iothub::detail::append_amqp_telemetry(m, out).error(), errc::invalid_argument);
  }
  for (property const& p : {property{bad, "v"}, property{"n", bad}, property{"", "v"}, property{"$.mid", "v"}}) {
    message m{.body = "x"};
    m.properties.push_back(p);
    byte_buffer out;
    EXPECT_EQ(iothub::detail::append_amqp_telemetry(m, out).error(), errc::invalid_argument);
  }
}

TEST(AmqpTelemetry, MayNameAnInterfaceAlone) {
  message m{.body = "x", .interface_id = "i"};
  byte_buffer out;
  ASSERT_TRUE(iothub::detail::append_amqp_telemetry(m, out));
  EXPECT_EQ(print(out.view()), "A{iothub-interface-id: \"i\"} x");
}

TEST(AmqpMessages, AreHeldNoMoreThanFiftyAtOnce) {
  dialect_world w;
  w.connect();
  w.enable(feature::messages);
  auto* const out = w.hub().to_device[c2d_address];
  byte_buffer bytes;
  amqp::write_message(c2d("x"), bytes);
  int sent = 0;
  while (out->send({.payload = bytes.view()})) ++sent;
  w.step();
  EXPECT_EQ(sent, 50);
  std::vector<ticket> tickets;
  while (w.next()) tickets.push_back(w.event.ticket);
  w.step();
  EXPECT_FALSE(out->send({.payload = bytes.view()}));  // taken, but not settled
  for (ticket const each : tickets) EXPECT_TRUE(w.speaks.settle_message(each, settlement::accept, w.now));
  w.step();
  EXPECT_TRUE(out->send({.payload = bytes.view()}));
}

// --- methods ---------------------------------------------------------------------------------------------------------

TEST(AmqpMethods, AreCalledAndAnsweredUnderTheirCorrelationId) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  w.call("reboot", "a9f6b2f8-0000-4000-8000-000000000001", R"({"delay":5})");
  ASSERT_TRUE(w.next());
  ASSERT_EQ(w.event.kind, device_event_kind::method_called);
  EXPECT_EQ(w.event.name, "reboot");
  EXPECT_EQ(w.event.payload, R"({"delay":5})");
  std::string const rid{w.event.rid};
  EXPECT_TRUE(w.speaks.answer_method(rid, -3, R"({"ok":true})", w.now));
  w.step();
  ASSERT_THAT(w.hub().messages, SizeIs(1));
  EXPECT_EQ(w.hub().messages[0].where, "/devices/d1/methods/devicebound");
  EXPECT_EQ(w.hub().messages[0].text, R"(P{"IoThub-status": -3} {"ok":true})");
  EXPECT_TRUE(w.hub().messages[0].settled);
  amqp::message_view answer;
  ASSERT_FALSE(amqp::read_message(w.hub().messages[0].payload, answer));
  EXPECT_EQ(amqp::id_text(answer.properties.correlation_id), "a9f6b2f8-0000-4000-8000-000000000001");
}

TEST(AmqpMethods, GiveACorrelationIdBackInItsOwnType) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  auto const id = amqp::value::uuid("0123456789abcdef");
  auto const properties = amqp::value::string_map({{"IoThub-methodname", "m"}});
  amqp::message_view call;
  call.has_properties = true;
  call.properties.correlation_id = id.bytes();
  call.application_properties = properties.bytes();
  w.say("/devices/d1/methods/devicebound", call);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.payload, "");
  EXPECT_TRUE(w.speaks.answer_method(std::string{w.event.rid}, 200, "", w.now));
  w.step();
  amqp::message_view answer;
  ASSERT_FALSE(amqp::read_message(w.hub().messages.at(0).payload, answer));
  EXPECT_EQ(answer.properties.correlation_id, id.bytes());
}

TEST(AmqpMethods, WithoutNameOrIdArePassedOver) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  auto const named = amqp::value::string_map({{"IoThub-methodname", "m"}});
  amqp::value const id{"1"};
  amqp::message_view without_id, without_name;
  without_id.application_properties = named.bytes();
  without_name.has_properties = true;
  without_name.properties.correlation_id = id.bytes();
  for (int i = 0; i != 200; ++i) {  // and cost no credit
    w.say("/devices/d1/methods/devicebound", without_id);
    w.say("/devices/d1/methods/devicebound", without_name);
  }
  EXPECT_FALSE(w.next());
  w.call("m", "1", "1");
  EXPECT_TRUE(w.next());
}

TEST(AmqpMethods, ThatNobodyTakesCostABoundedAmount) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  auto* const out = w.hub().to_device["/devices/d1/methods/devicebound"];
  auto const properties = amqp::value::string_map({{"IoThub-methodname", "m"}});
  amqp::value const id{"1"};
  amqp::message_view call;
  call.has_properties = true;
  call.properties.correlation_id = id.bytes();
  call.application_properties = properties.bytes();
  byte_buffer bytes;
  amqp::write_message(call, bytes);
  int sent = 0;
  auto const fill = [&] {
    for (int round = 0; round != 3; ++round) {
      while (out->send({.payload = bytes.view(), .settled = true})) ++sent;
      w.step();
    }
  };
  fill();
  EXPECT_EQ(sent, 64);
  int got = 0;
  while (w.next()) ++got;
  w.step();
  EXPECT_EQ(got, 64);
  fill();
  EXPECT_EQ(sent, 128);
}

// --- twin ------------------------------------------------------------------------------------------------------------

TEST(AmqpTwin, IsAskedForAsTheSdkDoes) {
  dialect_world w;
  w.connect();
  w.enable(feature::twin);
  auto const asked = w.speaks.get_twin(w.now);
  ASSERT_TRUE(asked);
  w.step();
  ASSERT_THAT(w.hub().messages, SizeIs(1));
  EXPECT_EQ(w.hub().messages[0].where, "/devices/d1/twin");
  EXPECT_EQ(w.hub().messages[0].text, "A{operation: \"GET\"}  ");  // a body of one blank, as recorded
  amqp::message_view request;
  ASSERT_FALSE(amqp::read_message(w.hub().messages[0].payload, request));
  EXPECT_EQ(request.body, amqp::body_kind::data);
  EXPECT_TRUE(is_uuid(amqp::id_text(request.properties.correlation_id)));
  w.answer_twin(200, {}, R"({"desired":{},"reported":{}})");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::twin_received);
  EXPECT_EQ(w.event.ticket, *asked);
  EXPECT_TRUE(w.event.outcome);
  EXPECT_EQ(w.event.payload, R"({"desired":{},"reported":{}})");
}

TEST(AmqpTwin, TakesAPatchAndGivesItsVersion) {
  dialect_world w;
  w.connect();
  w.enable(feature::twin);
  auto const first = w.speaks.patch_reported(R"({"a":1})", w.now).value();
  w.step();
  EXPECT_EQ(w.hub().messages[0].text, R"(A{operation: "PATCH", resource: "/properties/reported"} {"a":1})");
  w.answer_twin(204, 5, "");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::patch_settled);
  EXPECT_EQ(w.event.ticket, first);
  EXPECT_EQ(w.event.version, 5);
  w.answer_twin(204, 6, "");  // once more: nobody waits
  EXPECT_FALSE(w.next());
}

TEST(AmqpTwin, SaysWhatTheHubSaid) {
  struct row {
    int status;
    char const* body;
    errc code;
  };
  dialect_world w;
  w.connect();
  w.enable(feature::twin);
  for (row const& r : {row{400, R"({"errorCode":400004,"trackingId":"T","message":"too deep"})", errc::bad_request},
                       row{401, "", errc::unauthorized}, row{404, "", errc::not_found}, row{429, "", errc::throttled},
                       row{500, "", errc::server_error}, row{503, "", errc::service_unavailable},
                       row{-1, "", errc::server_error}}) {
    SCOPED_TRACE(r.status);
    ASSERT_TRUE(w.speaks.patch_reported("{}", w.now));
    w.step();
    w.answer_twin(r.status, {}, r.body);
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::patch_settled);
    ASSERT_FALSE(w.event.outcome);
    EXPECT_EQ(w.event.outcome.error(), r.code);
  }
}

TEST(AmqpTwin, NoticesOfDesiredPropertiesComeWithoutACorrelationId) {
  dialect_world w;
  w.connect();
  w.enable(feature::twin | feature::desired_properties);
  auto const annotations =
      amqp::value::symbol_map({{"resource", "/properties/desired"}, {"version", std::int64_t{4}}});
  amqp::message_view notice = c2d(R"({"k":1,"$version":4})");
  notice.message_annotations = annotations.bytes();
  w.say("/devices/d1/twin", notice);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::desired_changed);
  EXPECT_EQ(w.event.version, 4);
  EXPECT_EQ(w.event.payload, R"({"k":1,"$version":4})");
}

TEST(AmqpTwin, SaysWhenNoticesAreRefused) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.answers_put = false; };
  w.connect();
  EXPECT_TRUE(w.speaks.enable(feature::twin | feature::desired_properties, w.now));
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.features, feature_set{feature::twin});
  EXPECT_FALSE(w.next());
  w.answer_twin(503, {}, "");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::features_ready);
  EXPECT_EQ(w.event.features, feature_set{feature::desired_properties});
  EXPECT_EQ(w.event.outcome.error(), errc::service_unavailable);
}

TEST(AmqpTwin, RequestsOfAnEarlierConnectionAreForgotten) {
  dialect_world w;
  w.connect();
  w.enable(feature::twin);
  EXPECT_TRUE(w.speaks.get_twin(w.now));
  w.step();
  std::string const request = w.hub().messages.back().payload;
  w.speaks.close(dialect_close::abort, w.now);
  w.connect();
  w.enable(feature::twin);
  w.hub().messages.push_back({"", "", request, 0, nullptr, true});
  w.answer_twin(200, {}, "{}");
  EXPECT_FALSE(w.next());
}

TEST(AmqpTwin, AHubThatAnswersNothingCostsABoundedAmount) {
  dialect_world w;
  w.connect();
  w.enable(feature::twin);
  for (std::size_t i = 0; i != 300; ++i) {
    ASSERT_TRUE(w.speaks.get_twin(w.now));
    w.step();
  }
  std::deque<peer::seen_message> const asked = w.hub().messages;
  w.hub().messages = {asked.front()};
  w.answer_twin(200, {}, "{}");
  EXPECT_FALSE(w.next());  // too old
  w.hub().messages = {asked.back()};
  w.answer_twin(200, {}, "{}");
  EXPECT_TRUE(w.next());
}

}  // namespace
