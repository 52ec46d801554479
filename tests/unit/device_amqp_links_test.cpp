// The AMQP dialect of a device: how it connects, which links it attaches, and what it says when one of them goes.
#include "device_amqp_peer.hpp"
#include "test_data.hpp"

namespace {

using namespace device_amqp_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr feature_set all_features =
    feature::methods | feature::twin | feature::desired_properties | feature::messages;

TEST(AmqpDevice, ShowsItsTokenAndThenAttachesItsTelemetryLink) {
  dialect_world w;
  w.connect();
  EXPECT_EQ(w.net.where, (endpoint{"gateway.example", 5671}));
  EXPECT_EQ(w.net.options.hostname, "hub.example");
  EXPECT_EQ(w.net.options.container_id, "d1");
  EXPECT_EQ(w.net.options.idle_timeout, 480s);
  // The audience is the token's own resource, as azure-iot-sdk-node has it.
  EXPECT_THAT(w.hub().tokens, ElementsAre("hub.example%2Fdevices%2Fd1 " + std::string{token_text} +
                                          " servicebus.windows.net:sastoken"));
  ASSERT_THAT(w.hub().attaches, SizeIs(1));
  EXPECT_EQ(w.hub().attaches[0].target, "/devices/d1/messages/events");
  EXPECT_EQ(w.hub().attaches[0].property["com.microsoft:client-version"], "iothub-cpp/0.1.0 acme/1");
  EXPECT_EQ(w.hub().attaches[0].property["com.microsoft:model-id"], "dtmi:com:example:T;1");
}

TEST(AmqpDevice, WithoutATokenAttachesAtOnce) {
  dialect_world w;
  w.connect("");
  EXPECT_THAT(w.hub().tokens, IsEmpty());
  EXPECT_THAT(w.hub().cbs_links, IsEmpty());
  EXPECT_THAT(w.hub().attaches, SizeIs(1));
}

TEST(AmqpDevice, OfAModuleNamesTheModule) {
  dialect_world w{"m 1"};
  w.connect();
  EXPECT_EQ(w.net.options.container_id, "d1/m 1");
  EXPECT_EQ(w.hub().attaches[0].target, "/devices/d1/modules/m%201/messages/events");
}

// Microsoft's own device over AMQP, as it was recorded: address, direction, modes and properties of each link.
TEST(AmqpDevice, AttachesTheLinksThatTheSdkAttaches) {
  dialect_world w;
  w.connect();
  w.enable(all_features);
  int compared = 0;
  json::value const goldens = iothub_test::load("goldens.json");
  for (auto const& record : goldens.elements()) {
    if (record["event"] != "attach" || record["version"] != "1.18.4 + -amqp 1.14.4") continue;
    SCOPED_TRACE(record.dump());
    bool const sends = record["role"] == "sender";
    auto address = std::string{*record[sends ? "target" : "source"].as_string()};
    if (!address.starts_with("/devices/dev1/")) continue;
    address.replace(0, 13, "/devices/d1");
    peer::seen_attach const* ours = nullptr;
    for (auto const& each : w.hub().attaches)
      if (each.device_sends == sends && (sends ? each.target : each.source) == address) ours = &each;
    ASSERT_NE(ours, nullptr);
    ++compared;
    if (auto const mode = record["rcv_settle_mode"].as_int()) {
      EXPECT_EQ(ours->rcv, *mode);
    }
    if (auto const mode = record["snd_settle_mode"].as_int()) {
      EXPECT_EQ(ours->snd, *mode);
    }
    for (auto const& member : record["properties"].members()) {
      auto const found = ours->property.find(std::string{member.key()});
      // The SDK writes the properties of the methods' links on the one for messages too, which nobody reads.
      if (address.ends_with("/messages/devicebound") && member.key() != "com.microsoft:client-version") continue;
      ASSERT_NE(found, ours->property.end()) << member.key();
      if (member.key() == "com.microsoft:api-version") {
        EXPECT_EQ(found->second, *member.value().as_string());
      }
      if (member.key() == "com.microsoft:channel-correlation-id") {
        std::string const theirs{*member.value().as_string()};
        EXPECT_TRUE(found->second.starts_with(theirs.substr(0, theirs.find(':') + 1)));
        EXPECT_TRUE(is_uuid(std::string_view{found->second}.substr(theirs.find(':') + 1)));
      }
    }
  }
  EXPECT_EQ(compared, 6);
}

TEST(AmqpDevice, GivesTheTwoLinksOfAKindOneChannel) {
  dialect_world w;
  w.connect();
  w.enable(all_features);
  std::map<std::string, std::vector<std::string>> channels;
  std::vector<std::string> names;
  for (auto& each : w.hub().attaches) {
    names.push_back(each.name);
    if (each.property.contains("com.microsoft:channel-correlation-id"))
      channels[each.device_sends ? each.target : each.source].push_back(
          each.property["com.microsoft:channel-correlation-id"]);
  }
  ASSERT_THAT(channels, SizeIs(2));
  for (auto const& [address, ids] : channels) {
    ASSERT_THAT(ids, SizeIs(2)) << address;
    EXPECT_EQ(ids[0], ids[1]);
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  std::string const before = names[0];
  w.connect();  // on the next connection they are others
  EXPECT_NE(w.hub().attaches[0].name, before);
}

TEST(AmqpDevice, EnablesEachFeatureOnce) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  w.enable(feature::twin);
  w.enable(feature::desired_properties);
  w.enable(feature::messages);
  EXPECT_THAT(w.hub().attaches, SizeIs(6));
  EXPECT_THAT(w.hub().messages, SizeIs(1));  // the one that asks for notices
  EXPECT_EQ(w.hub().messages[0].text, "A{operation: \"PUT\", resource: \"/notifications/twin/properties/desired\"}  ");
}

TEST(AmqpDevice, IsNotReadyBeforeTheHubSaidYes) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.answers_tokens = false; };
  w.open();
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.speaks.enable(feature::methods, w.now).error(), errc::not_connected);
  EXPECT_EQ(w.speaks.send_telemetry(text("x"), w.now).error(), errc::not_connected);
  EXPECT_EQ(w.speaks.get_twin(w.now).error(), errc::not_connected);
  EXPECT_EQ(w.speaks.renew("t", w.now).error(), errc::not_connected);
}

