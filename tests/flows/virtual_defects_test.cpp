// Famous defects of the IoT SDKs that no script of faults shows (tests/simulation/scenarios_test.cpp has the others): one
// test each, with the thread that tells of it, against our client in virtual time.
#include <gmock/gmock.h>
#include <malloc.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;

// --- tokens

// https://github.com/Azure/azure-iot-arduino/issues/60: four minutes dark for each renewal. Here one round trip: from the
// good-bye on the old connection until the hub knows the device on the new one.
TEST(Defect, ARenewalIsDarkForOneRoundTrip) {
  constexpr duration one_way = 50ms;
  world<wiring::pipe> w{{.pipes = {.latency = one_way}}};
  auto device = w.make_device("d");
  int renewals = 0;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    renewals += now == connection_status::connected && why == connection_reason::token_renewal;
  });
  device.connect().value();
  std::optional<time_point> since;
  duration longest{};
  time_point const until = add(w.now(), 24h);
  while (w.get_loop().run_one(until)) {
    bool const dark = w.core().connected_devices() == 0;
    if (dark && !since) since = w.now();
    if (!dark && since) longest = std::max(longest, w.now() - *std::exchange(since, std::nullopt));
  }
  EXPECT_GE(renewals, 24);
  EXPECT_GT(longest, 0s);
  EXPECT_LE(longest, 2 * one_way);
}

// https://github.com/Azure/azure-iot-sdk-python/issues/993, named beside 1181 and 1202 as one of renewals that lose what is
// under way (the thread itself was not to be had): something is sent at every moment of each.
TEST(Defect, WhatIsSentWhileATokenIsRenewedArrivesOnceAndInOrder) {
  world<wiring::pipe> w{{.pipes = {.latency = 50ms}}};
  auto how = w.options();
  how.token = {.lifetime = 120s, .renewal_margin = 60s, .settle_limit = 5s};
  auto device = w.make_device("d", how);
  int renewals = 0;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    renewals += now == connection_status::connected && why == connection_reason::token_renewal;
  });
  device.connect().value();
  std::vector<std::string> sent;
  std::size_t confirmed = 0;
  timer_id const sending = device.every(30ms, [&] {
    sent.push_back(std::to_string(sent.size()));
    device.async_send_telemetry({.body = sent.back()}, [&](result<void> r) { confirmed += r.has_value(); });
  });
  w.run_for(15min);
  device.cancel_timer(sending);
  w.run_for(1min);
  EXPECT_GE(renewals, 12);
  EXPECT_EQ(confirmed, sent.size());
  EXPECT_EQ(w.bodies("d"), sent);
}

// https://github.com/Azure/azure-iot-sdk-c/issues/1790: a crash after many retries with a wrong clock. Ten years ahead, ten
// thousand retries while the network is away, and then all is well; ten years behind, every token is old when it is made.
TEST(Defect, TenThousandRetriesWithAClockThatIsTenYearsOff) {
  using client = basic_device_client<piped, skewed_clock<>, seeded_crypto>;
  for (duration const off : {duration{10 * 8766h}, duration{-10 * 8766h}}) {
    world<wiring::pipe> w;
    w.create("d");
    auto const who = parse_device_connection_string(w.connection_string("d")).value();
    auto device = client::create(w.get_loop(), who, wiring::pipe::device_source(w.hub()), skewed_clock<>{w.get_loop(), off},
                                 seeded_crypto{3}, {.publish_timeout = 1000h, .seed = 3})
                      .value();
    if (off > 0s) {
      device.connect().value();
      w.hub().pipes().refuse(10'000);
      w.disconnect("d");
      bool told = false;
      device.async_send_telemetry({.body = "kept"}, [&](result<void> r) { told = r.has_value(); });
      time_point const began = w.now();
      ASSERT_TRUE(w.wait_until([&] { return device.is_connected() && told; }, 30 * 24h));
      EXPECT_GT(w.now() - began, 24h);  // there was back-off in it
      EXPECT_EQ(w.bodies("d"), std::vector<std::string>{"kept"});
    } else {
      for (int i = 0; i != 10'000; ++i) ASSERT_THAT(device.connect(), FailedWith(errc::unauthorized));
      EXPECT_EQ(w.core().connected_devices(), 0u);
    }
  }
}

// https://github.com/Azure/azure-iot-sdk-c/issues/51: what each renewal leaves behind.
TEST(Defect, AThousandRenewalsLeaveNothingBehind) {
  world<wiring::pipe> w;
  auto how = w.options();
  how.token = {.lifetime = 120s, .renewal_margin = 60s, .settle_limit = 5s};
  auto device = w.make_device("d", how);
  int renewals = 0;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    renewals += now == connection_status::connected && why == connection_reason::token_renewal;
  });
  device.connect().value();
  w.run_for(1h);
  auto const before = ::mallinfo2().uordblks;
  int const warm = renewals;
  w.run_for(20h);
  EXPECT_GE(renewals - warm, 1000);
  EXPECT_LT(::mallinfo2().uordblks, before + 16 * 1024);
}

