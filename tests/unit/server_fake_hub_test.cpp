// fake_hub as a user's unit test sees it, on every wiring.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iothub/fake_hub.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

template <class Wiring>
class FakeHub : public testing::Test {
 protected:
  auto device(std::string_view id) { return hub.connect_device<Wiring>(id); }
  auto service() { return hub.connect_service<Wiring>(); }
  fake_hub hub;
};
using wirings = testing::Types<wiring::direct, wiring::pipe, wiring::pipe_tls>;
TYPED_TEST_SUITE(FakeHub, wirings);

TYPED_TEST(FakeHub, RegistersAndConnectsADevice) {
  auto device = this->device("pump-7");
  EXPECT_TRUE(device.is_connected());
  EXPECT_EQ(this->hub.core().connected_devices(), 1u);
  EXPECT_EQ(this->service().get_device("pump-7").value().connection_state, connection_state::connected);
}

TYPED_TEST(FakeHub, ShowsTelemetryInTheOrderOfArrival) {
  auto device = this->device("d");
  for (int i = 0; i != 3; ++i) device.send_telemetry({.body = {{"n", i}}}).value();
  EXPECT_EQ(this->hub.next_event().value().content.body.bytes(), R"({"n":0})");
  EXPECT_EQ(this->hub.next_event().value().content.body.bytes(), R"({"n":1})");
  EXPECT_EQ(this->hub.events().size(), 3u);
  EXPECT_TRUE(this->hub.wait_for_events(3));
  EXPECT_FALSE(this->hub.wait_for_events(4, 5s));
}

TYPED_TEST(FakeHub, CarriesAMethodCallInNoTime) {
  auto device = this->device("d");
  device.on_method("add", [](method_request const& request) -> method_response {
    return {.status = 200, .payload = *request.payload.as_int() + 1};
  });
  auto service = this->service();
  this->hub.run_for(1s);
  auto const before = this->hub.now();
  EXPECT_EQ(service.invoke_method("d", {.name = "add", .payload = 41}).value().payload, 42);
  EXPECT_EQ(this->hub.now(), before);
}

TYPED_TEST(FakeHub, TellsTheThreeFailuresOfACallApart) {
  auto service = this->service();
  EXPECT_EQ(service.invoke_method("nobody", {.name = "m"}).error().code(), errc::device_not_found);
  this->hub.create_device("away");
  EXPECT_EQ(service.invoke_method("away", {.name = "m"}).error().code(), errc::device_offline);
  auto device = this->device("slow");
  std::optional<responder> kept;
  device.on_method("m", [&](method_request const&, responder answer) { kept = std::move(answer); });
  this->hub.run_for(1s);
  auto const start = this->hub.utc_now();
  EXPECT_EQ(service.invoke_method("slow", {.name = "m"}, {.response_timeout = 5s}).error().code(),
            errc::device_timeout);
  EXPECT_EQ(this->hub.utc_now() - start, 5s);
}

TYPED_TEST(FakeHub, SynchronisesTheTwin) {
  auto device = this->device("d");
  std::vector<std::string> seen;
  device.on_desired([&](json::value const& patch, std::int64_t) { seen.push_back(patch.dump()); });
  this->hub.run_for(1s);
  this->hub.set_desired("d", {{"a", 1}});
  this->hub.run_for(1s);
  EXPECT_EQ(seen.back(), R"({"a":1})");
  this->hub.disconnect("d");
  this->hub.set_desired("d", {{"b", 2}});
  EXPECT_TRUE(this->hub.run_until([&] { return seen.back() == R"({"a":1,"b":2})"; }, 2min));
  device.update_reported_properties({{"done", true}}).value();
  EXPECT_EQ(this->hub.get_twin("d").reported["done"], true);
  this->hub.set_tags("d", {{"plant", "R43"}});
  EXPECT_EQ(this->service().get_twin("d").value().tags["plant"], "R43");
}

