// The device client against the fake hub, on each wiring inside the process.
#include <iothub/fake_hub.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

template <class Wiring>
class DeviceOnHub : public testing::Test {
 protected:
  fake_hub hub;
};
using wirings = testing::Types<wiring::direct, wiring::pipe, wiring::pipe_tls>;
TYPED_TEST_SUITE(DeviceOnHub, wirings);

TYPED_TEST(DeviceOnHub, TelemetryIsConfirmedAndStored) {
  auto device = this->hub.template connect_device<TypeParam>("d1");
  message m;
  m.body = {{"temperature", 31.5}};
  m.message_id = "message_1";
  m.correlation_id = "correlation_1";
  m.properties = {{"temperatureAlert", "true"}};
  EXPECT_TRUE(device.send_telemetry(m));
  auto const events = this->hub.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].content.body.bytes(), R"({"temperature":31.5})");
  EXPECT_EQ(events[0].content.message_id, "message_1");
  EXPECT_EQ(events[0].content.properties, (property_list{{"temperatureAlert", "true"}}));
}

TYPED_TEST(DeviceOnHub, AMethodIsAnswered) {
  auto device = this->hub.template make_device<TypeParam>("d1");
  device.on_method("SetTelemetryInterval", [](method_request const& request) -> method_response {
    return {.status = 200, .payload = {{"got", request.payload}}};
  });
  device.connect().value();
  auto service = this->hub.connect_service();
  auto const reply = service.invoke_method("d1", {.name = "SetTelemetryInterval", .payload = 10});
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(*reply, (method_response{.status = 200, .payload = {{"got", 10}}}));
  EXPECT_EQ(service.invoke_method("d1", {.name = "other"})->status, 501);
}

TYPED_TEST(DeviceOnHub, AKeptResponderAnswersTwentySecondsLater) {
  auto device = this->hub.template make_device<TypeParam>("d1");
  device.on_method("rebootDevice", [&device](method_request const&, responder answer) {
    device.after(20s, [&device, answer = std::move(answer)]() mutable {
      EXPECT_TRUE(device.update_reported_properties({{"rebootTime", "now"}}));
      answer({.status = 200, .payload = {{"Response", "This is the response from the device"}}});
    });
  });
  device.connect().value();
  auto const reply = this->hub.connect_service().invoke_method("d1", {.name = "rebootDevice", .payload = "{}"});
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(this->hub.get_twin("d1").reported["rebootTime"], "now");
}

TYPED_TEST(DeviceOnHub, TheTwinIsReconciledAfterAnAbsence) {
  auto device = this->hub.template make_device<TypeParam>("d1");
  std::vector<std::string> seen;
  device.on_desired([&](json::value const& patch, std::int64_t version, desired_scope scope) {
    seen.push_back((scope == desired_scope::whole ? "whole " : "patch ") + patch.dump() + std::to_string(version));
  });
  device.connect().value();
  this->hub.run_for(1s);  // the first twin is read
  this->hub.set_desired("d1", {{"interval", 5}});
  this->hub.run_for(1s);
  EXPECT_EQ(seen, (std::vector<std::string>{R"(patch {"interval":5}2)"}));
  device.close();
  this->hub.set_desired("d1", {{"interval", nullptr}});
  this->hub.set_desired("d1", {{"mode", "slow"}});
  device.connect().value();
  this->hub.run_for(1s);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1], R"(whole {"mode":"slow"}4)");
  auto const twin = device.get_twin();
  ASSERT_TRUE(twin);
  EXPECT_EQ(twin->desired.dump(), R"({"mode":"slow"})");
  EXPECT_EQ(device.update_reported_properties({{"a.b", 1}}).error(), errc::bad_request);
}

TYPED_TEST(DeviceOnHub, MessagesAreAcceptedOrComeBack) {
  auto device = this->hub.template make_device<TypeParam>("d1");
  std::vector<std::string> seen;
  bool keep = true;
  device.on_message([&](c2d_message const& m) {
    seen.emplace_back(m.content.body.bytes());
    return keep ? settlement::abandon : settlement::accept;
  });
  device.connect().value();
  message m;
  m.body = "hello";
  this->hub.send_c2d("d1", m);
  this->hub.run_for(1s);
  EXPECT_EQ(seen.size(), 1u);
  EXPECT_EQ(this->hub.pending_c2d("d1"), 1u);
  keep = false;
  EXPECT_TRUE(this->hub.disconnect("d1"));
  this->hub.run_for(1min);
  EXPECT_EQ(seen, (std::vector<std::string>{"hello", "hello"}));
  EXPECT_EQ(this->hub.pending_c2d("d1"), 0u);
}

TYPED_TEST(DeviceOnHub, ComesBackAfterALossWithEverything) {
  auto device = this->hub.template make_device<TypeParam>("d1");
  std::vector<std::string> states;
  device.on_connection_change([&](connection_status s, connection_reason r) {
    states.push_back(std::string{to_string(s)} + " " + std::string{to_string(r)});
  });
  device.on_method("m", [](method_request const&) -> method_response { return {.status = 7}; });
  device.connect().value();
  EXPECT_TRUE(this->hub.disconnect("d1"));
  this->hub.run_for(1min);
  EXPECT_EQ(states, (std::vector<std::string>{"connecting opened", "connected opened", "retrying connection_lost",
                                              "connected recovered"}));
  EXPECT_EQ(this->hub.connect_service().invoke_method("d1", {.name = "m"})->status, 7);
}

TYPED_TEST(DeviceOnHub, AWrongKeyIsUnauthorizedAtOnce) {
  this->hub.create_device("d1");
  auto device = this->hub.template make_device<TypeParam>("d1");
  this->hub.delete_device("d1");
  EXPECT_EQ(device.connect().error(), errc::unauthorized);
}

TYPED_TEST(DeviceOnHub, LivesThroughManyRenewals) {
  auto device = this->hub.template connect_device<TypeParam>("d1");
  int renewals = 0;
  int failures = 0;
  int sent = 0;
  device.on_connection_change([&](connection_status s, connection_reason r) {
    renewals += s == connection_status::connected && r == connection_reason::token_renewal;
  });
  device.every(60s, [&] {
    message m;
    m.body = std::to_string(sent++);
    device.async_send_telemetry(std::move(m), [&](result<void> r) { failures += !r; });
  });
  this->hub.run_for(std::chrono::hours{24 * 7});
  EXPECT_EQ(failures, 0);
  EXPECT_GE(renewals, 24 * 7 * 60 / 55);
  EXPECT_EQ(this->hub.events().size(), static_cast<std::size_t>(sent) - device.pending_telemetry());
}

}  // namespace
