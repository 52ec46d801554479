// Flows 1, 2, 3 and 5: a device is registered, sends telemetry, is controlled, reboots.
#pragma once

#include <gmock/gmock.h>

#include <map>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

template <class Wiring>
class Quickstart : public ::testing::Test {};
TYPED_TEST_SUITE(Quickstart, flow_wirings, wiring_names);

// The device of the quickstart, with its seconds shortened to `unit` where time is real.
template <class DeviceClient>
class thermostat {
 public:
  thermostat(DeviceClient& device, duration unit) : device_{device}, unit_{unit} {
    device.on_method("SetTelemetryInterval", [this](method_request const& request) -> method_response {
      auto const seconds = request.payload.as_int();
      if (!seconds || *seconds < 1) return {.status = 400, .payload = {{"Response", "Invalid parameter"}}};
      interval = static_cast<int>(*seconds);
      device_.cancel_timer(timer_);
      timer_ = device_.after(interval * unit_, [this] { send(); });
      return {.status = 200, .payload = {{"Response", "Executed direct method SetTelemetryInterval"}}};
    });
    device.on_method("rebootDevice", [this](method_request const& request, responder respond) {
      seen_payload = request.payload;
      device_.after(20 * unit_, [this, respond = std::move(respond)]() mutable {
        device_.update_reported_properties({{"rebootTime", to_iso8601(device_.utc_now())}}).value();
        respond({.status = 200, .payload = {{"Response", "This is the response from the device"}}});
      });
    });
    device.on_method("neverAnswers", [this](method_request const&, responder respond) { kept_ = std::move(respond); });
    device.on_unknown_method([](method_request const& request) -> method_response {
      return {.status = 404, .payload = {{"Response", "Direct method " + request.name + " not defined"}}};
    });
  }
  void send() {
    double const temperature = 28.0 + count++ % 5;
    device_.async_send_telemetry({.body = {{"temperature", temperature}, {"humidity", 60}},
                                  .properties = {{"temperatureAlert", temperature > 30 ? "true" : "false"}}},
                                 [this](result<void> outcome) { confirmed += outcome.has_value(); });
    timer_ = device_.after(interval * unit_, [this] { send(); });
  }

  int interval = 1;
  int count = 0;
  int confirmed = 0;
  json::value seen_payload = {};

 private:
  DeviceClient& device_;
  duration unit_;
  timer_id timer_ = {};
  responder kept_;
};

TYPED_TEST(Quickstart, RegistersADeviceWithEveryFieldOfItsIdentity) {
  world<TypeParam> w;
  auto service = w.connect_service();
  auto const made = service.create_device("MyCppDevice").value();
  EXPECT_EQ(made.device_id, "MyCppDevice");
  EXPECT_THAT(made.generation_id, Not(IsEmpty()));
  EXPECT_THAT(made.etag, Not(IsEmpty()));
  EXPECT_EQ(made.connection_state, connection_state::disconnected);
  EXPECT_EQ(made.connection_state_updated_time, no_time);
  EXPECT_EQ(made.status, identity_status::enabled);
  EXPECT_EQ(made.status_reason, "");
  EXPECT_EQ(made.status_updated_time, no_time);
  EXPECT_EQ(made.last_activity_time, no_time);
  EXPECT_EQ(made.cloud_to_device_message_count, 0u);
  EXPECT_EQ(made.authentication.type, authentication_type::sas);
  EXPECT_EQ(made.authentication.primary_key.size(), 44u);
  EXPECT_EQ(made.authentication.secondary_key.size(), 44u);
  EXPECT_NE(made.authentication.primary_key, made.authentication.secondary_key);
  EXPECT_FALSE(made.iot_edge);
  EXPECT_EQ(service.get_device("MyCppDevice").value(), made);
}

TYPED_TEST(Quickstart, RefusesASecondRegistrationAndLeavesTheFirstAsItWas) {
  world<TypeParam> w;
  auto service = w.connect_service();
  auto const made = service.create_device("MyCppDevice").value();
  auto const again = service.create_device("MyCppDevice");
  ASSERT_THAT(again, FailedWith(errc::already_exists));
  EXPECT_EQ(again.error().http_status(), 409);
  EXPECT_EQ(again.error().hub_code(), 409001);
  EXPECT_EQ(service.get_device("MyCppDevice").value(), made);
}

TYPED_TEST(Quickstart, ShowsInTheIdentityThatTheDeviceIsConnected) {
  world<TypeParam> w;
  auto service = w.connect_service();
  auto device = w.connect_device("d");
  auto const online = service.get_device("d").value();
  EXPECT_EQ(online.connection_state, connection_state::connected);
  EXPECT_NE(online.connection_state_updated_time, no_time);
  device.close();
  EXPECT_TRUE(w.wait_until([&] {
    return w.core().get_identity({"d", {}}).value().connection_state == connection_state::disconnected;
  }));
}

