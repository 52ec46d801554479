// Connections: one per identity, sessions, wills, token ends, methods in virtual time.
#include "hub_world.hpp"

namespace {

using namespace hub_test;

struct connected_world : world {
  recording_link link;
  connected_world() { create("d1"); }
  ~connected_world() { hub.disconnect(link, ih::ending::graceful, at); }
};

ih::d2c_message body_of(std::string_view text) {
  ih::d2c_message m;
  m.body = text;
  return m;
}

TEST(HubConnection, ConnectAndDisconnectShowInTheRegistry) {
  connected_world w;
  w.connect(w.link, "d1");
  auto up = w.hub.get_identity({"d1", {}}).value();
  EXPECT_EQ(up.connection_state, iothub::connection_state::connected);
  EXPECT_EQ(up.connection_state_updated_time, start);
  EXPECT_EQ(w.hub.connected_devices(), 1u);
  w.advance(seconds{7});
  w.hub.touch(w.link, w.at);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  auto down = w.hub.get_identity({"d1", {}}).value();
  EXPECT_EQ(down.connection_state, iothub::connection_state::disconnected);
  EXPECT_EQ(down.connection_state_updated_time, start + seconds{7});
  EXPECT_EQ(down.last_activity_time, start + seconds{7});
  EXPECT_EQ(w.hub.connected_devices(), 0u);
  EXPECT_FALSE(w.link.attached());
}

TEST(HubConnection, UnknownAndDisabledIdentitiesAreRefused) {
  connected_world w;
  EXPECT_EQ(hub_code(w.hub.connect(w.link, {"d2", {}}, {}, {}, w.at)), 404001);
  EXPECT_EQ(hub_code(w.hub.connect(w.link, {"d1", "m1"}, {}, {}, w.at)), 404010);
  w.create("d1", "m1");
  auto off = w.hub.get_identity({"d1", {}}).value();
  off.status = iothub::identity_status::disabled;
  w.hub.put_identity(off, ih::unconditional, w.at).value();
  EXPECT_EQ(hub_code(w.hub.connect(w.link, {"d1", {}}, {}, {}, w.at)), 403012);
  EXPECT_EQ(hub_code(w.hub.connect(w.link, {"d1", "m1"}, {}, {}, w.at)), 403012);
}

TEST(HubConnection, AnAttachedLinkCannotConnectAgain) {
  connected_world w;
  w.connect(w.link, "d1");
  EXPECT_EQ(w.hub.connect(w.link, {"d1", {}}, {}, {}, w.at).error().code(), errc::invalid_state);
}

TEST(HubConnection, ADetachedLinkIsAnsweredNotConnected) {
  connected_world w;
  EXPECT_EQ(w.hub.send_telemetry(w.link, body_of("x"), w.at).error().code(), errc::not_connected);
  EXPECT_EQ(w.hub.get_device_twin(w.link, w.at).error().code(), errc::not_connected);
  EXPECT_EQ(w.hub.patch_reported(w.link, parse("{}"), {}, w.at).error().code(), errc::not_connected);
  EXPECT_EQ(w.hub.settle_c2d(w.link, "x", ih::settlement::complete, w.at).error().code(), errc::not_connected);
  w.hub.listen_methods(w.link, true, w.at);
  w.hub.listen_desired(w.link, true, w.at);
  w.hub.listen_c2d(w.link, ih::c2d_mode::at_least_once, w.at);
  w.hub.answer_method(w.link, 1, {}, w.at);
  w.hub.answer_method_badly(w.link, 1, "x", w.at);
  w.hub.disconnect(w.link, ih::ending::lost, w.at);
}

TEST(HubConnection, ASecondConnectionClosesTheFirstAndItsWillIsPublished) {
  connected_world w;
  recording_link second;
  recording_caller caller;
  iothub::message will;
  will.body = iothub::message_body{"gone"};
  w.connect(w.link, "d1", false, &will);
  w.hub.listen_methods(w.link, true, w.at);
  w.hub.invoke_method({"d1", {}}, {"m", nullptr}, {}, caller, w.at).value();
  w.connect(second, "d1");
  ASSERT_EQ(w.link.drops.size(), 1u);
  EXPECT_EQ(w.link.drops[0].hub_code(), 400027);
  EXPECT_FALSE(w.link.attached());
  EXPECT_TRUE(second.attached());
  ASSERT_EQ(caller.outcomes.size(), 1u);
  EXPECT_TRUE(caller.outcomes[0].second.starts_with("404104"));
  auto const events = w.hub.events().all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].content.body.bytes(), "gone");
  EXPECT_EQ(*events[0].content.find("iothub-MessageType"), "Will");
  // The old face reports its end late: nothing happens to the new connection.
  w.hub.disconnect(w.link, ih::ending::lost, w.at);
  EXPECT_TRUE(second.attached());
  EXPECT_TRUE(w.hub.send_telemetry(second, body_of("x"), w.at).has_value());
}

TEST(HubConnection, DeviceAndModuleCoexist) {
  connected_world w;
  recording_link module;
  w.create("d1", "m1");
  w.connect(w.link, "d1");
  ASSERT_TRUE(w.hub.connect(module, {"d1", "m1"}, {}, {}, w.at).has_value());
  EXPECT_TRUE(w.link.attached());
  EXPECT_EQ(w.hub.connected_devices(), 1u);
}

