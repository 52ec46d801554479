// The device client over AMQP 1.0 over TLS, with or without WebSocket frames, and its transports. Not part of
// iothub.hpp: who does not use AMQP does not compile it.
//
//   auto device = iothub::amqp_device_client::from_connection_string(text).value();
//
// All else is as with device_client; amqp_dialect.hpp says what differs.
#pragma once

#include <cstdint>
#include <utility>

#include <iothub/crypto/openssl.hpp>
#include <iothub/device/amqp_dialect.hpp>
#include <iothub/device_client.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/policy/stream_amqp.hpp>
#include <iothub/policy/ws_stream.hpp>

namespace iothub {
inline namespace v0 {

// AMQP 1.0 over TLS over TCP, port 5671 unless the options say otherwise.
template <class Tcp>
class basic_amqp_over_tls {
 public:
  using loop_type = net::epoll_loop;
  using prepared = net::tls_context;
  using transport_type = stream_amqp<net::tls_stream<Tcp>>;

  // errc::io_error or malformed: the CA or CRL file that was named cannot be used.
  static result<prepared> prepare(device_options const& options) {
    net::tls_client_options tls;
    tls.trust.ca_file = options.ca_file;
    tls.trust.crl_file = options.crl_file;
    return net::tls_context::client(tls);
  }
  static std::uint16_t port(device_options const& options) noexcept { return options.amqps_port; }

  basic_amqp_over_tls(net::tls_context context, device_options const&)
      : dialect_([&] { return transport_type(std::move(context), Tcp{}); }) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] transport_type& transport() noexcept { return dialect_.transport(); }

 private:
  amqp_dialect<transport_type> dialect_;
};
using amqp_over_tls = basic_amqp_over_tls<net::tcp_stream>;

// The same in WebSocket frames, for networks that let port 443 out and nothing else (azure-iot-sdk-node amqp_ws.ts).
template <class Tcp>
class basic_amqp_over_websocket {
 public:
  using loop_type = net::epoll_loop;
  using prepared = net::tls_context;
  using transport_type = stream_amqp<ws_stream<net::tls_stream<Tcp>>>;

  // As basic_amqp_over_tls.
  static result<prepared> prepare(device_options const& options) { return basic_amqp_over_tls<Tcp>::prepare(options); }
  static std::uint16_t port(device_options const& options) noexcept { return options.https_port; }

  basic_amqp_over_websocket(net::tls_context context, device_options const&)
      : dialect_([&] {
          ws_stream_options socket{.path = "/$iothub/websocket?iothub-no-client-cert=true", .subprotocol = "AMQPWSB10"};
          socket.random = [](byte_span into) { return openssl_crypto{}.fill_random(into); };
          return transport_type(std::move(socket), net::tls_stream<Tcp>{std::move(context), Tcp{}});
        }) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] transport_type& transport() noexcept { return dialect_.transport(); }

 private:
  amqp_dialect<transport_type> dialect_;
};
using amqp_over_websocket = basic_amqp_over_websocket<net::tcp_stream>;

using amqp_websocket_device_client = basic_device_client<amqp_over_websocket, loop_clock, openssl_crypto>;
using amqp_device_client = basic_device_client<amqp_over_tls, loop_clock, openssl_crypto>;

}  // namespace v0
}  // namespace iothub
