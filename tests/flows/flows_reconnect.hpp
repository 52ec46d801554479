// Connections that break, hubs that go away, credentials that are wrong: what the device client promises about them.
#pragma once

#include <gmock/gmock.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <class Wiring>
class Reconnect : public ::testing::Test {};
TYPED_TEST_SUITE(Reconnect, flow_wirings, wiring_names);

using lines = std::vector<std::string>;

// What on_connection_change() said, as "status reason".
struct notices {
  template <class DeviceClient>
  explicit notices(DeviceClient& device) {
    device.on_connection_change([this](connection_status s, connection_reason r) {
      all.push_back(std::string{to_string(s)} + " " + std::string{to_string(r)});
    });
  }
  lines all;
};

// Counts lines of the hub's log.
class counting_log final : public hub::log_sink {
 public:
  void write(hub::log_entry const& entry) override { events.emplace_back(entry.event); }
  [[nodiscard]] long count(std::string_view event) const {
    long n = 0;
    for (auto const& e : events) n += e == event;
    return n;
  }
  lines events;
};

TYPED_TEST(Reconnect, LosesNothingWhereverTheConnectionIsCut) {
  world<TypeParam> w;
  auto service = w.connect_service();
  auto how = w.options();
  how.publish_timeout = 1h;
  for (int n = 0; n != (w.in_virtual_time ? 40 : 20); ++n) {
    SCOPED_TRACE(n);
    auto const id = "d" + std::to_string(n);
    auto device = w.make_device(id, how);
    int pings = 0;
    json::value wanted = json::value::make_object();
    lines got;
    device.on_method("ping", [&](method_request const&) -> method_response { return {.payload = ++pings}; });
    device.on_desired([&](json::value const& patch, std::int64_t) { json::merge_patch(wanted, patch); });
    device.on_message([&](c2d_message const& m) { got.emplace_back(m.content.body.bytes()); });
    int confirmed = 0, ended = 0, connected = 0;
    device.async_connect([&](result<void> r) { connected += r ? 1 : 100; });
    for (char const* text : {"0", "1", "2"})
      device.async_send_telemetry({.body = text}, [&](result<void> r) { ++ended, confirmed += r.has_value(); });
    result<std::int64_t> patched{errc::closed};
    device.async_update_reported_properties({{"n", n}},
                                            [&](result<std::int64_t> v) { patched = std::move(v), ++ended; });
    w.run_turns(n);
    w.disconnect(id);
    ASSERT_TRUE(w.wait_until([&] { return ended == 4 && connected == 1 && device.is_connected(); }));
    EXPECT_EQ(confirmed, 3);
    EXPECT_TRUE(patched);
    EXPECT_EQ(w.get_twin(id).reported["n"], n);
    EXPECT_EQ(w.distinct_bodies(id), (lines{"0", "1", "2"}));
    w.set_desired(id, {{"k", n}});
    ASSERT_TRUE(w.wait_until([&] { return wanted["k"] == n; }));
    EXPECT_EQ(service.invoke_method(id, {.name = "ping"}).value(), (method_response{200, 1}));
    w.send_c2d(id, {.body = "hello"});
    ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d(id) == 0; }));
    EXPECT_THAT(got, ElementsAre("hello"));
    EXPECT_EQ(ended, 4);
    EXPECT_EQ(device.pending_operations(), 0u);
  }
}

TYPED_TEST(Reconnect, IsToldWithReasons) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  notices said{device};
  device.connect().value();
  w.disconnect("d");
  ASSERT_TRUE(w.wait_until([&] { return said.all.size() == 4; }));
  device.close();
  EXPECT_THAT(said.all, ElementsAre("connecting opened", "connected opened", "retrying connection_lost",
                                    "connected recovered", "disconnected closed"));
}

TYPED_TEST(Reconnect, BringsMethodsTwinAndMessagesBackAfterTheHubWasAway) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  notices said{device};
  json::value wanted;
  lines got;
  device.on_method("ping", [](method_request const&) -> method_response { return {.payload = "pong"}; });
  device.on_desired([&](json::value const& properties, std::int64_t) { wanted = properties; });
  device.on_message([&](c2d_message const& m) { got.emplace_back(m.content.body.bytes()); });
  device.connect().value();
  for (int round = 1; round <= 3; ++round) {
    SCOPED_TRACE(round);
    w.stop_hub();
    ASSERT_TRUE(w.wait_until([&] { return device.status() == connection_status::retrying; }));
    w.run_for(5 * w.unit);
    EXPECT_EQ(device.status(), connection_status::retrying);
    w.start_hub();
    // One more change in each round: versions are all that a device has to tell a hub that was made anew by.
    for (int i = 1; i <= round; ++i) w.set_desired("d", {{"round", i}});
    ASSERT_TRUE(w.wait_until([&] { return device.is_connected() && wanted["round"] == round; }));
    auto service = w.connect_service();
    EXPECT_EQ(service.invoke_method("d", {.name = "ping"}).value().payload, "pong");
    EXPECT_TRUE(device.update_reported_properties({{"round", round}}));
    w.send_c2d("d", {.body = std::to_string(round)});
    ASSERT_TRUE(w.wait_until([&] { return w.pending_c2d("d") == 0; }));
  }
  EXPECT_THAT(got, ElementsAre("1", "2", "3"));
}