TEST(HubConnection, TheWillIsPublishedWhenTheConnectionIsLostAndNotAfterDisconnect) {
  connected_world w;
  iothub::message will;
  will.body = iothub::message_body{"bye"};
  will.properties = {{"k", "v", true}};
  w.connect(w.link, "d1", false, &will);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  EXPECT_EQ(w.hub.events().size(), 0u);
  w.connect(w.link, "d1", false, &will);
  w.hub.disconnect(w.link, ih::ending::lost, w.at);
  auto const events = w.hub.events().all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(*events[0].content.find("k"), "v");
}

TEST(HubConnection, ALinkThatGoesWithoutAWordCountsAsLost) {
  connected_world w;
  iothub::message will;
  {
    recording_link short_lived;
    w.connect(short_lived, "d1", false, &will);
  }
  EXPECT_EQ(w.hub.events().size(), 1u);
  EXPECT_EQ(w.hub.connected_devices(), 0u);
}

TEST(HubConnection, ALinkMayOutliveTheHub) {
  recording_link link;
  {
    world w;
    w.create("d1");
    w.connect(link, "d1");
  }
  EXPECT_FALSE(link.attached());
}

TEST(HubConnection, TokenEndDropsTheConnectionAfterTheGrace) {
  connected_world w;
  ih::grant with;
  with.expires_at = start + seconds{3600};
  ASSERT_TRUE(w.hub.connect(w.link, {"d1", {}}, with, {}, w.at).has_value());
  w.advance(seconds{4199});
  EXPECT_TRUE(w.link.attached());
  w.advance(seconds{1});
  ASSERT_EQ(w.link.drops.size(), 1u);
  EXPECT_EQ(w.link.drops[0].hub_code(), 401003);
  EXPECT_EQ(w.log.lines.back(), "dropped d1 the token expired");
  EXPECT_EQ(w.hub.deadline(), iothub::never);
}

TEST(HubConnection, DisconnectTakesTheTokenTimerAway) {
  connected_world w;
  ih::grant with;
  with.expires_at = start + seconds{10};
  ASSERT_TRUE(w.hub.connect(w.link, {"d1", {}}, with, {}, w.at).has_value());
  EXPECT_EQ(w.hub.deadline(), w.at.now + seconds{610});
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  EXPECT_EQ(w.hub.deadline(), iothub::never);
}

TEST(HubConnection, DisablingAndDeletingDropDeviceAndModules) {
  connected_world w;
  recording_link module;
  w.create("d1", "m1");
  w.connect(w.link, "d1");
  ASSERT_TRUE(w.hub.connect(module, {"d1", "m1"}, {}, {}, w.at).has_value());
  auto d = w.hub.get_identity({"d1", {}}).value();
  d.status = iothub::identity_status::disabled;
  w.hub.put_identity(d, ih::unconditional, w.at).value();
  EXPECT_EQ(w.link.drops.at(0).hub_code(), 403012);
  EXPECT_EQ(module.drops.at(0).hub_code(), 403012);
  d.status = iothub::identity_status::enabled;
  w.hub.put_identity(d, ih::unconditional, w.at).value();
  w.connect(w.link, "d1");
  ASSERT_TRUE(w.hub.connect(module, {"d1", "m1"}, {}, {}, w.at).has_value());
  ASSERT_TRUE(w.hub.delete_identity({"d1", {}}, {}, w.at).has_value());
  EXPECT_EQ(w.link.drops.at(1).hub_code(), 404001);
  EXPECT_EQ(module.drops.at(1).hub_code(), 404010);
}

TEST(HubConnection, TheHubMayDropAConnectionItself) {
  connected_world w;
  EXPECT_FALSE(w.hub.drop({"d1", {}}, errc::service_unavailable, w.at));
  w.connect(w.link, "d1");
  EXPECT_TRUE(w.hub.drop({"d1", {}}, errc::service_unavailable, w.at));
  EXPECT_EQ(w.link.drops.at(0).code(), errc::service_unavailable);
  EXPECT_FALSE(w.hub.drop({"nobody", {}}, errc::service_unavailable, w.at));
}

TEST(HubConnection, ASessionIsPresentOnceASubscriptionWasStored) {
  connected_world w;
  EXPECT_FALSE(w.connect(w.link, "d1").session_present);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  EXPECT_FALSE(w.connect(w.link, "d1").session_present);
  w.hub.listen_c2d(w.link, ih::c2d_mode::at_least_once, w.at);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  EXPECT_TRUE(w.connect(w.link, "d1").session_present);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  EXPECT_FALSE(w.connect(w.link, "d1", true).session_present);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  EXPECT_FALSE(w.connect(w.link, "d1").session_present);
}

TEST(HubConnection, MethodAndTwinSubscriptionsAreNeverStored) {
  connected_world w;
  recording_caller caller;
  w.connect(w.link, "d1");
  w.hub.listen_methods(w.link, true, w.at);
  w.hub.listen_desired(w.link, true, w.at);
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  w.connect(w.link, "d1");
  EXPECT_EQ(hub_code(w.hub.invoke_method({"d1", {}}, {"m", nullptr}, {}, caller, w.at)), 404103);
  value const desired = parse(R"({"a":1})");
  w.hub.patch_twin({"d1", {}}, {nullptr, &desired}, ih::unconditional, w.at).value();
  EXPECT_TRUE(w.link.desired.empty());
}

}  // namespace