TYPED_TEST(FakeHub, DeliversMessagesAlsoThoseThatWaited) {
  auto device = this->device("d");
  std::vector<std::string> seen;
  device.on_message([&](c2d_message const& m) { seen.emplace_back(m.content.body.bytes()); });
  this->hub.run_for(1s);
  this->hub.send_c2d("d", {.body = "one", .message_id = "m1"}, feedback_request::full);
  this->hub.run_for(1s);
  EXPECT_EQ(this->hub.pending_c2d("d"), 0u);
  ASSERT_EQ(this->hub.take_feedback().size(), 1u);
  this->hub.disconnect("d");
  this->hub.send_c2d("d", {.body = "two"});
  EXPECT_EQ(this->hub.pending_c2d("d"), 1u);
  this->hub.run_for(2min);
  EXPECT_THAT(seen, testing::ElementsAre("one", "two"));
}

TYPED_TEST(FakeHub, RefusesWhatTheTestWantsRefused) {
  auto service = this->service();
  this->hub.reject_next(hub::fault_point::registry, errc::quota_exceeded);
  EXPECT_EQ(service.create_device("x").error().code(), errc::quota_exceeded);
  EXPECT_TRUE(service.create_device("x"));
  EXPECT_EQ(service.create_device("x").error().code(), errc::already_exists);
  this->hub.set_status("x", identity_status::disabled);
  auto device = this->hub.template make_device<TypeParam>("x", device_options{.connect_limit = 30s});
  EXPECT_EQ(device.connect().error().code(), errc::service_unavailable);
}

TYPED_TEST(FakeHub, ConnectsModules) {
  auto module = this->device("d/m");
  module.send_telemetry({.body = "x", .output_name = "out"}).value();
  EXPECT_EQ(this->hub.events().at(0).source, (device_key{"d", "m"}));
}

TYPED_TEST(FakeHub, RepeatsItselfForTheSameSeed) {
  auto const story = [](std::uint64_t seed) {
    fake_hub fresh{{.seed = seed}};
    auto device = fresh.connect_device<TypeParam>("d");
    fresh.disconnect("d");
    device.send_telemetry({.body = "x"}, 2min).value();
    return fresh.connection_string_for("d") + to_iso8601(fresh.events().at(0).enqueued_time, 6);
  };
  EXPECT_EQ(story(3), story(3));
  EXPECT_NE(story(3), story(4));
}

TEST(FakeHubTime, StartsIn2024AndPassesOnlyWhenToldTo) {
  fake_hub hub;
  EXPECT_EQ(to_iso8601(hub.utc_now()), "2024-01-01T00:00:00.000Z");
  auto device = hub.connect_device("d");
  hub.run_for(20s);
  EXPECT_EQ(to_iso8601(device.utc_now()), "2024-01-01T00:00:20.000Z");
  EXPECT_EQ(hub.seed(), 1u);
}

TEST(FakeHubTime, AServiceOfAWeakerPolicyIsRefused) {
  fake_hub hub;
  hub.create_device("d");
  EXPECT_EQ(hub.connect_service("service").get_device("d").error().code(), errc::unauthorized);
  EXPECT_TRUE(hub.connect_service("registryRead").get_device("d"));
  EXPECT_THROW((void)hub.connect_service("no such policy"), exception);
}

TEST(FakeHubTime, NobodyListensWhileItRefuses) {
  fake_hub hub;
  hub.refuse_connections(true);
  auto device = hub.make_device("d", device_options{.connect_limit = 5s});
  EXPECT_EQ(device.connect().error().code(), errc::connection_refused);
  hub.refuse_connections(false);
  EXPECT_TRUE(device.connect());
}

TEST(FakeHubTime, AWaitForTelemetryThatDoesNotComeNamesWhatItWaitedFor) {
  fake_hub hub;
  auto device = hub.connect_device("d");
  EXPECT_EQ(hub.next_event(5s).error().message(),
            "no further telemetry arrived in 5000 ms of the hub's time; 0 event(s) were given out before");
}

TEST(FakeHubPipes, SurvivesLatencyFragmentsAndResets) {
  fake_hub hub{{.pipes = {.latency = 20ms, .max_chunk = 7}}};
  auto device = hub.connect_device<wiring::pipe_tls>("d");
  device.send_telemetry({.body = "one"}).value();
  hub.pipes().reset_all();
  device.send_telemetry({.body = "two"}, 2min).value();
  EXPECT_EQ(hub.events().back().content.body.bytes(), "two");
}

}  // namespace