// https://github.com/Azure/azure-iot-sdk-python/issues/1202: the network goes during a renewal, and no later attempt works.
TEST(Defect, ARenewalThatFindsNoHubIsMadeUpFor) {
  world<wiring::pipe> w;
  auto device = w.make_device("d");
  bool renewing = false;
  device.on_connection_change([&](connection_status now, connection_reason why) {
    if (now != connection_status::connecting || why != connection_reason::token_renewal || renewing) return;
    renewing = true;
    w.stop_hub();
  });
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return renewing; }, 2h));
  w.run_for(3h);  // the old token has ended meanwhile
  EXPECT_FALSE(device.is_connected());
  w.start_hub();
  ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }, 1min));
  EXPECT_TRUE(device.send_telemetry({.body = "back"}));
}

// --- polling

// Half a processor for a client that does nothing:
// https://github.com/Azure/azure-iot-sdk-c/issues/126, https://github.com/Azure/azure-iot-sdk-c/issues/648,
// https://github.com/Azure/azure-iot-sdk-c/issues/2253, https://github.com/Azure/azure-iot-sdk-c/issues/758,
// https://github.com/Azure/azure-iot-sdk-c/issues/831, https://github.com/Azure/azure-c-shared-utility/issues/305
TEST(Defect, AnIdleClientWakesForItsKeepAliveOnly) {
  world<wiring::pipe> w;
  auto device = w.connect_device("d");
  w.run_for(1min);
  time_point const until = add(w.now(), 30min);  // no renewal in it
  int turns = 0;
  while (w.get_loop().run_one(until)) ++turns;
  EXPECT_TRUE(device.is_connected());
  EXPECT_LE(turns, 60);  // the client's and the hub's together; a poll each millisecond would be 1,800,000
}

// --- direct methods

// https://github.com/Azure/azure-iot-sdk-c/issues/2353 (sleep(10) so that the answer gets out before the reboot),
// https://github.com/nanoframework/Home/issues/1176
TEST(Defect, TheAnswerIsOutBeforeTheDeviceReboots) {
  world<wiring::pipe> w{{.pipes = {.latency = 50ms}}};
  auto device = std::make_unique<world<wiring::pipe>::device_client>(w.make_device("d"));
  device->on_method("reboot", [&](method_request const&) -> method_response {
    device->after(0s, [&] { device.reset(); });
    return {.status = 202};
  });
  device->connect().value();
  EXPECT_EQ(w.connect_service().invoke_method("d", {.name = "reboot"}).value().status, 202);
  EXPECT_EQ(device, nullptr);
}

// https://github.com/amenzhinsky/iothub/issues/23 (a handler that takes its time holds up every other call) and
// https://github.com/amenzhinsky/iothub/issues/28 (an answer from elsewhere, and later than a second).
TEST(Defect, AMethodIsAnsweredMinutesLaterWhileOthersAreAnswered) {
  world<wiring::pipe> w;
  auto device = w.make_device("d");
  std::vector<responder> kept;
  device.on_method("long", [&](method_request const&, responder r) { kept.push_back(std::move(r)); });
  device.on_method("short", [](method_request const&) -> method_response { return {.status = 201}; });
  device.connect().value();
  auto service = w.connect_service();
  std::vector<int> answers;
  for (int i = 0; i != 2; ++i)
    service.async_invoke_method("d", {.name = "long"}, {.response_timeout = 300s},
                                [&](result<method_response> r) { answers.push_back(r.value().status); });
  ASSERT_TRUE(w.wait_until([&] { return kept.size() == 2; }));
  for (int i = 0; i != 4; ++i) {
    EXPECT_EQ(service.invoke_method("d", {.name = "short"}).value().status, 201);
    w.run_for(1min);
  }
  EXPECT_TRUE(answers.empty());
  kept[1]({.status = 2});  // in any order
  w.run_for(1s);
  kept[0]({.status = 1});
  ASSERT_TRUE(w.wait_until([&] { return answers.size() == 2; }, 1min));
  EXPECT_EQ(answers, (std::vector<int>{2, 1}));
}

// One error for all that can go wrong with a call, or one that nobody understands:
// https://github.com/Azure/azure-iot-sdk-java/issues/329, https://github.com/Azure/azure-iot-sdk-java/issues/85,
// https://github.com/Azure/azure-iot-sdk-c/issues/717, https://github.com/Azure/azure-iot-sdks/issues/1007,
// https://github.com/Azure/iotedge/issues/98
TEST(Defect, EachWayInWhichAMethodCallFailsHasItsError) {
  world<wiring::pipe> w;
  auto service = w.connect_service();
  EXPECT_THAT(service.invoke_method("nobody", {.name = "m"}), FailedWith(errc::device_not_found));
  auto device = w.make_device("d");
  EXPECT_THAT(service.invoke_method("d", {.name = "m"}), FailedWith(errc::device_offline));  // 404103
  device.connect().value();
  std::vector<responder> kept;
  device.on_method("silent", [&](method_request const&, responder r) { kept.push_back(std::move(r)); });
  w.run_for(1s);
  auto const late = service.invoke_method("d", {.name = "silent"}, {.response_timeout = 5s});
  ASSERT_THAT(late, FailedWith(errc::device_timeout));  // 504101
  EXPECT_EQ(late.error().hub_code(), 504101);
  EXPECT_EQ(service.invoke_method("d", {.name = "unknown"}).value().status, 501);  // the device's own answer
}