// --- refusals --------------------------------------------------------------------------------------------------------

TEST(AmqpDevice, AHubThatIsTooBusyForATokenHasNotRefusedIt) {
  struct row {
    void (*answers)(peer&);
    errc why;
  };
  for (row const& each : {row{[](peer& p) { p.token_answer = {429, "later"}; }, errc::throttled},
                          row{[](peer& p) { p.token_answer = {500, "later"}; }, errc::service_unavailable},
                          row{[](peer& p) { p.token_answer = {503, "later"}; }, errc::service_unavailable}}) {
    dialect_world w;
    w.net.prepare = each.answers;
    w.open();
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::closed);
    EXPECT_EQ(w.event.outcome.error(), each.why);
  }
}

TEST(AmqpDevice, SaysThatTheHubRefusedItsToken) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.token_answer = {401, "Token or Certificate is invalid."}; };
  w.open();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::closed);
  EXPECT_EQ(w.event.outcome.error(), errc::unauthorized);
  EXPECT_EQ(w.error_text(), "the hub refused the token: Token or Certificate is invalid.");
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.net.client, nullptr);
}

struct refusal {
  char const* condition;
  errc code;
};

class AmqpDeviceRefused : public ::testing::TestWithParam<refusal> {};
INSTANTIATE_TEST_SUITE_P(Conditions, AmqpDeviceRefused,
                         ::testing::Values(refusal{"amqp:unauthorized-access", errc::unauthorized},
                                           refusal{"amqp:not-found", errc::device_not_found},
                                           refusal{"com.microsoft:device-container-throttled", errc::throttled},
                                           refusal{"com.microsoft:quota-exceeded", errc::quota_exceeded},
                                           refusal{"com.microsoft:timeout", errc::service_unavailable},
                                           refusal{"amqp:link:detach-forced", errc::connection_lost},
                                           refusal{"amqp:link:stolen", errc::connection_lost},
                                           refusal{"amqp:internal-error", errc::server_error},
                                           refusal{"com.example:unheard-of", errc::server_error}));

