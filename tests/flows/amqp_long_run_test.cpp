// AMQP under the faults of flows_wires.hpp, and what only virtual time can show: a month of renewed tokens, two clients
// that fight for one identity, ten thousand connections.
#include "flow_amqp.hpp"

using wire_wirings = ::testing::Types<iothub_test::amqp_pipe, iothub_test::amqp_pipe_tls>;

#include "flows_wires.hpp"

#include <malloc.h>

namespace {

TEST(AmqpLongRun, RenewsItsTokenForAMonthOnOneConnection) {
  world<amqp_pipe> w;
  auto device = w.make_device("d");
  int changes = 0, calls = 0;
  json::value wanted;
  device.on_method("ping", [&](method_request const&) -> method_response { return {.payload = ++calls}; });
  device.on_desired([&](json::value const& properties, std::int64_t) { wanted = properties; });
  device.connect().value();
  w.run_turns(20);
  device.on_connection_change([&](connection_status, connection_reason) { ++changes; });
  int sent = 0, confirmed = 0;
  device.every(10min, [&] {
    device.async_send_telemetry({.body = std::to_string(sent++)}, [&](result<void> r) { confirmed += r.has_value(); });
  });
  w.run_for(30 * 24h);
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(confirmed, sent);
  EXPECT_EQ(w.bodies("d").size(), static_cast<std::size_t>(sent));
  EXPECT_EQ(w.connect_service().invoke_method("d", {.name = "ping"}).value().payload, 1);
  w.set_desired("d", {{"a", 1}});
  EXPECT_TRUE(w.wait_until([&] { return wanted == json::value{{"a", 1}}; }));
}

TEST(AmqpLongRun, GoesOnWithItsOldTokenUntilThatHasEnded) {
  world<amqp_pipe> w;
  auto device = w.connect_device("d");
  w.roll_keys("d");
  w.run_for(59min);  // every renewal since the fiftieth minute was refused
  EXPECT_TRUE(device.send_telemetry({.body = "still here"}));
  ASSERT_TRUE(w.wait_until([&] { return device.status() == connection_status::disconnected; }));
  EXPECT_EQ(device.last_connection_error(), errc::unauthorized);
}

TEST(AmqpLongRun, StaysConnectedThroughSilence) {
  world<amqp_pipe> w;
  auto device = w.connect_device("d");
  int changes = 0;
  w.run_turns(20);
  device.on_connection_change([&](connection_status, connection_reason) { ++changes; });
  w.run_for(40min);
  EXPECT_EQ(changes, 0);
}

TEST(AmqpLongRun, TwoClientsOfOneIdentityDoNotSpin) {
  world<amqp_pipe> w;
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
  EXPECT_LE(connected, 1000);
  a.close();
  ASSERT_TRUE(w.wait_until([&] { return b.is_connected(); }));
  EXPECT_TRUE(b.send_telemetry({.body = "the survivor"}));
}

TEST(AmqpLongRun, ManyReconnectsLeaveNothingBehind) {
  world<amqp_pipe> w;
  auto how = w.options();
  how.reconnect = {
      .min_delay = 1ms, .base_delay = 1ms, .max_delay = 1ms, .throttled_base_delay = 1ms, .throttled_max_delay = 1ms};
  auto device = w.make_device("d", how);
  device.on_method("m", [](method_request const&) -> method_response { return {}; });
  device.on_desired([](json::value const&, std::int64_t) {});
  device.on_message([](c2d_message const&) {});
  device.connect().value();
  auto const round = [&](int times) {
    for (int i = 0; i != times; ++i) {
      w.disconnect("d");
      ASSERT_TRUE(w.wait_until([&] { return w.core().connected_devices() == 1 && device.is_connected(); }));
    }
  };
  round(100);
  auto const before = ::mallinfo2().uordblks;
  round(3000);
  auto const after = ::mallinfo2().uordblks;
  EXPECT_LT(after, before + 16 * 1024);
  EXPECT_EQ(device.pending_operations(), 0u);
}

// One that is neither accepted nor given back comes again on the same connection when its lock has ended.
TEST(AmqpLongRun, AMessageWhoseHandlerHangsComesAgainOnTheSameConnection) {
  world<amqp_pipe> w;
  auto device = w.make_device("d");
  std::vector<std::uint64_t> seen;  // sequence numbers
  int changes = 0;
  device.on_message([&](c2d_message const& m) {
    seen.push_back(m.sequence_number);
    if (seen.size() == 1) device.run_for(5min);
  });
  device.connect().value();
  w.run_turns(20);
  device.on_connection_change([&](connection_status, connection_reason) { ++changes; });
  w.send_c2d("d", {.body = "slow"});
  ASSERT_TRUE(w.wait_until([&] { return seen.size() >= 2 && w.pending_c2d("d") == 0; }));
  EXPECT_EQ(seen[1], seen[0]);
  EXPECT_EQ(changes, 0);
}

}  // namespace
