// Clients over AMQP in a simulation: devices, event readers and messengers. Apart from simulation.hpp, so that who
// needs none of it does not pay for it when compiling.
//
//   iothub::simulation sim{{.seed = 7, .faults = iothub::sim::bad_network()}};
//   auto device = iothub::sim::make_amqp_device(sim.amqp_device("pump-7"));
//   auto reader = iothub::sim::make_event_reader(sim.amqp_back_end("reader"), {.start = event_position::earliest()});
//   …
//   sim.inject(iothub::sim::fault::reset_after_packet, "reader");
#pragma once

#include <utility>

#include <iothub/basic_event_reader.hpp>
#include <iothub/basic_service_messenger.hpp>
#include <iothub/crypto/seeded.hpp>
#include <iothub/device/amqp_dialect.hpp>
#include <iothub/device_client.hpp>
#include <iothub/policy/stream_amqp.hpp>
#include <iothub/simulation/amqp_wire.hpp>
#include <iothub/simulation/device_clock.hpp>
#include <iothub/simulation/secure_stream.hpp>
#include <iothub/simulation/station.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

using amqp_stream = stream_amqp<amqp_wire<secure_stream>>;
using amqp_device_client = basic_device_client<over_amqp<amqp_stream>, device_clock, seeded_crypto>;
using event_reader = basic_event_reader<amqp_stream, device_clock, seeded_crypto>;
using service_messenger = basic_service_messenger<amqp_stream, device_clock, seeded_crypto>;

namespace detail {
inline auto amqp_source(station const& at) {
  return [way = at.way, context = at.context] { return amqp_stream{*way, *way, context}; };
}
}  // namespace detail

[[nodiscard]] inline amqp_device_client make_amqp_device(station const& at, device_options options = {}) {
  if (options.seed == 0) options.seed = at.seed;
  return amqp_device_client::create(*at.on, parse_device_connection_string(at.connection).value(),
                                    detail::amqp_source(at), device_clock{*at.on, *at.wrong},
                                    seeded_crypto{at.crypto_seed}, options)
      .value();
}
[[nodiscard]] inline event_reader make_event_reader(station const& at, event_reader_options options = {}) {
  if (options.seed == 0) options.seed = at.seed;
  return event_reader::create(*at.on, at.connection, detail::amqp_source(at), device_clock{*at.on, *at.wrong},
                              seeded_crypto{at.crypto_seed}, options)
      .value();
}
[[nodiscard]] inline service_messenger make_messenger(station const& at, messenger_options options = {}) {
  if (options.seed == 0) options.seed = at.seed;
  return service_messenger::create(*at.on, at.connection, detail::amqp_source(at), device_clock{*at.on, *at.wrong},
                                   seeded_crypto{at.crypto_seed}, options)
      .value();
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
