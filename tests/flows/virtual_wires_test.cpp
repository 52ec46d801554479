// The faults of flows_wires.hpp under MQTT and HTTP; and TLS that is not trusted.
#include "flow_world.hpp"

using wire_wirings = iothub_test::pipe_wirings;

#include "flows_wires.hpp"

namespace {

// Under TLS a client that does not trust the hub's CA is refused, and says so.
TEST(WiresWithTls, AreRefusedWithoutTrust) {
  world<wiring::pipe_tls> w;
  w.create("d");
  auto const stranger = net::make_certificate_authority({}, w.utc_now()).value();
  auto const context = net::tls_context::client({.trust = {.ca_pem = stranger.ca_pem}}).value();
  using stream = net::tls_stream<memory::pipe_stream>;
  (void)w.hub().ca_pem();
  auto device = fake_hub::device_client<wiring::pipe_tls>::create(
                    w.get_loop(), parse_device_connection_string(w.connection_string("d")).value(),
                    [&] {
                      return stream_mqtt<stream>{mqtt::client_options{}, context, memory::pipe_stream{w.hub().pipes()}};
                    },
                    loop_clock{w.get_loop()}, seeded_crypto{5}, {.seed = 5})
                    .value();
  EXPECT_THAT(device.connect(), FailedWith(errc::certificate_rejected));
  EXPECT_EQ(device.status(), connection_status::disconnected);
}

}  // namespace