TEST_P(AmqpDeviceRefused, WhenItAttachesSaysWhichLinkAndWhy) {
  static refusal what;
  what = GetParam();
  dialect_world w;
  w.net.prepare = [](peer& p) { p.refused["/devices/d1/messages/events"] = {what.condition, "not today"}; };
  w.open();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::closed);
  EXPECT_EQ(w.event.outcome.error(), what.code);
  EXPECT_EQ(w.error_text(), "the hub refused the telemetry link: not today (" + std::string{what.condition} + ")");
}

TEST(AmqpDevice, FailsTheFeatureWhoseLinkIsRefused) {
  dialect_world w;
  w.net.prepare = [](peer& p) { p.refused["/devices/d1/twin"] = {"amqp:not-allowed", "basic tier"}; };
  w.connect();
  EXPECT_TRUE(w.speaks.enable(feature::methods | feature::twin, w.now));
  w.step();
  feature_set good, bad;
  while (w.next()) {
    ASSERT_EQ(w.event.kind, device_event_kind::features_ready);
    (w.event.outcome ? good : bad) = w.event.features;
    if (!w.event.outcome) {
      EXPECT_THAT(w.error_text(), HasSubstr("twin"));
    }
  }
  EXPECT_EQ(good, feature_set{feature::methods});
  EXPECT_EQ(bad, feature_set{feature::twin});
  EXPECT_TRUE(w.speaks.send_telemetry(text("x"), w.now));  // the connection goes on
}

// --- the end of a connection -----------------------------------------------------------------------------------------

TEST(AmqpDevice, TakesADetachedLinkForALostConnectionAndNamesIt) {
  for (char const* address : {"/devices/d1/messages/events", "/devices/d1/methods/devicebound", "/devices/d1/twin"}) {
    SCOPED_TRACE(address);
    dialect_world w;
    w.connect();
    w.enable(all_features);
    auto* const link = w.hub().from_device[address];
    ASSERT_NE(link, nullptr);
    link->detach({"amqp:unauthorized-access", "the token has ended"});
    w.step();
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::closed);
    EXPECT_EQ(w.event.outcome.error(), errc::connection_lost);  // whether to try again the next attempt will tell
    EXPECT_THAT(w.error_text(), HasSubstr("the hub detached the "));
    EXPECT_THAT(w.error_text(), HasSubstr("the token has ended (amqp:unauthorized-access)"));
    EXPECT_FALSE(w.next());
  }
}

TEST(AmqpDevice, KeepsWhatAHubThatIsFullSays) {
  dialect_world w;
  w.connect();
  w.hub().from_device["/devices/d1/messages/events"]->detach({"com.microsoft:quota-exceeded", "come back tomorrow"});
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::quota_exceeded);
}

TEST(AmqpDevice, SaysWhyTheHubClosedTheConnectionOrEndedTheSession) {
  {
    dialect_world w;
    w.connect();
    w.net.server->close({"amqp:connection:forced", "maintenance"});
    w.step();
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.outcome.error(), errc::connection_lost);
    EXPECT_EQ(w.error_text(), "the hub closed the connection: maintenance (amqp:connection:forced)");
  }
  {
    dialect_world w;
    w.connect();
    w.net.server->close();
    w.step();
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.outcome.error(), errc::connection_lost);
  }
  {
    dialect_world w;
    w.connect();
    w.hub().session->end({"amqp:session:window-violation", "too much"});
    w.step();
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.outcome.error(), errc::connection_lost);
    EXPECT_THAT(w.error_text(), HasSubstr("the hub ended the session: too much"));
  }
}

TEST(AmqpDevice, TellsWhatTheTransportSays) {
  dialect_world w;
  w.open();
  ASSERT_TRUE(w.next());
  w.net.client->link_lost(error{errc::certificate_rejected, "the certificate is not trusted"}, w.now);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::closed);
  EXPECT_EQ(w.event.outcome.error(), errc::certificate_rejected);
}

