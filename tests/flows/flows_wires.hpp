// Faults of wires: silence, resets at every byte, drips, latency. On the wirings that have wires: `wire_wirings`.
#pragma once

#include <gmock/gmock.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;

using lines = std::vector<std::string>;

template <class Wiring>
class Wires : public ::testing::Test {};
TYPED_TEST_SUITE(Wires, wire_wirings, wiring_names);

// All flows of a device once; true when every one ended as it should.
template <class World>
void run_all_flows(World& w, typename World::device_client& device, std::string const& id) {
  int pings = 0, ended = 0, confirmed = 0;
  json::value wanted = json::value::make_object();
  lines got;
  device.on_method("ping", [&](method_request const&) -> method_response { return {.payload = ++pings}; });
  device.on_desired([&](json::value const& patch, std::int64_t) { json::merge_patch(wanted, patch); });
  device.on_message([&](c2d_message const& m) { got.emplace_back(m.content.body.bytes()); });
  ASSERT_TRUE(device.connect());
  for (char const* text : {"0", "1", "2"})
    device.async_send_telemetry({.body = text}, [&](result<void> r) { ++ended, confirmed += r.has_value(); });
  device.async_update_reported_properties({{"a", 1}},
                                          [&](result<std::int64_t> v) { ++ended, confirmed += v.has_value(); });
  ASSERT_TRUE(w.wait_until([&] { return ended == 4; }));
  EXPECT_EQ(confirmed, 4);
  EXPECT_EQ(w.distinct_bodies(id), (lines{"0", "1", "2"}));
  EXPECT_EQ(w.get_twin(id).reported["a"], 1);
  w.set_desired(id, {{"b", 2}});
  w.send_c2d(id, {.body = "hello"});
  ASSERT_TRUE(w.wait_until([&] { return wanted["b"] == 2 && w.pending_c2d(id) == 0 && device.is_connected(); }));
  EXPECT_GE(got.size(), 1u);
  device.on_method("ping", [](method_request const&) -> method_response { return {}; });
  device.on_desired([](json::value const&, std::int64_t) {});
  device.on_message([](c2d_message const&) {});
}

TYPED_TEST(Wires, MayResetAfterAnyNumberOfBytes) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 1h;
  how.connect_limit = 1h;
  (void)w.connect_device("warm-up");  // TLS contexts are made
  bool reached = true;
  int const step = std::is_base_of_v<wiring::pipe_tls, TypeParam> ? 97 : 7;
  for (std::uint64_t bytes = 1; reached; bytes += static_cast<std::uint64_t>(step)) {
    SCOPED_TRACE(bytes);
    ASSERT_LT(bytes, 20'000u);
    auto const id = "d" + std::to_string(bytes);
    auto device = w.make_device(id, how);
    w.hub().pipes().set_options({.drop_after = bytes});
    int losses = 0;
    device.on_connection_change([&](connection_status now, connection_reason) {
      if (now != connection_status::retrying) return;
      ++losses;
      w.hub().pipes().set_options({});  // the first connection alone is bad
    });
    run_all_flows(w, device, id);
    if (::testing::Test::HasFatalFailure()) return;
    reached = losses != 0;
    w.hub().pipes().set_options({});
  }
}

TYPED_TEST(Wires, MayDripByteByByteWithLatency) {
  for (std::uint64_t seed = 1; seed != 6; ++seed) {
    SCOPED_TRACE(seed);
    world<TypeParam> w{
        {.seed = seed, .pipes = {.latency = 20ms, .jitter = 30ms, .max_chunk = 3, .capacity = 50, .seed = seed}}};
    auto how = w.options();
    how.publish_timeout = 1h;
    auto device = w.make_device("d", how);
    run_all_flows(w, device, "d");
    EXPECT_TRUE(w.connect_service().get_twin("d"));
  }
}

TYPED_TEST(Wires, ThatFallSilentAreNoticedByKeepAlive) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 1h;
  auto device = w.make_device("d", how);
  lines said;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    said.push_back(std::string{to_string(now)} + " " + std::string{to_string(why)});
  });
  device.connect().value();
  w.hub().pipes().hold_all();  // the cable is pulled: nothing comes, nothing is said
  int confirmed = 0;
  device.async_send_telemetry({.body = "into the void"}, [&](result<void> r) { confirmed += r.has_value(); });
  ASSERT_TRUE(w.wait_until([&] { return confirmed == 1; }, 15min));
  EXPECT_THAT(said, ElementsAre("connecting opened", "connected opened", "retrying connection_lost",
                                "connected recovered"));
  EXPECT_EQ(w.distinct_bodies("d"), (lines{"into the void"}));
}

TYPED_TEST(Wires, ThatAreHalfOpenAreNoticedByKeepAlive) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  w.hub().pipes().hold_all(memory::pipe_direction::to_client);
  w.disconnect("d");  // the hub has forgotten the device, which does not hear of it
  w.run_turns(10);
  EXPECT_TRUE(device.is_connected());
  ASSERT_TRUE(w.wait_until([&] { return !device.is_connected(); }, 15min));
  ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }, 5min));
  EXPECT_TRUE(device.send_telemetry({.body = "x"}));
}

TYPED_TEST(Wires, OfASleepOfThreeHoursComeBackWithAFreshToken) {
  world<TypeParam> w;
  auto how = w.options();
  how.connect_limit = 10h;
  auto device = w.connect_device("d", how);
  w.hub().pipes().hold_all();
  w.hub().pipes().refuse(~std::size_t{0});
  w.run_for(3h);
  EXPECT_FALSE(device.is_connected());
  w.hub().pipes().refuse(0);
  w.hub().pipes().reset_all();
  ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }, 5min));
  EXPECT_TRUE(device.send_telemetry({.body = "x"}));
}

TYPED_TEST(Wires, ThatFallSilentWhileConnectingEndTheAttempt) {
  world<TypeParam> w;
  (void)w.connect_device("warm-up");
  auto how = w.options();
  how.connect_limit = 5min;
  auto device = w.make_device("d", how);
  result<void> outcome{errc::closed};
  bool done = false;
  device.async_connect([&](result<void> r) { outcome = std::move(r), done = true; });
  w.run_turns(2);
  w.hub().pipes().hold_all();
  ASSERT_TRUE(w.wait_until([&] { return done; }));
  EXPECT_TRUE(outcome);  // the second attempt got through
}

TYPED_TEST(Wires, ThatBreakUnderTheBackEndSayWhetherTheCallMayHaveBeenCarriedOut) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.on_method("slow", [](method_request const&, responder) {});
  int called = 0;
  responder kept;
  device.on_method("slow", [&](method_request const&, responder respond) { ++called, kept = std::move(respond); });
  device.connect().value();
  auto service = w.connect_service();
  result<method_response> reply{errc::closed};
  bool done = false;
  service.async_invoke_method("d", {.name = "slow"}, {},
                              [&](result<method_response> r) { reply = std::move(r), done = true; });
  ASSERT_TRUE(w.wait_until([&] { return called == 1; }));
  w.hub().pipes().reset_all();
  ASSERT_TRUE(w.wait_until([&] { return done; }));
  EXPECT_THAT(reply, FailedWith(errc::connection_lost));
  w.run_for(1min);
  EXPECT_EQ(called, 1);  // a method is never called twice on its own
  EXPECT_TRUE(service.get_twin("d"));
}

}  // namespace