TYPED_TEST(Reconnect, ConnectsOnceTheHubIsThere) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  w.stop_hub();
  result<void> outcome{errc::closed};
  bool done = false;
  device.async_connect([&](result<void> r) { outcome = std::move(r), done = true; });
  w.run_for(5 * w.unit);
  EXPECT_FALSE(done);
  w.start_hub();
  ASSERT_TRUE(w.wait_until([&] { return done; }));
  EXPECT_TRUE(outcome);
  EXPECT_TRUE(device.is_connected());
}

TYPED_TEST(Reconnect, GivesUpConnectingAfterItsLimitAndCanBeToldToTryAgain) {
  world<TypeParam> w;
  auto how = w.options();
  how.connect_limit = 10 * w.unit;
  auto device = w.make_device("d", how);
  notices said{device};
  w.stop_hub();
  EXPECT_THAT(device.connect(), FailedWith(errc::connection_refused));
  EXPECT_EQ(device.status(), connection_status::disconnected);
  w.run_for(w.unit);
  ASSERT_FALSE(said.all.empty());
  EXPECT_EQ(said.all.back(), "disconnected gave_up");
  EXPECT_THAT(device.send_telemetry({.body = "x"}), FailedWith(errc::connection_refused));
  w.start_hub();
  EXPECT_TRUE(device.connect());
  EXPECT_TRUE(device.send_telemetry({.body = "y"}));
}

TYPED_TEST(Reconnect, GivesUpAfterALossWhenTheOptionsSaySo) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 1h;
  how.reconnect.give_up_after = 10 * w.unit;
  auto device = w.make_device("d", how);
  notices said{device};
  device.connect().value();
  w.stop_hub();
  ASSERT_TRUE(w.wait_until([&] { return !device.is_connected(); }));
  auto const outcome = device.send_telemetry({.body = "x"});
  EXPECT_THAT(outcome, FailedWith(errc::connection_refused));
  w.run_for(w.unit);
  EXPECT_THAT(said.all,
              ElementsAre("connecting opened", "connected opened", "retrying connection_lost", "disconnected gave_up"));
  w.start_hub();
}

// Eclipse mosquitto 1.5.4 (https://mosquitto.org/ChangeLog.txt): who came by WebSocket was not asked for a certificate. Here
// it is keys that devices show, and this runs on every face: MQTT bare, in TLS and in WebSockets, and AMQP.
TYPED_TEST(Reconnect, StopsAtOnceWhenTheKeyIsWrong) {
  counting_log log;
  world<TypeParam> w{{.log = &log}};
  w.create("d");
  auto const old = w.connection_string("d");
  w.roll_keys("d");
  auto device = w.device_from(old, w.options());
  notices said{device};
  EXPECT_THAT(device.connect(), FailedWith(errc::unauthorized));
  w.run_for(5 * w.unit);
  EXPECT_THAT(said.all, ElementsAre("connecting opened", "disconnected bad_credentials"));
  EXPECT_EQ(log.count("refused"), w.speaks_amqp ? 2 : 1);  // AMQP: once by the core, once by the connection
  EXPECT_THAT(device.send_telemetry({.body = "x"}), FailedWith(errc::unauthorized));
  EXPECT_THAT(device.get_twin(), FailedWith(errc::unauthorized));
}

TYPED_TEST(Reconnect, StopsAtOnceWhenTheTokenHasExpired) {
  counting_log log;
  world<TypeParam> w{{.log = &log}};
  w.create("d");
  auto device = w.device_from(connection_string_with_token(w, "d", -2h), w.options());
  EXPECT_THAT(device.connect(), FailedWith(errc::unauthorized));
  w.run_for(5 * w.unit);
  EXPECT_LE(log.count("refused"), 1);  // the client may see for itself that a token it was given is old
  auto good = w.device_from(connection_string_with_token(w, "d", 0h), w.options());
  EXPECT_TRUE(good.connect());
}

TYPED_TEST(Reconnect, StopsWhenTheKeyWasRolledMeanwhile) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 1h;
  auto device = w.make_device("d", how);
  notices said{device};
  device.connect().value();
  w.roll_keys("d");
  w.disconnect("d");
  EXPECT_THAT(device.send_telemetry({.body = "x"}), FailedWith(errc::unauthorized));
  w.run_for(w.unit);
  EXPECT_THAT(said.all, ElementsAre("connecting opened", "connected opened", "retrying connection_lost",
                                    "disconnected bad_credentials"));
}

