// A wiring of hub_wirings.hpp with a device that speaks MQTT in WebSocket frames; back ends speak HTTP as there. A
// header of its own, so that tests without WebSockets do not pay for it when compiling.
//
//   iothub::fake_hub hub;
//   auto device = hub.connect_device<iothub::wiring::websocket_pipe>("pump-7");
#pragma once

#include <utility>

#include <iothub/base/prng.hpp>
#include <iothub/hub_websocket.hpp>
#include <iothub/hub_wirings.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/policy/stream_mqtt.hpp>
#include <iothub/policy/ws_stream.hpp>

namespace iothub {
inline namespace v0 {

namespace detail {

// HTTP with what is behind an upgrade, on pipes.
class websocket_pipe_server final : private hub::face_host {
 public:
  websocket_pipe_server(loop& on, memory::pipe_listener listener, hub::mqtt_front& mqtt, hub::http_face& http,
                        hub::amqp_front& amqp, hub::log_sink* log)
      : loop_{on},
        front_{http, mqtt, amqp, *this, log},
        server_{on, std::move(listener), front_, {}, {.log = log, .name = "HTTP"}} {}
  result<void> start() { return server_.start(); }

 private:
  [[nodiscard]] utc_time wall_clock() const override { return loop_.utc_now(); }
  void core_touched() override {}  // the fronts behind it have a host of their own

  loop& loop_;
  hub::websocket_front front_;
  stream_server<memory::pipe_listener, web_protocol, as_accepted> server_;
};

// A pipe to where that server listens, whatever the client's options say.
class websocket_pipe final : public memory::pipe_stream {
 public:
  using memory::pipe_stream::pipe_stream;
  result<void> open(endpoint where, time_point now) {
    where.port = pipe_wires::plain_websocket_port;
    return pipe_stream::open(where, now);
  }
};

}  // namespace detail

// MQTT in WebSocket frames over pipes.
using piped_websocket = over_mqtt<stream_mqtt<ws_stream<detail::websocket_pipe>>>;

namespace wiring {

struct websocket_pipe : pipe {
  using device_transport = piped_websocket;
  template <class Hub>
  static auto device_source(Hub& hub) {
    return [&hub] {
      pipe_wires& wires = hub.wires().template with_websockets<iothub::detail::websocket_pipe_server>();
      ws_stream_options how{.path = "/$iothub/websocket", .subprotocol = "mqtt"};
      how.random = [random = prng{1}](byte_span into) mutable -> result<void> {
        random.fill(into);
        return {};
      };
      return stream_mqtt<ws_stream<iothub::detail::websocket_pipe>>{mqtt::client_options{}, std::move(how),
                                                                    iothub::detail::websocket_pipe{wires.network()}};
    };
  }
};

}  // namespace wiring

}  // namespace v0
}  // namespace iothub