TEST(AmqpDevice, SaysGoodByeAndNothingAfterwards) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  w.call("m", "1", "null");
  peer& hub = w.hub();
  w.speaks.close(dialect_close::graceful, w.now);
  EXPECT_EQ(hub.closed, "closed");
  EXPECT_FALSE(w.next());
  w.connect();
  peer& second = w.hub();
  w.speaks.close(dialect_close::abort, w.now);
  EXPECT_EQ(second.closed, "connection_lost");
  EXPECT_FALSE(w.next());
}

// --- tokens ----------------------------------------------------------------------------------------------------------

TEST(AmqpDevice, RenewsItsTokenOnTheSameConnection) {
  dialect_world w;
  w.connect();
  EXPECT_TRUE(w.speaks.renew("second", w.now));
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::token_renewed);
  EXPECT_TRUE(w.event.outcome);
  ASSERT_THAT(w.hub().tokens, SizeIs(2));
  EXPECT_EQ(w.hub().tokens[1], "hub.example%2Fdevices%2Fd1 second servicebus.windows.net:sastoken");
  EXPECT_EQ(w.net.opened, 1);
  EXPECT_THAT(w.hub().cbs_links, SizeIs(2));
}

TEST(AmqpDevice, SaysWhenARenewedTokenIsRefusedOrNotAnswered) {
  dialect_world w;
  w.connect();
  w.hub().token_answer = {401, "no"};
  EXPECT_TRUE(w.speaks.renew("second", w.now));
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::token_renewed);
  EXPECT_EQ(w.event.outcome.error(), errc::unauthorized);
  w.hub().answers_tokens = false;
  EXPECT_TRUE(w.speaks.renew("third", w.now));
  w.step();
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.speaks.deadline(), w.now + 30s);
  w.now += 30s;
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::timeout);
  EXPECT_TRUE(w.speaks.send_telemetry(text("x"), w.now));  // the old one still counts
}

// --- orders at the wrong time, and a hub that breaks rules ------------------------------------------------------------

TEST(AmqpDevice, TakesNoOrdersBeforeItIsConnected) {
  dialect_world w;
  auto const refuses_all = [&] {
    EXPECT_EQ(w.speaks.enable(all_features, w.now).error(), errc::not_connected);
    EXPECT_EQ(w.speaks.send_telemetry(text("x"), w.now).error(), errc::not_connected);
    EXPECT_EQ(w.speaks.get_twin(w.now).error(), errc::not_connected);
    EXPECT_EQ(w.speaks.patch_reported("{}", w.now).error(), errc::not_connected);
    EXPECT_EQ(w.speaks.answer_method("1", 200, "", w.now).error(), errc::not_connected);
    EXPECT_EQ(w.speaks.settle_message(7, settlement::accept, w.now).error(), errc::not_connected);
    EXPECT_TRUE(w.speaks.settle_message(0, settlement::accept, w.now));  // a message that was settled by itself
    EXPECT_EQ(w.speaks.renew("t", w.now).error(), errc::not_connected);
    w.speaks.abandon_telemetry(7);
  };
  refuses_all();
  w.open();
  ASSERT_TRUE(w.next());
  w.hub().from_device["/devices/d1/messages/events"]->detach();
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::closed);
  refuses_all();
}

TEST(AmqpDevice, TakesNoOrdersForFeaturesThatItHasNot) {
  dialect_world w;
  w.connect();
  EXPECT_EQ(w.speaks.get_twin(w.now).error(), errc::not_connected);
  EXPECT_EQ(w.speaks.answer_method("1", 200, "", w.now).error(), errc::not_connected);
  EXPECT_EQ(w.speaks.settle_message(7, settlement::accept, w.now).error(), errc::not_connected);
  w.enable(feature::messages);
  EXPECT_TRUE(w.speaks.settle_message(7, settlement::accept, w.now));  // of an earlier connection
}

TEST(AmqpDevice, RenewsNothingWhereItShowedNoToken) {
  dialect_world w;
  w.connect("");
  EXPECT_EQ(w.speaks.renew("t", w.now).error(), errc::not_connected);
}