// --- twins

// https://github.com/Azure/azure-iot-sdk-node/issues/28: after a reconnect each request for the twin times out.
TEST(Defect, TheTwinIsReadAfterAReconnect) {
  world<wiring::pipe> w;
  auto device = w.connect_device("d");
  EXPECT_TRUE(device.get_twin());
  for (int i = 0; i != 3; ++i) {
    w.disconnect("d");
    ASSERT_TRUE(w.wait_until([&] { return !device.is_connected(); }));
    ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }));
    w.set_desired("d", {{"round", i}});
    EXPECT_EQ(device.get_twin().value().desired.properties["round"], i);
    device.close();  // and the same with a client that was closed
    device.connect().value();
    EXPECT_EQ(device.get_twin().value().desired.properties["round"], i);
  }
}

// https://github.com/Azure/iotedge/pull/5857: what the gateway there says that it does for its clients. After a reconnect
// the twin is read; when it is another one, the client is told once, else not at all.
TEST(Defect, WhatWasDesiredMeanwhileIsToldOnceAndNothingWhenThereIsNothing) {
  world<wiring::pipe> w;
  auto device = w.make_device("d");
  std::vector<std::pair<json::value, std::int64_t>> told;
  device.on_desired([&](json::value const& properties, std::int64_t version) { told.emplace_back(properties, version); });
  device.connect().value();
  w.set_desired("d", {{"kept", 1}, {"changed", 1}, {"removed", 1}});
  ASSERT_TRUE(w.wait_until([&] { return !told.empty() && told.back().second == 2; }));
  auto const away = [&](auto meanwhile) {
    told.clear();
    w.stop_hub();
    w.run_for(1min);
    EXPECT_FALSE(device.is_connected());
    meanwhile();
    w.start_hub();
    ASSERT_TRUE(w.wait_until([&] { return device.is_connected(); }));
    w.run_for(1min);
  };
  away([&] {
    w.set_desired("d", {{"changed", 2}});
    w.set_desired("d", {{"removed", nullptr}});
    w.set_desired("d", {{"changed", 3}});
  });
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].first, (json::value{{"kept", 1}, {"changed", 3}}));
  EXPECT_EQ(told[0].second, 5);
  away([] {});
  EXPECT_TRUE(told.empty());
  w.set_desired("d", {{"kept", 2}});
  ASSERT_TRUE(w.wait_until([&] { return told.size() == 1; }));
  EXPECT_EQ(told[0].first, (json::value{{"kept", 2}}));
}

// --- the client's end

// https://github.com/Azure/azure-iot-sdk-c/issues/872: to destroy a client while the network is away blocks its thread.
TEST(Defect, AClientIsDestroyedAtOnceWhileTheNetworkIsAway) {
  world<wiring::pipe> w;
  auto device = std::make_unique<world<wiring::pipe>::device_client>(w.connect_device("d"));
  w.hub().pipes().hold_all();  // nothing arrives any more, and nobody says so
  int told = 0;
  for (int i = 0; i != 10; ++i) device->async_send_telemetry({.body = "x"}, [&](result<void> const&) { ++told; });
  w.run_for(1s);
  time_point const before = w.now();
  device.reset();
  EXPECT_EQ(w.now(), before);
  w.run_for(10min);
  EXPECT_EQ(told, 0);
  EXPECT_TRUE(w.make_device("d").connect());  // and a new one is as good as new
}

// --- the hub's side: what brokers got wrong

// Eclipse mosquitto, https://www.cve.org/CVERecord?id=CVE-2021-34434: rights stay when they have been taken away.
TEST(Defect, ADeviceThatIsDisabledLosesItsConnectionAtOnce) {
  world<wiring::pipe> w;
  auto device = w.connect_device("d");
  EXPECT_TRUE(device.send_telemetry({.body = "allowed"}));
  w.set_status("d", identity_status::disabled);
  EXPECT_THAT(device.send_telemetry({.body = "no more"}), FailedWith(errc::timeout));  // it waited for better times
  EXPECT_EQ(w.bodies("d"), std::vector<std::string>{"allowed"});
  EXPECT_EQ(w.core().connected_devices(), 0u);
}

// Eclipse mosquitto, https://www.cve.org/CVERecord?id=CVE-2018-12551: an empty password file lets everybody in.
TEST(Defect, AnEmptyRegistryLetsNobodyIn) {
  world<wiring::pipe> w;
  auto const connection = "HostName=" + w.core().options().hostname + ";DeviceId=d;SharedAccessKey=a2V5";
  auto device = w.device_from(connection, w.options());
  EXPECT_THAT(device.connect(), FailedWith(errc::unauthorized));
  EXPECT_EQ(w.core().connected_devices(), 0u);
}

}  // namespace
