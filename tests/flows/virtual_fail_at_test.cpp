// The N-th call of a stream fails, for N = 1, 2, … until the flows pass untouched: wherever it is, the end is right.
#include <gmock/gmock.h>

#include <iothub/memory/fail_at.hpp>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;

using lines = std::vector<std::string>;
using failing = memory::fail_at<plain_pipe>;
using failing_device = basic_device_client<over_mqtt<stream_mqtt<failing>>, loop_clock, seeded_crypto>;
struct make_failing {
  memory::pipe_network* network;
  memory::failure_plan* plan;
  failing operator()() const { return {plain_pipe{*network}, *plan}; }
};
using failing_service = basic_service_client<stream_http<failing, make_failing>, loop_clock, seeded_crypto>;

failing_device make_device(fake_hub& hub, memory::failure_plan& plan) {
  return failing_device::create(hub.loop(), parse_device_connection_string(hub.connection_string_for("d")).value(),
                                [&] {
                                  return stream_mqtt<failing>{mqtt::client_options{}, plain_pipe{hub.pipes()}, plan};
                                },
                                loop_clock{hub.loop()}, seeded_crypto{3}, {.publish_timeout = 1h, .seed = 3})
      .value();
}

// How many calls it took to get through; 0: never.
std::uint64_t sweep_device(errc code, std::size_t chunk) {
  for (std::uint64_t n = 1; n != 2'000; ++n) {
    SCOPED_TRACE("call " + std::to_string(n) + " fails with " + std::string{to_string(code)});
    fake_hub hub{{.pipes = {.max_chunk = chunk}}};
    hub.create_device("d");
    memory::failure_plan plan{.fail_call = n, .calls = 0, .code = code};
    auto device = make_device(hub, plan);
    int pings = 0, confirmed = 0, ended = 0;
    json::value wanted = json::value::make_object();
    lines got;
    device.on_method("ping", [&](method_request const&) -> method_response { return {.payload = ++pings}; });
    device.on_desired([&](json::value const& patch, std::int64_t) { json::merge_patch(wanted, patch); });
    device.on_message([&](c2d_message const& m) { got.emplace_back(m.content.body.bytes()); });
    EXPECT_TRUE(device.connect());
    for (char const* text : {"0", "1", "2"})
      device.async_send_telemetry({.body = text}, [&](result<void> r) { ++ended, confirmed += r.has_value(); });
    device.async_update_reported_properties({{"a", 1}},
                                            [&](result<std::int64_t> v) { ++ended, confirmed += v.has_value(); });
    EXPECT_TRUE(hub.run_until([&] { return ended == 4; }));
    hub.set_desired("d", {{"b", 2}});
    hub.send_c2d("d", {.body = "hello"});
    EXPECT_TRUE(hub.run_until([&] { return wanted["b"] == 2 && hub.pending_c2d("d") == 0 && device.is_connected(); }));
    auto service = hub.connect_service();
    auto reply = service.invoke_method("d", {.name = "ping"});
    // Broken while the call was under way: the caller is told so, and may call again.
    if (!reply) {
      EXPECT_THAT(reply, FailedWith(errc::device_offline));
      EXPECT_TRUE(hub.run_until([&] { return device.is_connected(); }));
      reply = service.invoke_method("d", {.name = "ping"});
    }
    EXPECT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(confirmed, 4);
    EXPECT_EQ(ended, 4);
    EXPECT_EQ(hub.get_twin("d").reported["a"], 1);
    lines distinct;
    for (auto const& e : hub.events())
      if (distinct.empty() || distinct.back() != e.content.body.bytes()) distinct.emplace_back(e.content.body.bytes());
    if (distinct.size() == 3) {
      EXPECT_THAT(distinct, ElementsAre("0", "1", "2"));
    }
    EXPECT_GE(distinct.size(), 3u);
    EXPECT_GE(got.size(), 1u);
    EXPECT_LE(got.size(), 2u);
    EXPECT_LE(pings, 2);
    EXPECT_EQ(device.pending_operations(), 0u);
    device.close();
    EXPECT_TRUE(hub.run_until([&] { return hub.core().connected_devices() == 0; }));
    if (::testing::Test::HasFailure()) return 0;
    if (!plan.reached()) return n;
  }
  return 0;
}

TEST(FailAtN, LeavesADeviceRightWhereverItsConnectionFails) {
  EXPECT_GT(sweep_device(errc::connection_lost, 0), 12u);
}
TEST(FailAtN, LeavesADeviceRightInPiecesToo) {
  EXPECT_GT(sweep_device(errc::connection_lost, 40), 60u);
}
TEST(FailAtN, LeavesADeviceRightWhenTlsBreaks) {
  EXPECT_GT(sweep_device(errc::tls_failed, 0), 12u);
}
TEST(FailAtN, LeavesADeviceRightWhenTheSystemSaysNo) {
  EXPECT_GT(sweep_device(errc::io_error, 0), 12u);
}

// What a careful program does: after an unknown outcome it looks.
TEST(FailAtN, LeavesABackEndRight) {
  std::uint64_t n = 1;
  for (memory::failure_plan plan{.fail_call = n}; n != 500; plan = {.fail_call = ++n}) {
    SCOPED_TRACE(n);
    fake_hub hub{{.pipes = {.max_chunk = 300}}};
    auto device = hub.connect_device("thermostat");
    int calls = 0;
    device.on_method("m", [&](method_request const&) -> method_response { return {.payload = ++calls}; });
    hub.poll();
    auto service = failing_service::create(hub.loop(), hub.service_connection_string(),
                                           stream_http<failing, make_failing>{make_failing{&hub.pipes(), &plan}},
                                           loop_clock{hub.loop()}, seeded_crypto{4}, {.seed = 4})
                       .value();
    int failures = 0;
    auto const again = [&](auto operation) {
      auto outcome = operation();
      if (!outcome && outcome.error() == errc::connection_lost) {
        ++failures;
        outcome = operation();
      }
      return outcome;
    };
    auto const made = again([&] { return service.create_device("new"); });
    EXPECT_TRUE(made || made.error() == errc::already_exists);
    EXPECT_TRUE(service.get_device("new"));  // reading is tried again by the client itself
    EXPECT_TRUE(again([&] { return service.update_twin("new", {{"tags", {{"a", 1}}}}); }));
    auto const reply = again([&] { return service.invoke_method("thermostat", {.name = "m"}); });
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_LE(calls, 1 + failures);
    std::size_t rows = 0;
    for (auto& row : service.query("SELECT * FROM devices", 1)) rows += row.has_value();
    EXPECT_EQ(rows, 2u);
    auto const gone = again([&] { return service.delete_device("new"); });
    EXPECT_TRUE(gone || gone.error() == errc::device_not_found);
    EXPECT_LE(failures, 1);
    EXPECT_EQ(service.pending_operations(), 0u);
    if (HasFailure()) return;
    if (!plan.reached()) break;
  }
  EXPECT_GT(n, 20u);
  EXPECT_LT(n, 500u);
}

}  // namespace
