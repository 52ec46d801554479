// Devices over AMQP: telemetry, messages, methods, twin.
#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

struct Device : testing::Test {
  Device() {
    w.create("d1");
    c.put_token("d1", w.device_token("d1"));
  }
  amqp::message_view text(std::string_view body) {
    amqp::message_view m;
    m.body = amqp::body_kind::data;
    m.data = body;
    return m;
  }
  telemetry_event last() { return w.hub.events().all().back(); }
  [[nodiscard]] bool connected() const {
    return w.hub.get_identity({"d1", {}}).value().connection_state == connection_state::connected;
  }
  // A request on the twin links.
  std::string twin(std::string_view operation, std::string_view resource, std::string_view body = " ",
                   std::optional<std::int64_t> version = {}) {
    amqp::link* const in = c.receiver("/devices/d1/twin");
    amqp::link* const out = c.sender("/devices/d1/twin");
    amqp::value const id{"t-1"};
    amqp::value const annotations =
        version ? amqp::value::symbol_map({{"operation", operation}, {"resource", resource}, {"version", *version}})
                : amqp::value::symbol_map({{"operation", operation}, {"resource", resource}});
    amqp::message_view m = text(body);
    m.has_properties = true;
    m.properties.correlation_id = id.bytes();
    m.message_annotations = annotations.bytes();
    EXPECT_EQ(c.send(out, m), "accepted");
    auto const got = c.texts(in);
    return got.size() == 1 ? got[0] : "answers: " + std::to_string(got.size());
  }
  amqp_world w;
  amqp_client c{w};
};

TEST_F(Device, SendsTelemetryWithItsProperties) {
  amqp::value const id{"m1"};
  amqp::value const properties = amqp::value::string_map(
      {{"alert", "no"}, {"n", std::int64_t{-3}}, {"on", true}, {"iothub-creation-time-utc", "2024-01-01T00:00:00Z"}});
  amqp::message_view m = text("body");
  m.has_properties = true;
  m.properties.message_id = id.bytes();
  m.properties.content_type = "application/json";
  m.properties.content_encoding = "utf-8";
  m.properties.to = "/devices/d1/messages/events";
  m.application_properties = properties.bytes();
  EXPECT_EQ(c.send(c.sender("/devices/d1/messages/events"), m), "accepted");
  auto const event = last();
  EXPECT_EQ(event.source.device_id, "d1");
  EXPECT_EQ(event.content.body.bytes(), "body");
  EXPECT_EQ(event.content.message_id, "m1");
  EXPECT_EQ(event.content.content_type, "application/json");
  EXPECT_EQ(event.content.properties, (property_list{{"alert", "no"}, {"n", "-3"}, {"on", "true"}}));
  EXPECT_EQ(event.content.creation_time, hub_test::start);
}

TEST_F(Device, SendsABatchInOneMessage) {
  byte_buffer one, two, batch;
  amqp::write_message(text("one"), one);
  amqp::write_message(text("two"), two);
  amqp::writer writer{batch};
  for (auto const* part : {&one, &two}) writer.describe(amqp::descriptor::data), writer.binary(part->view());
  EXPECT_EQ(c.send(c.sender("/devices/d1/messages/events"), batch.view(), 0x80013700), "accepted");
  auto const all = w.hub.events().all();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].content.body.bytes(), "one");
  EXPECT_EQ(all[1].content.body.bytes(), "two");
}

