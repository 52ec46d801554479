// What only virtual time can show: tokens that are renewed for a month, two clients that fight for one identity, clocks
// that are wrong, wires that fall silent.
#include <gmock/gmock.h>
#include <malloc.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::Each;
using ::testing::ElementsAre;

using lines = std::vector<std::string>;

template <class Wiring>
class LongRun : public ::testing::Test {};
TYPED_TEST_SUITE(LongRun, iothub_test::virtual_wirings, wiring_names);

TYPED_TEST(LongRun, RenewsItsTokenForAMonthWithoutALostOrDoubledMessage) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  int renewals = 0, calls = 0, losses = 0;
  json::value wanted;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    renewals += now == connection_status::connected && why == connection_reason::token_renewal;
    losses += now == connection_status::retrying;
  });
  device.on_method("ping", [&](method_request const&) -> method_response { return {.payload = ++calls}; });
  device.on_desired([&](json::value const& properties, std::int64_t) { wanted = properties; });
  device.connect().value();
  int sent = 0, confirmed = 0;
  device.every(10min, [&] {
    device.async_send_telemetry({.body = std::to_string(sent++)}, [&](result<void> r) { confirmed += r.has_value(); });
  });
  w.run_for(30 * 24h);
  EXPECT_EQ(confirmed, sent);
  EXPECT_EQ(w.bodies("d").size(), static_cast<std::size_t>(sent));
  EXPECT_EQ(w.distinct_bodies("d").size(), static_cast<std::size_t>(sent));
  EXPECT_EQ(losses, 0);
  EXPECT_GE(renewals, 30 * 24 * 60 / 50);  // 600 s to 900 s before the end of an hour
  EXPECT_LE(renewals, 30 * 24 * 60 / 45);
  EXPECT_EQ(w.connect_service().invoke_method("d", {.name = "ping"}).value().payload, 1);
  w.set_desired("d", {{"a", 1}});
  EXPECT_TRUE(w.wait_until([&] { return wanted == json::value{{"a", 1}}; }));
}

TYPED_TEST(LongRun, CarriesMessagesInFlightOverARenewal) {
  world<TypeParam> w;
  auto how = w.options();
  how.publish_timeout = 2h;
  how.token = {.lifetime = 60s, .renewal_margin = 20s, .settle_limit = 5s};
  auto device = w.make_device("d", how);
  int renewals = 0;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    renewals += now == connection_status::connected && why == connection_reason::token_renewal;
  });
  device.connect().value();
  w.delay_confirmations(1h, 5);
  int confirmed = 0, ended = 0;
  for (int i = 0; i != 5; ++i)
    device.async_send_telemetry({.body = std::to_string(i)},
                                [&](result<void> r) { ++ended, confirmed += r.has_value(); });
  ASSERT_TRUE(w.wait_until([&] { return renewals == 1; }));
  ASSERT_TRUE(w.wait_until([&] { return ended == 5; }));
  EXPECT_EQ(confirmed, 5);
  EXPECT_EQ(w.distinct_bodies("d"), (lines{"0", "1", "2", "3", "4"}));
}

TYPED_TEST(LongRun, WaitsWithARenewalForAMethodThatIsBeingAnswered) {
  world<TypeParam> w;
  auto how = w.options();
  how.token = {.lifetime = 600s, .renewal_margin = 200s};
  auto device = w.make_device("d", how);
  lines said;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    said.push_back(std::string{to_string(now)} + " " + std::string{to_string(why)});
  });
  device.on_method("slow", [&](method_request const&, responder respond) {
    device.after(90s, [respond = std::move(respond)]() mutable { respond({.status = 222}); });
  });
  device.connect().value();
  w.run_for(299s);
  auto service = w.connect_service();
  int answered = 0;
  while (w.now() < add(time_point{1h}, 600s)) {
    auto const reply = service.invoke_method("d", {.name = "slow"}, {.response_timeout = 200s, .connect_timeout = 60s});
    answered += reply && reply->status == 222;
    EXPECT_TRUE(reply) << reply.error().message();
  }
  EXPECT_EQ(answered, 4);
  EXPECT_THAT(said, ElementsAre("connecting opened", "connected opened", "connecting token_renewal",
                                "connected token_renewal"));
}

TYPED_TEST(LongRun, TwoClientsOfOneIdentityDoNotSpin) {
  world<TypeParam> w;
  auto a = w.make_device("d");
  auto b = w.make_device("d");
  int connected = 0;
  auto const count = [&](connection_status now, connection_reason) {
    connected += now == connection_status::connected;
  };
  a.on_connection_change(count);
  b.on_connection_change(count);
  a.async_connect([](auto&&) {});
  b.async_connect([](auto&&) {});
  w.run_for(1h);
  EXPECT_GE(connected, 4);
  EXPECT_LE(connected, 1000);  // waits grow to 30 s; without back-off this test would not end
  a.close();
  ASSERT_TRUE(w.wait_until([&] { return b.is_connected(); }));
  EXPECT_TRUE(b.send_telemetry({.body = "the survivor"}));
}