// As the hub's own frames: a transfer on the link on which the device sends, and one on a link that is not there.
TEST(AmqpDevice, GivesUpAHubThatBreaksTheRulesOfALinkOrOfTheSession) {
  auto const transfer_on = [](dialect_world& w, std::uint32_t handle) {
    byte_buffer out;
    std::size_t const begun = amqp::begin_frame(amqp::frame_type::amqp, 0, out);
    amqp::transfer t;
    t.handle = handle;
    t.delivery_id = 0;
    t.delivery_tag = "t";
    t.has_delivery_tag = true;
    amqp::encode(t, amqp::list_form::brief, out);
    amqp::end_frame(begun, out);
    w.net.client->receive(out.view(), w.now);
    w.step();
  };
  {
    dialect_world w;
    w.connect();
    transfer_on(w, w.hub().from_device["/devices/d1/messages/events"]->handle());
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::closed);
    EXPECT_EQ(w.event.outcome.error(), errc::protocol_error);
    EXPECT_THAT(w.error_text(), HasSubstr("the hub broke a rule on the telemetry link"));
    EXPECT_FALSE(w.next());
  }
  {
    dialect_world w;
    w.connect();
    transfer_on(w, 77);
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::closed);
    EXPECT_EQ(w.event.outcome.error(), errc::protocol_error);
    EXPECT_FALSE(w.next());
  }
}

TEST(AmqpDevice, TwinAnswersWithoutSenseAreErrorsOrPassedOver) {
  dialect_world w;
  w.connect();
  w.enable(feature::twin);
  for (int const status : {-1, 0, 100, 404, 1000, 99'999}) {
    ASSERT_TRUE(w.speaks.get_twin(w.now));
    w.step();
    w.answer_twin(status, {}, "no json");
    ASSERT_TRUE(w.next()) << status;
    EXPECT_EQ(w.event.kind, device_event_kind::twin_received);
    EXPECT_FALSE(w.event.outcome.has_value()) << status;
  }
  w.answer_twin(200, {}, "{}");  // to a request that is answered
  EXPECT_FALSE(w.next());

  amqp::value const number{std::int32_t{1}};
  amqp::message_view notice;  // without a correlation id, and its body is a number
  notice.body = amqp::body_kind::value;
  notice.value = number.bytes();
  w.say("/devices/d1/twin", notice);
  EXPECT_FALSE(w.next());
  EXPECT_TRUE(w.hub().to_device["/devices/d1/twin"]->send({.payload = std::string_view{"junk"}}));
  w.step();
  EXPECT_FALSE(w.next());

  ASSERT_TRUE(w.speaks.get_twin(w.now));
  w.step();
  amqp::message_view asked;
  std::string const request = w.hub().messages.back().payload;
  ASSERT_FALSE(amqp::read_message(request, asked));
  notice.has_properties = true;
  notice.properties.correlation_id = asked.properties.correlation_id;
  w.say("/devices/d1/twin", notice);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::malformed);
}

TEST(AmqpDevice, MethodCallsWithoutSenseArePassedOver) {
  dialect_world w;
  w.connect();
  w.enable(feature::methods);
  w.call("m", std::string(300, 'x'), "{}");  // an id above 256 bytes
  EXPECT_FALSE(w.next());
  amqp::value const id{"1"}, number{std::int32_t{1}};
  auto const name = amqp::value::string_map({{"IoThub-methodname", "m"}});
  amqp::message_view call;
  call.has_properties = true;
  call.properties.correlation_id = id.bytes();
  call.application_properties = name.bytes();
  call.body = amqp::body_kind::value;
  call.value = number.bytes();
  w.say("/devices/d1/methods/devicebound", call);
  EXPECT_FALSE(w.next());
  w.call("m", "2", "{}");
  EXPECT_TRUE(w.next());
}

TEST(AmqpDevice, KeepsTheHubsTrackingId) {
  dialect_world w;
  w.connect();
  auto const info = amqp::value::symbol_map({{"com.microsoft:tracking-id", "T1"}});
  w.hub().from_device["/devices/d1/messages/events"]->detach({"amqp:internal-error", "x", info.bytes()});
  w.step();
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error().tracking_id(), "T1");
}

}  // namespace
