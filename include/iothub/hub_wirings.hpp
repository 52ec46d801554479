// What lies between a client and a hub in the same process: nothing, pipes, or pipes with TLS inside.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <iothub/device/mqtt_dialect.hpp>
#include <iothub/hub_connections.hpp>
#include <iothub/hub_runtime.hpp>
#include <iothub/memory/direct_http.hpp>
#include <iothub/memory/direct_mqtt.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_http.hpp>
#include <iothub/policy/stream_mqtt.hpp>

namespace iothub {
inline namespace v0 {

// The hub listening on a network of pipes, under every name: MQTT on 8883 and HTTPS on 443 with TLS, and both without
// on 1883 and 80, where the pipe wiring puts its clients. AMQP likewise on 5671 and 5672, for those who ask for it.
class pipe_wires {
 public:
  static constexpr std::uint16_t mqtt_port = 8883, https_port = 443, plain_mqtt_port = 1883, plain_http_port = 80;
  static constexpr std::uint16_t amqps_port = 5671, plain_amqp_port = 5672, plain_websocket_port = 8080;

  pipe_wires(loop& on, hub::mqtt_front& mqtt, hub::http_face& http, hub::amqp_front& amqp,
             memory::pipe_options const& options, hub::log_sink* log)
      : loop_{on},
        network_{on, options},
        mqtt_{on, listen(plain_mqtt_port), mqtt, {}, {.log = log, .name = "MQTT"}},
        http_{on, listen(plain_http_port), http, {}, {.log = log, .name = "HTTP"}},
        front_{mqtt},
        face_{http},
        amqp_front_{amqp},
        log_{log} {
    mqtt_.start().value();
    http_.start().value();
  }
  pipe_wires(pipe_wires const&) = delete;
  pipe_wires& operator=(pipe_wires const&) = delete;

  [[nodiscard]] memory::pipe_network& network() noexcept { return network_; }
  [[nodiscard]] std::string const& ca_pem() { return secure().ca.ca_pem; }
  // What a client of the TLS wiring trusts: this hub's CA, and nobody else.
  [[nodiscard]] net::tls_context const& client_context() { return *secure().client; }
  // These listen for AMQP from the first call on. Templates, so that who does not use AMQP does not pay for it when
  // compiling.
  template <class Protocol = amqp_protocol>
  pipe_wires& with_amqp() {
    if (!amqp_) amqp_ = serve<Protocol>(plain_amqp_port, as_accepted{}, "AMQP");
    return *this;
  }
  template <class Protocol = amqp_protocol>
  pipe_wires& with_amqps() {
    if (!amqps_) amqps_ = serve<Protocol>(amqps_port, *secure().wrap, "AMQPS");
    return *this;
  }
  // WebSockets without TLS, likewise. Server: made from the loop, a listener, the three fronts and the log, with
  // start().
  template <class Server>
  pipe_wires& with_websockets() {
    if (!websockets_)
      websockets_ =
          std::make_unique<some_server<Server>>(loop_, listen(plain_websocket_port), front_, face_, amqp_front_, log_);
    return *this;
  }

 private:
  template <class Wrap, class Protocol>
  using server = stream_server<memory::pipe_listener, Protocol, Wrap>;
  struct any_server {
    virtual ~any_server() = default;
  };
  template <class Server>
  struct some_server final : any_server {
    template <class... Args>
    explicit some_server(Args&&... args) : server(std::forward<Args>(args)...) {
      server.start().value();
    }
    Server server;
  };
  struct wrap_tls {
    net::tls_context context;
    net::tls_stream<memory::pipe_stream> operator()(memory::pipe_stream&& s) const { return {context, std::move(s)}; }
  };
  // Made when the first client wants it: keys and contexts cost milliseconds.
  struct tls_part {
    net::certificate_authority ca;
    std::optional<net::tls_context> client;
    std::optional<wrap_tls> wrap;
    std::unique_ptr<server<wrap_tls, mqtt_protocol>> mqtt;
    std::unique_ptr<server<wrap_tls, http_protocol>> https;
  };

  memory::pipe_listener listen(std::uint16_t port) { return network_.listen({"*", port}).value(); }
  template <class Protocol, class Wrap>
  std::unique_ptr<any_server> serve(std::uint16_t port, Wrap wrap, char const* name) {
    return std::make_unique<some_server<server<Wrap, Protocol>>>(loop_, listen(port), amqp_front_, std::move(wrap),
                                                                 stream_server_options{.log = log_, .name = name});
  }
  tls_part& secure() {
    if (tls_) return *tls_;
    auto part = std::make_unique<tls_part>();
    part->ca =
        net::make_certificate_authority({.leaf_lifetime = std::chrono::hours{24 * 3650}}, loop_.utc_now()).value();
    part->client = net::tls_context::client({.trust = {.ca_pem = part->ca.ca_pem}}).value();
    part->wrap = wrap_tls{
        net::tls_context::server({.certificate_pem = part->ca.chain_pem, .private_key_pem = part->ca.private_key_pem})
            .value()};
    part->mqtt = std::make_unique<server<wrap_tls, mqtt_protocol>>(loop_, listen(mqtt_port), front_, *part->wrap,
                                                                   stream_server_options{.log = log_, .name = "MQTT"});
    part->https = std::make_unique<server<wrap_tls, http_protocol>>(
        loop_, listen(https_port), face_, *part->wrap, stream_server_options{.log = log_, .name = "HTTPS"});
    part->mqtt->start().value();
    part->https->start().value();
    tls_ = std::move(part);
    return *tls_;
  }

  loop& loop_;
  memory::pipe_network network_;
  server<as_accepted, mqtt_protocol> mqtt_;
  server<as_accepted, http_protocol> http_;
  hub::mqtt_front& front_;
  hub::http_face& face_;
  hub::amqp_front& amqp_front_;
  hub::log_sink* log_;
  std::unique_ptr<tls_part> tls_;
  std::unique_ptr<any_server> amqp_;
  std::unique_ptr<any_server> amqps_;
  std::unique_ptr<any_server> websockets_;
};

// A pipe to a port of the hub's own choosing: the options of a client know the ports of TLS only.
class plain_pipe {
 public:
  explicit plain_pipe(memory::pipe_network& network) noexcept : pipe_{network} {}
  result<void> open(endpoint where, time_point now) {
    where.port = where.port == pipe_wires::mqtt_port    ? pipe_wires::plain_mqtt_port
                 : where.port == pipe_wires::amqps_port ? pipe_wires::plain_amqp_port
                                                        : pipe_wires::plain_http_port;
    return pipe_.open(where, now);
  }
  io_result read(byte_span into, time_point now) { return pipe_.read(into, now); }
  io_result write(byte_view from, time_point now) { return pipe_.write(from, now); }
  void close() noexcept { pipe_.close(); }
  [[nodiscard]] error last_error() const { return pipe_.last_error(); }
  [[nodiscard]] time_point deadline() const noexcept { return pipe_.deadline(); }
  void attach(loop& on, participant& whom) noexcept { pipe_.attach(on, whom); }
  [[nodiscard]] memory::pipe_stream& pipe() noexcept { return pipe_; }

 private:
  memory::pipe_stream pipe_;
};

// The device's transports by name: packets as values, their bytes over pipes, and TLS over pipes.
using in_process = over_mqtt<memory::direct_mqtt<direct_mqtt_peer>>;
using piped = over_mqtt<stream_mqtt<plain_pipe>>;
using piped_tls = over_mqtt<stream_mqtt<net::tls_stream<memory::pipe_stream>>>;

namespace wiring {

// Each says what a client's transport is, and how one is made for a hub (whose state has runtime, direct_peer,
// wires()).
struct direct {
  using device_transport = in_process;
  using http_transport = memory::direct_http<hub::http_face>;
  template <class Hub>
  static auto device_source(Hub& hub) {
    return [&hub] { return memory::direct_mqtt<direct_mqtt_peer>{hub.direct_peer}; };
  }
  template <class Hub>
  static auto http_source(Hub& hub) {
    return [&hub] { return http_transport{hub.runtime.http()}; };
  }
};

struct pipe {
  struct make_stream {
    memory::pipe_network* network;
    plain_pipe operator()() const { return plain_pipe{*network}; }
  };
  using device_transport = piped;
  using http_transport = stream_http<plain_pipe, make_stream>;
  template <class Hub>
  static auto device_source(Hub& hub) {
    return [&hub] { return stream_mqtt<plain_pipe>{mqtt::client_options{}, hub.wires().network()}; };
  }
  template <class Hub>
  static auto http_source(Hub& hub) {
    return [&hub] { return http_transport{make_stream{&hub.wires().network()}}; };
  }
};

struct pipe_tls {
  using stream = net::tls_stream<memory::pipe_stream>;
  struct make_stream {
    pipe_wires* wires;
    stream operator()() const { return {wires->client_context(), memory::pipe_stream{wires->network()}}; }
  };
  using device_transport = piped_tls;
  using http_transport = stream_http<stream, make_stream>;
  template <class Hub>
  static auto device_source(Hub& hub) {
    return [&hub] {
      return stream_mqtt<stream>{mqtt::client_options{}, hub.wires().client_context(),
                                 memory::pipe_stream{hub.wires().network()}};
    };
  }
  template <class Hub>
  static auto http_source(Hub& hub) {
    return [&hub] { return http_transport{make_stream{&hub.wires()}}; };
  }
};

}  // namespace wiring

}  // namespace v0
}  // namespace iothub