TYPED_TEST(Reconnect, StopsWhenTheDeviceWasDeleted) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  notices said{device};
  device.connect().value();
  w.remove("d");
  ASSERT_TRUE(w.wait_until([&] { return device.status() == connection_status::disconnected; }));
  w.run_for(w.unit);
  EXPECT_THAT(said.all, ElementsAre("connecting opened", "connected opened", "retrying connection_lost",
                                    "disconnected bad_credentials"));
}

TYPED_TEST(Reconnect, TriesOnWhileTheDeviceIsDisabled) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  notices said{device};
  device.connect().value();
  w.set_status("d", identity_status::disabled);
  if (w.speaks_amqp) {  // which says "unauthorized", as for a wrong key
    ASSERT_TRUE(w.wait_until([&] { return device.status() == connection_status::disconnected; }));
    EXPECT_THAT(device.connect(), FailedWith(errc::unauthorized));
    w.set_status("d", identity_status::enabled);
    EXPECT_TRUE(device.connect());
    return;
  }
  ASSERT_TRUE(w.wait_until([&] { return device.last_connection_error() == errc::service_unavailable; }));
  w.run_for(5 * w.unit);
  EXPECT_EQ(device.status(), connection_status::retrying);
  w.set_status("d", identity_status::enabled);
  ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }));
  w.run_turns(20);
  ASSERT_EQ(said.all.size(), 4u);
  EXPECT_EQ(said.all[2], "retrying connection_lost");
  EXPECT_EQ(said.all[3], "connected recovered");
}

TYPED_TEST(Reconnect, StopsForADisabledDeviceWhereTheHubSaysSo) {
  world<TypeParam> w{{.hub = {.disabled_device_code = 5}}};
  w.create("d");
  w.set_status("d", identity_status::disabled);
  auto device = w.make_device("d");
  EXPECT_THAT(device.connect(), FailedWith(errc::unauthorized));
  EXPECT_EQ(device.status(), connection_status::disconnected);
}

TYPED_TEST(Reconnect, RefusesAWrongBackEndKey) {
  world<TypeParam> w;
  auto service = w.connect_service("registryRead");
  EXPECT_TRUE(service.list_devices());
  EXPECT_THAT(service.create_device("d"), FailedWith(errc::unauthorized));
  EXPECT_THAT(service.get_twin("d"), FailedWith(errc::unauthorized));
}

TYPED_TEST(Reconnect, EndsAMethodCallWhoseConnectionBreaks) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  int calls = 0;
  responder kept;
  device.on_method("slow", [&](method_request const&, responder respond) { ++calls, kept = std::move(respond); });
  device.connect().value();
  auto service = w.connect_service();
  result<method_response> reply{errc::closed};
  bool done = false;
  service.async_invoke_method("d", {.name = "slow"}, {},
                              [&](result<method_response> r) { reply = std::move(r), done = true; });
  ASSERT_TRUE(w.wait_until([&] { return calls == 1; }));
  w.disconnect("d");
  ASSERT_TRUE(w.wait_until([&] { return done && device.is_connected(); }));
  EXPECT_THAT(reply, FailedWith(errc::device_offline));
  EXPECT_THAT(kept.answer({.status = 200}), FailedWith(errc::not_connected));
  w.run_for(w.unit);
  EXPECT_EQ(calls, 1);
}

TYPED_TEST(Reconnect, CloseWhileConnectingEndsTheAttempt) {
  world<TypeParam> w;
  for (int n = 0; n != 20; ++n) {
    SCOPED_TRACE(n);
    auto device = w.make_device("d");
    device.on_method("ping", [](method_request const&) -> method_response { return {}; });
    std::vector<bool> outcomes;
    device.async_connect([&](result<void> r) { outcomes.push_back(r.has_value()); });
    w.run_turns(n);
    device.close();
    EXPECT_EQ(outcomes.size(), 1u);
    EXPECT_EQ(device.status(), connection_status::disconnected);
    device.connect().value();
    device.send_telemetry({.body = "x"}).value();
  }
}

TYPED_TEST(Reconnect, ConnectAndCloseManyTimesLeavesNothingBehind) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.on_desired([](json::value const&, std::int64_t) {});
  for (int n = 0; n != 30; ++n) {
    device.connect().value();
    device.close();
  }
  EXPECT_TRUE(w.wait_until([&] { return w.core().connected_devices() == 0; }));
  EXPECT_EQ(device.pending_operations(), 0u);
}

TYPED_TEST(Reconnect, AThrottledHubIsTriedAgain) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  w.core().faults().reject_next(hub::fault_point::connect, errc::throttled, 3);
  EXPECT_TRUE(device.connect());
}

}  // namespace