// Memory that each reconnect leaves behind: https://github.com/Azure/azure-iot-sdk-c/issues/2227,
// https://github.com/Azure/azure-iot-sdk-c/issues/1478, https://github.com/Azure/azure-iot-sdk-c/issues/61,
// https://github.com/Azure/azure-iot-sdk-c/issues/64, https://github.com/Azure/azure-iot-sdks/issues/965
TYPED_TEST(LongRun, TenThousandReconnectsLeaveNothingBehind) {
  world<TypeParam> w;
  auto how = w.options();
  how.reconnect = {
      .min_delay = 1ms, .base_delay = 1ms, .max_delay = 1ms, .throttled_base_delay = 1ms, .throttled_max_delay = 1ms};
  auto device = w.make_device("d", how);
  device.on_method("m", [](method_request const&) -> method_response { return {}; });
  device.on_desired([](json::value const&, std::int64_t) {});
  device.connect().value();
  auto const round = [&](int times) {
    for (int i = 0; i != times; ++i) {
      w.disconnect("d");
      ASSERT_TRUE(w.wait_until([&] { return w.core().connected_devices() == 1 && device.is_connected(); }));
    }
  };
  int const rounds = std::is_same_v<TypeParam, wiring::pipe_tls> ? 500 : 10'000;
  round(100);
  auto const before = ::mallinfo2().uordblks;
  round(rounds);
  auto const after = ::mallinfo2().uordblks;
  EXPECT_LT(after, before + 16 * 1024);
  EXPECT_EQ(device.pending_operations(), 0u);
  EXPECT_EQ(w.core().connected_devices(), 1u);
}

TYPED_TEST(LongRun, StaysConnectedThroughSilenceByKeepAlive) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  int changes = 0;
  w.run_turns(10);
  device.on_connection_change([&](connection_status, connection_reason) { ++changes; });
  w.run_for(40min);
  EXPECT_EQ(changes, 0);
  EXPECT_TRUE(device.is_connected());
}

TYPED_TEST(LongRun, BacksOffFromAHubThatStaysAway) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.connect().value();
  w.core().faults().reject_next(hub::fault_point::connect, errc::throttled, 200);
  w.disconnect("d");
  w.run_for(1h);  // without back-off two hundred refusals would be used up at once
  EXPECT_EQ(device.status(), connection_status::retrying);
  w.core().faults().clear();
  ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }, 2min));
}

// --- clocks ---------------------------------------------------------------------------------------------------------

using skewed_device = basic_device_client<piped, skewed_clock<>, seeded_crypto>;
skewed_device make_skewed(world<wiring::pipe>& w, duration offset) {
  return skewed_device::create(w.get_loop(), parse_device_connection_string(w.connection_string("d")).value(),
                               [&w] {
                                 return stream_mqtt<plain_pipe>{mqtt::client_options{}, w.hub().pipes()};
                               },
                               skewed_clock<>{w.get_loop(), offset}, seeded_crypto{3}, {.seed = 3})
      .value();
}

TEST(AWrongClock, OfTenMinutesDoesNotMatter) {
  for (duration const offset : {duration{10min}, duration{-10min}}) {
    world<wiring::pipe> w;
    w.create("d");
    auto device = make_skewed(w, offset);
    int losses = 0;
    device.on_connection_change(
        [&](connection_status now, connection_reason) { losses += now == connection_status::retrying; });
    device.connect().value();
    for (int i = 0; i != 24; ++i) {
      w.run_for(1h);
      EXPECT_TRUE(device.send_telemetry({.body = "x"}));
    }
    EXPECT_EQ(losses, 0);
  }
}

TEST(AWrongClock, OfTwoHoursLooksLikeAWrongKeyAndSaysThatItMayBeExpired) {
  world<wiring::pipe> w;
  w.create("d");
  auto device = make_skewed(w, -2h);
  auto const outcome = device.connect();
  ASSERT_THAT(outcome, FailedWith(errc::unauthorized));
  EXPECT_THAT(std::string{outcome.error().message()}, ::testing::HasSubstr("expired"));
}

TEST(AWrongClock, ThatJumpsWhileConnectedMovesNothing) {
  world<wiring::pipe> w;
  w.create("d");
  auto how = w.options();
  auto device = w.connect_device("d", how);
  int renewals = 0;
  w.run_turns(10);
  device.on_connection_change(
      [&](connection_status now, connection_reason) { renewals += now == connection_status::connected; });
  auto& loop = w.hub().loop();
  loop.set_utc(loop.utc_now() + 30 * 24h);
  w.run_for(10min);
  loop.set_utc(loop.utc_now() - 60 * 24h);
  w.run_for(10min);
  EXPECT_EQ(renewals, 0);
  EXPECT_TRUE(device.send_telemetry({.body = "x"}));
}

}  // namespace