TEST_F(Device, IsToldOfTelemetryThatIsNotTaken) {
  amqp::link* const out = c.sender("/devices/d1/messages/events");
  EXPECT_THAT(c.send(out, text(std::string(262'145, 'x'))), StartsWith("rejected amqp:link:message-size-exceeded"));
  EXPECT_THAT(c.send(out, "\x01"), StartsWith("rejected com.microsoft:argument-error"));
  EXPECT_EQ(c.send(out, text("good")), "accepted");
}

TEST_F(Device, IsConnectedWhileItHasALink) {
  EXPECT_FALSE(connected());
  amqp::link* const events = c.sender("/devices/d1/messages/events");
  amqp::link* const twin_link = c.sender("/devices/d1/twin");
  EXPECT_TRUE(connected());
  events->detach();
  c.run();
  EXPECT_TRUE(connected());
  twin_link->detach();
  c.run();
  EXPECT_FALSE(connected());
}

TEST_F(Device, GetsMessagesThatWaitAndMessagesThatCome) {
  w.send_c2d("d1", "early");
  amqp::link* const in = c.receiver("/devices/d1/messages/devicebound");
  w.send_c2d("d1", "late", feedback_request::full);
  c.run();
  EXPECT_THAT(c.texts(in),
              ElementsAre(R"(id="early" to=/devices/d1/messages/devicebound A{x-opt-sequence-number: 1, )"
                          R"(iothub-enqueuedtime: @1704067200000, iothub-deliverycount: 0} P{"iothub-ack": "none"} early)",
                          R"(id="late" to=/devices/d1/messages/devicebound A{x-opt-sequence-number: 2, )"
                          R"(iothub-enqueuedtime: @1704067200000, iothub-deliverycount: 0} P{"iothub-ack": "full"} late)"));
}

TEST_F(Device, CompletesRejectsAndAbandons) {
  amqp::link* const in = c.receiver("/devices/d1/messages/devicebound");
  for (auto const* body : {"good", "bad", "again"}) w.send_c2d("d1", body, feedback_request::full);
  c.run();
  auto got = c.take(in);
  ASSERT_THAT(got, SizeIs(3));
  EXPECT_EQ(got[0].tag.size(), 16u);
  in->settle(got[0].id);
  in->settle(got[1].id, amqp::delivery_state::rejected());
  in->settle(got[2].id, amqp::delivery_state::released());
  c.run();
  auto const records = w.hub.take_feedback();
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].status, hub::feedback_status::success);
  EXPECT_EQ(records[1].status, hub::feedback_status::rejected);
  got = c.take(in);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_THAT(got[0].text, HasSubstr("iothub-deliverycount: 1"));
}

TEST_F(Device, AMessageComesAgainWhenItsLockEndsOrItsLinkGoes) {
  amqp::link* const in = c.receiver("/devices/d1/messages/devicebound");
  w.send_c2d("d1", "m");
  c.run();
  EXPECT_THAT(c.take(in), SizeIs(1));
  w.pass(60s);
  c.run();
  auto const again = c.take(in);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_THAT(again[0].text, HasSubstr("iothub-deliverycount: 0"));
  in->detach();
  c.run();
  EXPECT_THAT(c.texts(c.receiver("/devices/d1/messages/devicebound")),
              ElementsAre(HasSubstr("iothub-deliverycount: 0")));
}

TEST_F(Device, MessagesWaitForCredit) {
  amqp::link* const in = c.link("/devices/d1/messages/devicebound", amqp::link_role::receiver, "here", {}, {}, 0);
  w.send_c2d("d1", "1");
  w.send_c2d("d1", "2");
  c.run();
  EXPECT_THAT(c.take(in), IsEmpty());
  in->add_credit(1);
  c.run();
  EXPECT_THAT(c.bodies(in), ElementsAre("1"));
  in->add_credit(1);
  c.run();
  EXPECT_THAT(c.bodies(in), ElementsAre("2"));
}

TEST_F(Device, AnswersMethods) {
  amqp::link* const in = c.receiver("/devices/d1/methods/devicebound");
  amqp::link* const out = c.sender("/devices/d1/methods/devicebound");
  hub_test::recording_caller caller;
  ASSERT_TRUE(w.hub.invoke_method({"d1", {}}, {"echo", hub_test::parse("[1]")}, {}, caller, w.at).has_value());
  c.run();
  auto const got = c.take(in);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_THAT(got[0].text, testing::MatchesRegex(R"(cid=.*P\{"IoThub-methodname": "echo"\} \[1\])"));
  amqp::message_view request;
  ASSERT_FALSE(amqp::read_message(got[0].payload, request));
  EXPECT_EQ(amqp::view_of(request.properties.correlation_id).type(), amqp::kind::uuid);
  amqp::value const status = amqp::value::string_map({{"IoThub-status", std::int32_t{201}}});
  amqp::message_view answer = text(R"({"ok":true})");
  answer.has_properties = true;
  answer.properties.correlation_id = request.properties.correlation_id;
  answer.application_properties = status.bytes();
  EXPECT_EQ(c.send(out, answer), "accepted");
  ASSERT_THAT(caller.outcomes, SizeIs(1));
  EXPECT_EQ(caller.outcomes[0].second, R"(201 {"ok":true})");
}

TEST_F(Device, MayGiveTheCorrelationIdBackAsText) {
  amqp::link* const in = c.receiver("/devices/d1/methods/devicebound");
  hub_test::recording_caller caller;
  ASSERT_TRUE(w.hub.invoke_method({"d1", {}}, {"m", {}}, {}, caller, w.at).has_value());
  c.run();
  amqp::message_view request;
  auto const got = c.take(in);
  ASSERT_FALSE(amqp::read_message(got.at(0).payload, request));
  amqp::value const id{amqp::id_text(request.properties.correlation_id)};
  amqp::value const status = amqp::value::string_map({{"IoThub-status", "soon"}});
  amqp::message_view answer = text("");
  answer.has_properties = true;
  answer.properties.correlation_id = id.bytes();
  answer.application_properties = status.bytes();
  c.send(c.sender("/devices/d1/methods/devicebound"), answer);
  ASSERT_THAT(caller.outcomes, SizeIs(1));
  EXPECT_THAT(caller.outcomes[0].second, HasSubstr("502000"));
}

TEST_F(Device, AStatusThatIsNoIntIsABadAnswer) {
  amqp::link* const in = c.receiver("/devices/d1/methods/devicebound");
  hub_test::recording_caller caller;
  ASSERT_TRUE(w.hub.invoke_method({"d1", {}}, {"m", {}}, {}, caller, w.at).has_value());
  c.run();
  amqp::message_view request;
  auto const got = c.take(in);
  ASSERT_FALSE(amqp::read_message(got.at(0).payload, request));
  amqp::value const status = amqp::value::string_map({{"IoThub-status", (std::int64_t{1} << 32) + 200}});
  amqp::message_view answer = text("");
  answer.has_properties = true;
  answer.properties.correlation_id = request.properties.correlation_id;
  answer.application_properties = status.bytes();
  c.send(c.sender("/devices/d1/methods/devicebound"), answer);
  ASSERT_THAT(caller.outcomes, SizeIs(1));
  EXPECT_THAT(caller.outcomes[0].second, HasSubstr("502000"));
}

TEST_F(Device, WithoutAMethodLinkIsNotListening) {
  c.sender("/devices/d1/messages/events");
  hub_test::recording_caller caller;
  EXPECT_EQ(w.hub.invoke_method({"d1", {}}, {"m", {}}, {}, caller, w.at).error(), errc::device_offline);
}

TEST_F(Device, ReadsAndReportsItsTwin) {
  EXPECT_EQ(twin("GET", "", " "),
            R"(cid="t-1" A{status: 200} {"desired":{"$version":1},"reported":{"$version":1}})");
  EXPECT_EQ(twin("PATCH", "/properties/reported", R"({"a":1})"), R"(cid="t-1" A{status: 200, version: 2})");
  EXPECT_THAT(twin("PATCH", "/properties/reported", R"({"a":2})", 1), HasSubstr("A{status: 412}"));
  EXPECT_THAT(twin("PATCH", "/properties/reported", "no json"), HasSubstr("A{status: 400}"));
  EXPECT_THAT(twin("POST", "/properties/reported", "{}"), HasSubstr("A{status: 400}"));
  EXPECT_EQ(w.hub.get_twin({"d1", {}}).value().reported["a"], 1);
}

TEST_F(Device, HearsOfDesiredChangesBetweenPutAndDelete) {
  constexpr std::string_view resource = "/notifications/twin/properties/desired";
  amqp::link* const in = c.receiver("/devices/d1/twin");
  auto const change = [&](std::string_view text) {
    auto const desired = hub_test::parse(text);
    (void)w.hub.patch_twin({"d1", {}}, {.desired = &desired}, hub::unconditional, w.at);
    c.run();
    return c.texts(in);
  };
  EXPECT_THAT(change(R"({"x":0})"), IsEmpty());
  EXPECT_EQ(twin("PUT", resource), R"(cid="t-1" A{status: 200})");
  EXPECT_THAT(change(R"({"x":1})"),
              ElementsAre(R"(A{resource: "/properties/desired", version: 3} {"x":1,"$version":3})"));
  EXPECT_EQ(twin("DELETE", resource), R"(cid="t-1" A{status: 200})");
  EXPECT_THAT(change(R"({"x":2})"), IsEmpty());
}

TEST_F(Device, SharesAConnectionWithOthers) {
  w.create("d2");
  c.put_token("d2", w.device_token("d2"));
  EXPECT_EQ(c.send(c.sender("/devices/d1/messages/events"), text("1")), "accepted");
  EXPECT_EQ(c.send(c.sender("/devices/d2/messages/events"), text("2")), "accepted");
  EXPECT_EQ(last().source.device_id, "d2");
  EXPECT_EQ(w.hub.connected_devices(), 2u);
}

TEST_F(Device, LosesItsLinksToItsNextConnectionAndToTheHub) {
  c.sender("/devices/d1/messages/events");
  amqp_client second{w};
  second.put_token("d1", w.device_token("d1"));
  second.sender("/devices/d1/messages/events");
  c.run();
  EXPECT_EQ(c.ended("/devices/d1"), "amqp:link:stolen: the same identity connected again");
  EXPECT_TRUE(c.open());
  ASSERT_TRUE(w.hub.delete_identity({"d1", {}}, hub::unconditional, w.at).has_value());
  second.run();
  EXPECT_THAT(second.ended("/devices/d1"), StartsWith("amqp:not-found"));
}

TEST_F(Device, StaysAsLongAsItsTokensGo) {
  c.put_token("d1", w.device_token("d1", 60));
  c.sender("/devices/d1/messages/events");
  c.pass(300s);
  c.put_token("d1", w.device_token("d1", 3600));
  c.pass(1000s);
  EXPECT_TRUE(connected());
  c.pass(3300s);
  EXPECT_FALSE(connected());
  EXPECT_THAT(c.ended("/devices/d1"), StartsWith("amqp:unauthorized-access"));
}

TEST(DeviceFault, AtOnceIsAtOnce) {
  for (std::string_view const type : {"KillTcp", "KillAmqpSession", "KillAmqpMethodReqLink", "KillAmqpD2CLink"}) {
    amqp_world w;
    w.create("d1");
    amqp_client c{w};
    c.put_token("d1", w.device_token("d1"));
    c.receiver("/devices/d1/methods/devicebound");
    amqp::value const asked = amqp::value::string_map({{"AzIoTHub_FaultOperationType", type}});
    amqp::message_view m;
    m.application_properties = asked.bytes();
    m.body = amqp::body_kind::data;
    m.data = "break me";
    c.send(c.sender("/devices/d1/messages/events"), m);
    c.pass(1s);
    EXPECT_GT(c.face_deadline(), w.at.now) << type;
    EXPECT_GT(w.hub.deadline(), w.at.now) << type;
    EXPECT_GT(c.connection().deadline(), w.at.now) << type;
    EXPECT_GT(c.server().deadline(), w.at.now) << type;
  }
}

// azure-iot-sdk-csharp, FaultInjectionConstants.cs: what its end-to-end tests ask a hub to break, and nothing else with it.
TEST(DeviceFault, EndsWhatItNamesAndNothingElse) {
  std::string const events = "/devices/d1/messages/events>", c2d = "/devices/d1/messages/devicebound<";
  std::string const methods = "/devices/d1/methods/devicebound", twin = "/devices/d1/twin", cbs = "$cbs";
  std::vector<std::string> const all{events, c2d, methods + "<", methods + ">", twin + "<", twin + ">", cbs + "<", cbs + ">"};
  struct row {
    std::string type;
    std::vector<std::string> ends;
    std::string answer = "accepted";
    bool closes = false;
  };
  for (row const& r : std::vector<row>{{"KillAmqpD2CLink", {events}, "none"},
                                       {"KillAmqpC2DLink", {c2d}},
                                       {"KillAmqpMethodReqLink", {methods + "<"}},
                                       {"KillAmqpMethodRespLink", {methods + ">"}},
                                       {"KillAmqpTwinLinkReq", {twin + ">"}},
                                       {"KillAmqpTwinLinkResp", {twin + "<"}},
                                       {"KillAmqpCBSLinkReq", {cbs + ">"}},
                                       {"KillAmqpCBSLinkResp", {cbs + "<"}},
                                       {"KillAmqpSession", all, "none"},
                                       {"KillAmqpConnection", all, "none", true},
                                       {"ShutDownAmqp", all, "none", true},
                                       {"KillTcp", all, "none", true}}) {
    amqp_world w;
    w.create("d1");
    amqp_client c{w};
    c.put_token("d1", w.device_token("d1"));
    for (std::string const& name : all) name.back() == '<' ? c.receiver(name.substr(0, name.size() - 1)) : c.sender(name.substr(0, name.size() - 1));
    amqp::value const asked = amqp::value::string_map({{"AzIoTHub_FaultOperationType", r.type},
                                                       {"AzIoTHub_FaultOperationDelayInSecs", "2"},
                                                       {"AzIoTHub_FaultOperationDurationInSecs", "5"}});
    amqp::message_view m;
    m.application_properties = asked.bytes();
    m.body = amqp::body_kind::data;
    m.data = "break me";
    EXPECT_EQ(c.send(c.sender("/devices/d1/messages/events"), m), r.answer) << r.type;
    EXPECT_TRUE(c.ended("").empty()) << r.type;
    c.pass(2s);
    for (std::string const& name : all) {
      bool const wanted = std::find(r.ends.begin(), r.ends.end(), name) != r.ends.end();
      EXPECT_EQ(!c.ended(name).empty(), wanted) << r.type << " and " << name;
    }
    EXPECT_EQ(c.open(), !r.closes) << r.type;
  }
}

TEST_F(Device, AnEndedConnectionLeavesNothingBehind) {
  {
    amqp_client gone{w};
    gone.put_token("d1", w.device_token("d1"));
    gone.receiver("/devices/d1/messages/devicebound");
    gone.receiver("/devices/d1/methods/devicebound");
    w.send_c2d("d1", "m");
    gone.run();
  }
  EXPECT_FALSE(connected());
  w.send_c2d("d1", "n");
  EXPECT_THAT(c.bodies(c.receiver("/devices/d1/messages/devicebound")), ElementsAre("m", "n"));
}

}  // namespace