TYPED_TEST(Quickstart, UpdatesListsAndDeletesIdentitiesWithETags) {
  world<TypeParam> w;
  auto service = w.connect_service();
  auto identity = service.create_device("a").value();
  service.create_device("b").value();
  EXPECT_EQ(service.list_devices().value().size(), 2u);
  identity.status = identity_status::disabled;
  identity.status_reason = "stolen";
  auto const disabled = service.update_device(identity).value();
  EXPECT_EQ(disabled.status_reason, "stolen");
  EXPECT_THAT(service.update_device(identity), FailedWith(errc::precondition_failed));
  EXPECT_THAT(service.delete_device("a", identity.etag), FailedWith(errc::precondition_failed));
  EXPECT_TRUE(service.delete_device("a", disabled.etag));
  EXPECT_THAT(service.get_device("a"), FailedWith(errc::device_not_found));
}

TYPED_TEST(Quickstart, SendsTelemetryWithAnAlertAboveThirtyDegrees) {
  world<TypeParam> w;
  auto device = w.connect_device("t");
  thermostat logic{device, w.unit};
  logic.send();
  ASSERT_TRUE(w.wait_until([&] { return logic.confirmed >= 5; }));
  std::vector<std::string> alerts;
  for (auto const& e : w.events())
    if (alerts.size() != 5) alerts.push_back(*e.content.find("temperatureAlert"));
  EXPECT_THAT(alerts, ElementsAre("false", "false", "false", "true", "true"));
  EXPECT_THAT(w.events().front().content, JsonEq(R"({"temperature":28.0,"humidity":60})"));
}

TYPED_TEST(Quickstart, ChangesTheSendingRateByADirectMethod) {
  world<TypeParam> w;
  auto device = w.connect_device("t");
  thermostat logic{device, w.unit};
  logic.send();
  auto service = w.connect_service();
  auto const reply = service.invoke_method("t", {.name = "SetTelemetryInterval", .payload = 10}).value();
  EXPECT_EQ(reply, (method_response{200, {{"Response", "Executed direct method SetTelemetryInterval"}}}));
  EXPECT_EQ(logic.interval, 10);
  int const before = logic.count;
  if (w.in_virtual_time) {
    w.run_for(60s);
    EXPECT_EQ(logic.count, before + 6);
  } else {
    EXPECT_TRUE(w.wait_until([&] { return logic.count == before + 2; }));
  }
}

TYPED_TEST(Quickstart, RefusesAnIntervalThatIsNoWholeNumberOfAtLeastOne) {
  world<TypeParam> w;
  auto device = w.connect_device("t");
  thermostat logic{device, w.unit};
  auto service = w.connect_service();
  method_response const invalid{400, {{"Response", "Invalid parameter"}}};
  for (json::value const& payload :
       {json::value{0}, json::value{-1}, json::value{2.5}, json::value{"10"}, json::value{}, json::value::make_object(),
        json::value{true}, json::value{json::array{10}}}) {
    SCOPED_TRACE(payload.dump());
    EXPECT_EQ(service.invoke_method("t", {.name = "SetTelemetryInterval", .payload = payload}).value(), invalid);
  }
  EXPECT_EQ(logic.interval, 1);
}

TYPED_TEST(Quickstart, AnswersAMethodThatIsNotDefined) {
  world<TypeParam> w;
  auto device = w.connect_device("t");
  thermostat logic{device, w.unit};
  EXPECT_EQ(w.connect_service().invoke_method("t", {.name = "Dance"}).value(),
            (method_response{404, {{"Response", "Direct method Dance not defined"}}}));
}

TYPED_TEST(Quickstart, CarriesEveryKindOfPayloadBothWays) {
  world<TypeParam> w;
  auto device = w.connect_device("t");
  int status = 200;
  device.on_method("echo", [&](method_request const& r) -> method_response { return {status, r.payload}; });
  auto service = w.connect_service();
  for (char const* text : {"null", "true", "1", "-1.5", "\"\"", "\"\\u00e4\\u20ac\\ud83d\\ude00\\n\\\"\"", "[]",
                           "[1,[2]]", "{}", R"({"a":{"b":null}})"}) {
    SCOPED_TRACE(text);
    auto const payload = json::parse(text).value();
    EXPECT_EQ(service.invoke_method("t", {.name = "echo", .payload = payload}).value().payload, payload);
  }
  for (int const s : {-1, 0, 404, 2147483647}) {
    status = s;
    EXPECT_EQ(service.invoke_method("t", {.name = "echo", .payload = 1}).value().status, s);
  }
}

