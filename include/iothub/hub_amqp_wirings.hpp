// The wirings of hub_wirings.hpp with a device that speaks AMQP; back ends speak HTTP as there. A header of its own, so
// that tests without AMQP do not pay for it when compiling.
//
//   iothub::fake_hub hub;
//   auto device = hub.connect_device<iothub::wiring::amqp_pipe>("pump-7");
#pragma once

#include <utility>

#include <iothub/device/amqp_dialect.hpp>
#include <iothub/hub_wirings.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_amqp.hpp>

namespace iothub {
inline namespace v0 {

// AMQP over pipes, and with TLS inside.
using piped_amqp = over_amqp<stream_amqp<plain_pipe>>;
using piped_amqp_tls = over_amqp<stream_amqp<net::tls_stream<memory::pipe_stream>>>;

namespace wiring {

struct amqp_pipe : pipe {
  using device_transport = piped_amqp;
  template <class Hub>
  static auto device_source(Hub& hub) {
    return [&hub] { return stream_amqp<plain_pipe>{hub.wires().with_amqp().network()}; };
  }
};

struct amqp_pipe_tls : pipe_tls {
  using device_transport = piped_amqp_tls;
  template <class Hub>
  static auto device_source(Hub& hub) {
    return [&hub] {
      pipe_wires& wires = hub.wires().with_amqps();
      return stream_amqp<stream>{wires.client_context(), memory::pipe_stream{wires.network()}};
    };
  }
};

}  // namespace wiring

}  // namespace v0
}  // namespace iothub
