// The device client in virtual time, its protocol spoken by the test: operations, timers, tokens.
#include "device_client_world.hpp"

#include <iothub/device/any_device_client.hpp>
#include <iothub/wire/sas_token.hpp>

#include <gtest/gtest.h>

namespace {

using namespace iothub;
using namespace iothub_test;

TEST(DeviceClient, ConnectBlocksUntilConnected) {
  client_world w;
  EXPECT_FALSE(w->is_connected());
  EXPECT_TRUE(w->connect());
  EXPECT_TRUE(w->is_connected());
}

TEST(DeviceClient, SignsATokenForItsDevice) {
  client_world w;
  w->connect().value();
  ASSERT_EQ(w.peer.calls.size(), 1u);
  std::string const expected = "open SharedAccessSignature sr=hub.example%2Fdevices%2Fd1&sig=";
  EXPECT_EQ(w.peer.calls[0].substr(0, expected.size()), expected);
  std::string const expiry = "&se=" + std::to_string(unix_seconds(memory::virtual_epoch) + 3600);
  EXPECT_EQ(w.peer.calls[0].substr(w.peer.calls[0].size() - expiry.size()), expiry);
}

// HostName=hub.example, device d1, expires 2024-01-01T01:00:00Z; nobody checks the signature here.
constexpr char const* ready_made =
    "SharedAccessSignature sr=hub.example%2Fdevices%2Fd1&sig=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D&se=1704070800";

TEST(DeviceClient, SendsAReadyMadeTokenAsItIs) {
  client_world w{{}, (std::string{"SharedAccessSignature="} + ready_made).c_str()};
  w->connect().value();
  EXPECT_EQ(w.peer.calls, (lines{std::string{"open "} + ready_made}));
  w->poll();
  EXPECT_EQ(w.loop.next_deadline(), never);  // nobody can renew it
}

TEST(DeviceClient, StopsWhenAReadyMadeTokenHasExpired) {
  client_world w{{}, (std::string{"SharedAccessSignature="} + ready_made).c_str()};
  w.connect();
  w->run_for(3600s);
  EXPECT_TRUE(w->is_connected());  // the hub drops it in its own time
  w.peer.drop();
  w->run_for(60s);
  EXPECT_EQ(w->status(), connection_status::disconnected);
  EXPECT_EQ(w->last_connection_error()->code(), errc::unauthorized);
  EXPECT_TRUE(w.peer.calls.empty());
}

TEST(DeviceClient, SendTelemetryBlocksUntilItsEnd) {
  client_world w;
  w.connect();
  w->after(2s, [&] { w.peer.settle(1); });
  time_point const start = w->now();
  EXPECT_TRUE(w->send_telemetry({.body = {{"t", 21}}}));
  EXPECT_EQ(w->now() - start, 2s);
  EXPECT_EQ(w.peer.calls, (lines{R"(send {"t":21})"}));
}

TEST(DeviceClient, TelemetryThatNobodyConfirmsTimesOut) {
  client_world w;
  w.connect();
  EXPECT_EQ(w->send_telemetry({.body = "x"}).error(), errc::timeout);
  EXPECT_EQ(w->send_telemetry({.body = "x"}, 1s).error(), errc::timeout);
  EXPECT_EQ(w.loop.elapsed(), 11s);
}

TEST(DeviceClient, AsyncCompletionsComeFromTheLoopInOrder) {
  client_world w;
  w.connect();
  w.peer.confirms = true;
  std::vector<int> ended;
  for (int i = 0; i != 3; ++i) w->async_send_telemetry({.body = "x"}, [&ended, i](result<void> r) {
      EXPECT_TRUE(r);
      ended.push_back(i);
    });
  w->async_send_telemetry({.body = std::string(300'000, 'x')}, [&ended](result<void> r) {
    EXPECT_EQ(r.error(), errc::too_large);
    ended.push_back(99);
  });
  EXPECT_TRUE(ended.empty());
  EXPECT_EQ(w->pending_telemetry(), 3u);
  EXPECT_TRUE(w->is_busy());
  w->poll();
  EXPECT_EQ(ended.size(), 4u);
  EXPECT_FALSE(w->is_busy());
}

TEST(DeviceClient, TwinOperations) {
  client_world w;
  w.connect();
  w.peer.confirms = true;
  EXPECT_EQ(w->update_reported_properties({{"a", 1}}).value(), 2);
  w->after(1s, [&] { w.peer.twin(2, R"({"desired":{"d":1,"$version":3},"reported":{"a":1,"$version":2}})"); });
  auto const twin = w->get_twin();
  EXPECT_EQ(twin->desired["d"], 1);
  EXPECT_EQ(twin->reported.version, 2);
  std::int64_t version = 0;
  w->async_update_reported_properties({{"b", 2}}, [&](result<std::int64_t> r) { version = *r; });
  w->poll();
  EXPECT_EQ(version, 2);
}

TEST(DeviceClient, DesiredHandlersSeePatchAndVersion) {
  client_world w;
  lines seen;
  w->on_desired([&](json::value const& patch, std::int64_t version) {
    seen.push_back(patch.dump() + std::to_string(version));
  });
  w.connect();
  w.peer.twin(1, R"({"desired":{"a":1,"$version":3},"reported":{}})");
  w->poll();
  w->on_desired([&](json::value const& patch, std::int64_t version, desired_scope scope) {
    seen.push_back(patch.dump() + std::to_string(version) + (scope == desired_scope::patch ? " patch" : " whole"));
  });
  w.peer.notice(R"({"a":null,"$version":4})", 4);
  w->poll();
  EXPECT_EQ(seen, (lines{R"({"a":1}3)", R"({"a":null}4 patch)"}));
}

TEST(DeviceClient, ConnectionChangesAreToldWithAReason) {
  client_world w;
  lines seen;
  w->on_connection_change([&](connection_status s, connection_reason r) {
    seen.push_back(std::string{to_string(s)} + " " + std::string{to_string(r)});
  });
  w.connect();
  w.peer.drop();
  w->run_for(5s);
  w->close();
  EXPECT_EQ(seen, (lines{"connecting opened", "connected opened", "retrying connection_lost",
                         "connected recovered", "disconnected closed"}));
}

TEST(DeviceClient, ConnectGivesUpAndSaysWhy) {
  client_world w;
  w.peer.stays_silent = true;
  w->async_connect([](result<void> r) { EXPECT_EQ(r.error(), errc::unauthorized); });
  w->poll();
  w.peer.drop(errc::unauthorized);
  w->poll();
  EXPECT_EQ(w->status(), connection_status::disconnected);
  EXPECT_EQ(w->last_connection_error()->code(), errc::unauthorized);
  EXPECT_EQ(w->connect().error(), errc::timeout);  // nobody answers
  EXPECT_EQ(w.loop.elapsed(), 60s);
}

TEST(DeviceClient, StopEndsABlockingCall) {
  client_world w;
  w.connect();
  w->after(1s, [&] { w->stop(); });
  EXPECT_EQ(w->send_telemetry({.body = "x"}).error(), errc::cancelled);
  EXPECT_FALSE(w->run_for(1s));
  w.loop.restart();
  EXPECT_TRUE(w->run_for(20s));
}

TEST(DeviceClient, CloseEndsEverythingPendingBeforeItReturns) {
  client_world w;
  w.connect();
  lines ended;
  w->async_send_telemetry({.body = "x"}, [&](result<void> r) { ended.emplace_back(to_string(r.error().code())); });
  w->async_get_twin([&](result<device_twin> r) { ended.emplace_back(to_string(r.error().code())); });
  w->close();
  EXPECT_EQ(ended, (lines{"closed", "closed"}));
  ASSERT_GE(w.peer.calls.size(), 2u);
  EXPECT_EQ(w.peer.calls.end()[-2], "close");
  EXPECT_EQ(w.peer.calls.back(), "abandon 1");  // what failed is not sent again by the next connect()
  EXPECT_TRUE(w->connect());
}

TEST(DeviceClient, TheDestructorCallsNoUserCodeAndSaysGoodbye) {
  client_world w;
  w.connect();
  bool called = false;
  w->async_send_telemetry({.body = "x"}, [&](auto&&) { called = true; });
  w->on_connection_change([&](auto, auto) { called = true; });
  w->after(1s, [&] { called = true; });
  w.client.reset();
  w.loop.run_for(1h).value();
  EXPECT_FALSE(called);
  EXPECT_EQ(w.peer.calls.back(), "close");
  EXPECT_EQ(w.loop.size(), 0u);
}

TEST(DeviceClient, MovesWhileItWorks) {
  client_world w;
  w.connect();
  w.peer.confirms = true;
  int ended = 0;
  w->async_send_telemetry({.body = "x"}, [&](auto&&) { ++ended; });
  scripted_client moved = std::move(*w);
  w.client.reset();
  moved.poll();
  EXPECT_EQ(ended, 1);
  EXPECT_TRUE(moved.is_connected());
}

TEST(DeviceClientTimers, RunInTimeAndInOrder) {
  client_world w;
  lines seen;
  w->after(2s, [&] { seen.emplace_back("two"); });
  w->after(1s, [&] { seen.emplace_back("one"); });
  timer_id const tick = w->every(1s, [&] { seen.emplace_back("tick"); });
  w->after(0s, [&] { seen.emplace_back("now"); });
  w->run_for(2s);
  EXPECT_EQ(seen, (lines{"now", "one", "tick", "two", "tick"}));
  EXPECT_TRUE(w->cancel_timer(tick));
  EXPECT_FALSE(w->cancel_timer(tick));
  w->run_for(10s);
  EXPECT_EQ(seen.size(), 5u);
}

TEST(DeviceClientTimers, ALateOneDoesNotCatchUp) {
  client_world w;
  w.connect();
  int ticks = 0;
  w->every(1s, [&] {
    if (++ticks != 1) return;
    EXPECT_EQ(w->send_telemetry({.body = "x"}).error(), errc::timeout);  // takes 10 s
  });
  w->run_for(12s);
  EXPECT_EQ(ticks, 3);  // at 1 s, at 11 s for all that were missed, and at 12 s
}

TEST(DeviceClientTimers, MayCancelThemselves) {
  client_world w;
  int ticks = 0;
  timer_id tick = 0;
  tick = w->every(1s, [&] {
    if (++ticks != 3) return;
    EXPECT_TRUE(w->cancel_timer(tick));
  });
  w->run_for(1h);
  EXPECT_EQ(ticks, 3);
}

TEST(DeviceClient, RefusesBadOptionsAndKeys) {
  memory::virtual_loop loop;
  scripted_bundle bundle;
  auto const make = [&](char const* text, device_options const& o) {
    auto const connection = parse_device_connection_string(text).value();
    return scripted_client::create(loop, connection, bundle, loop_clock{loop}, seeded_crypto{}, o);
  };
  device_options o;
  o.keep_alive = 2000s;
  EXPECT_EQ(make("HostName=h;DeviceId=d;SharedAccessKey=a2V5", o).error(), errc::invalid_argument);
  EXPECT_EQ(make("HostName=h;DeviceId=d;x509=true", {}).error(), errc::unsupported);
  EXPECT_EQ(make("HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=a", {}).error(), errc::malformed);
  EXPECT_EQ(loop.size(), 0u);
}

TEST(DeviceClient, RunUntilAPredicateHolds) {
  client_world w;
  int n = 0;
  w->every(1s, [&] { ++n; });
  EXPECT_TRUE(w->run_until([&] { return n == 5; }));
  EXPECT_FALSE(w->run_until([&] { return n == 50; }, w->now() + 3s));
  EXPECT_EQ(n, 8);
}

TEST(AnyDeviceClient, IsAViewOfARealOne) {
  client_world w;
  device_client_view<scripted_client> view{*w};
  any_device_client& any = view;
  any.on_method("m", [](method_request const&) -> method_response { return {.status = 7}; });
  any.connect().value();
  w.peer.calls.clear();
  w.peer.method("m", "r");
  any.run_for(1s);
  EXPECT_EQ(w.peer.calls, (lines{"answer r 7 null"}));
  EXPECT_EQ(any.utc_now(), memory::virtual_epoch + 1s);
}

}  // namespace