TYPED_TEST(Quickstart, TellsThreeReasonsWhyAMethodGotNoAnswer) {
  world<TypeParam> w;
  auto device = w.connect_device("silent");
  thermostat logic{device, w.unit};
  w.create("away");
  auto service = w.connect_service();
  auto const missing = service.invoke_method("nobody", {.name = "x"});
  EXPECT_THAT(missing, FailedWith(errc::device_not_found));
  EXPECT_EQ(missing.error().hub_code(), 404001);
  auto const offline = service.invoke_method("away", {.name = "x"});
  EXPECT_THAT(offline, FailedWith(errc::device_offline));
  EXPECT_EQ(offline.error().hub_code(), 404103);
  auto const late = service.invoke_method("silent", {.name = "neverAnswers"}, {.response_timeout = 5s});
  EXPECT_THAT(late, FailedWith(errc::device_timeout));
  EXPECT_EQ(late.error().hub_code(), 504101);
}

TYPED_TEST(Quickstart, CallsADeviceThatListensForNoMethodAsIfItWereOffline) {
  world<TypeParam> w;
  auto device = w.connect_device("deaf");
  EXPECT_THAT(w.connect_service().invoke_method("deaf", {.name = "x"}), FailedWith(errc::device_offline));
}

TYPED_TEST(Quickstart, WaitsForADeviceThatConnectsWithinTheConnectTimeout) {
  world<TypeParam> w;
  auto device = w.make_device("late");
  device.on_method("hello", [](method_request const&) -> method_response { return {.status = 201}; });
  auto service = w.connect_service();
  int status = 0;
  service.async_invoke_method("late", {.name = "hello"}, {.connect_timeout = 60s},
                              [&](result<method_response> reply) { status = reply.value().status; });
  w.run_for(3 * w.unit);
  EXPECT_EQ(status, 0);
  device.connect().value();
  EXPECT_TRUE(w.wait_until([&] { return status == 201; }));
}

TYPED_TEST(Quickstart, RebootsAndReportsWhen) {
  world<TypeParam> w;
  auto device = w.connect_device("pump");
  thermostat logic{device, w.unit};
  w.connect_device("other").update_reported_properties({{"rebootTime", "2001-01-01T00:00:00.000Z"}}).value();
  auto service = w.connect_service();
  auto const since = to_iso8601(w.utc_now());
  auto const reply = service.invoke_method("pump", {.name = "rebootDevice", .payload = R"({"method_number":"42"})"});
  EXPECT_EQ(reply.value(), (method_response{200, {{"Response", "This is the response from the device"}}}));
  EXPECT_EQ(logic.seen_payload, R"({"method_number":"42"})");
  std::string found;
  while (found.empty()) {
    auto const seen = service.get_twin("pump").value();
    if (auto const text = seen.reported["rebootTime"].as_string()) found = *text;
    w.run_for(5 * w.unit);
  }
  EXPECT_GE(found, since);
  if (w.in_virtual_time) {
    EXPECT_EQ(found, to_iso8601(parse_iso8601(since).value() + 20s));
  }
  std::vector<std::string> rebooted;
  for (auto& row :
       service.query("SELECT deviceId FROM devices WHERE properties.reported.rebootTime >= '" + since + "'"))
    rebooted.emplace_back(*row.value()["deviceId"].as_string());
  EXPECT_THAT(rebooted, ElementsAre("pump"));
}

TYPED_TEST(Quickstart, RebootsInAHandlerThatBlocks) {
  world<TypeParam> w;
  auto device = w.connect_device("pump");
  device.on_method("rebootDevice", [&](method_request const&) -> method_response {
    device.run_for(20 * w.unit);
    device.update_reported_properties({{"rebootTime", "now"}}).value();
    return {.payload = {{"Response", "This is the response from the device"}}};
  });
  auto service = w.connect_service();
  EXPECT_EQ(service.invoke_method("pump", {.name = "rebootDevice"}).value().status, 200);
  EXPECT_EQ(service.get_twin("pump").value().reported["rebootTime"], "now");
}

TYPED_TEST(Quickstart, PagesThroughMoreDevicesThanAPageHolds) {
  world<TypeParam> w;
  for (int i = 0; i != 25; ++i) w.create("d" + std::to_string(100 + i));
  auto service = w.connect_service();
  std::vector<std::string> ids;
  for (auto& row : service.query("SELECT * FROM devices", 10)) ids.emplace_back(*row.value()["deviceId"].as_string());
  ASSERT_EQ(ids.size(), 25u);
  EXPECT_EQ(ids.front(), "d100");
  EXPECT_EQ(ids.back(), "d124");
}

}  // namespace
