// A hub that serves AMQP on pipes in virtual time, and readers and senders of a back end on them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub_connections.hpp>
#include <iothub/hub_runtime.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/policy/stream_amqp.hpp>

namespace iothub_test {

using namespace iothub;
using namespace std::chrono_literals;

struct event_world : hub::log_sink {
  using transport = stream_amqp<memory::pipe_stream>;

  static hub::options small_hub() {
    hub::options o;
    o.hostname = "h.azure-devices.net";
    o.retention.partitions = 4;
    return o;
  }
  explicit event_world(hub::options o = small_hub(), memory::pipe_options pipes = {})
      : network{on, pipes},
        runtime{on, crypto, std::move(o), this},
        server{on, network.listen({"*", 5671}).value(), runtime.amqp(), as_accepted{}, {.log = this, .name = "AMQP"}} {
    server.start().value();
  }

  [[nodiscard]] hub::hub_core& core() { return runtime.core(); }
  void device(std::string_view id) {
    core().put_identity({.device_id = std::string{id}}, {}, runtime.now()).value();
    runtime.touched();
  }
  // As if the device had sent it.
  void send(std::string_view id, std::string_view body, hub::d2c_message what = {}) {
    what.body = body;
    core().send_telemetry(hub::key_view{id, {}}, hub::grant{}, what, runtime.now()).value();
    runtime.touched();
  }
  [[nodiscard]] std::string hub_string(std::string_view policy = "iothubowner") {
    auto const* const p = core().find_policy(policy);
    return "HostName=h.azure-devices.net;SharedAccessKeyName=" + p->name + ";SharedAccessKey=" + p->primary_key;
  }
  [[nodiscard]] std::string endpoint_string(std::string_view policy = "iothubowner") {
    auto const* const p = core().find_policy(policy);
    return "Endpoint=sb://h.azure-devices.net/;SharedAccessKeyName=" + p->name + ";SharedAccessKey=" + p->primary_key +
           ";EntityPath=h";
  }
  auto transport_source() {
    return [this] { return transport{memory::pipe_stream{network}}; };
  }
  void run(duration time) { EXPECT_TRUE(on.run_for(time).has_value()); }
  void write(hub::log_entry const& e) override {
    log.push_back(std::string{e.event} + ": " + std::string{e.reason});
  }
  // The partition of a device's events.
  [[nodiscard]] std::uint32_t partition_of(std::string_view id) { return core().events().partition_of(id); }

  std::vector<std::string> log;
  memory::virtual_loop on;
  seeded_crypto crypto{1};
  memory::pipe_network network;
  hub_runtime<seeded_crypto&> runtime;
  stream_server<memory::pipe_listener, amqp_protocol, as_accepted> server;
};

}  // namespace iothub_test
