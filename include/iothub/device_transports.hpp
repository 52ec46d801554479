// The real transports, as bundles for the clients, and the clients that use them.
#pragma once

#include <cstdint>
#include <utility>

#include <iothub/crypto/openssl.hpp>
#include <iothub/device/https_dialect.hpp>
#include <iothub/device/mqtt_dialect.hpp>
#include <iothub/device_client.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/net/curl_http.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_mqtt.hpp>
#include <iothub/policy/ws_stream.hpp>

namespace iothub {
inline namespace v0 {

// MQTT 3.1.1 over TLS over TCP, port 8883 unless the options say otherwise. A template, so that who does not use it
// does not pay for it when compiling.
template <class Tcp>
class basic_mqtt_over_tls {
 public:
  using loop_type = net::epoll_loop;
  using prepared = net::tls_context;
  using session_type = stream_mqtt<net::tls_stream<Tcp>>;

  // errc::io_error or malformed: the CA or CRL file that was named cannot be used.
  static result<prepared> prepare(device_options const& options) {
    net::tls_client_options tls;
    tls.trust.ca_file = options.ca_file;
    tls.trust.crl_file = options.crl_file;
    return net::tls_context::client(tls);
  }
  static std::uint16_t port(device_options const& options) noexcept { return options.mqtt_port; }

  basic_mqtt_over_tls(net::tls_context context, device_options const& options)
      : dialect_([&] {
          mqtt::client_options session;
          session.connect_timeout = options.connect_timeout;
          return session_type(session, std::move(context), Tcp{});
        }) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] session_type& session() noexcept { return dialect_.session(); }

 private:
  mqtt_dialect<session_type> dialect_;
};
using mqtt_over_tls = basic_mqtt_over_tls<net::tcp_stream>;

// MQTT 3.1.1 in WebSocket frames over TLS, for networks that let port 443 out and nothing else (Microsoft docs:
// iot-mqtt-connect-to-iot-hub). The query tells the hub not to ask for a client certificate, as azure-iot-sdk-java does
// with tokens.
template <class Tcp>
class basic_mqtt_over_websocket {
 public:
  using loop_type = net::epoll_loop;
  using prepared = net::tls_context;
  using session_type = stream_mqtt<ws_stream<net::tls_stream<Tcp>>>;

  // As basic_mqtt_over_tls.
  static result<prepared> prepare(device_options const& options) {
    return basic_mqtt_over_tls<Tcp>::prepare(options);
  }
  static std::uint16_t port(device_options const& options) noexcept { return options.https_port; }

  basic_mqtt_over_websocket(net::tls_context context, device_options const& options)
      : dialect_([&] {
          mqtt::client_options session;
          session.connect_timeout = options.connect_timeout;
          ws_stream_options socket{.path = "/$iothub/websocket?iothub-no-client-cert=true", .subprotocol = "mqtt"};
          socket.random = [](byte_span into) { return openssl_crypto{}.fill_random(into); };
          return session_type(session, std::move(socket), net::tls_stream<Tcp>{std::move(context), Tcp{}});
        }) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] session_type& session() noexcept { return dialect_.session(); }

 private:
  mqtt_dialect<session_type> dialect_;
};
using mqtt_over_websocket = basic_mqtt_over_websocket<net::tcp_stream>;

// HTTPS by libcurl: telemetry only for a device, port 443 unless the options say otherwise.
template <class Http>
class basic_https {
 public:
  using loop_type = net::epoll_loop;
  using prepared = Http;

  // errc::io_error or malformed: the CA or CRL file that was named cannot be used.
  static result<prepared> prepare(device_options const& options) {
    net::curl_http_options curl;
    curl.trust.ca_file = options.ca_file;
    curl.trust.crl_file = options.crl_file;
    curl.connect_timeout = options.connect_timeout;
    Http made{std::move(curl)};
    if (auto ready = made.ready(); !ready) return std::move(ready).error();
    return made;
  }
  static std::uint16_t port(device_options const& options) noexcept { return options.https_port; }

  basic_https(Http transport, device_options const&) : http_{std::move(transport)}, dialect_{http_} {}
  basic_https(basic_https const&) = delete;
  basic_https& operator=(basic_https const&) = delete;

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] Http& http() noexcept { return http_; }

 private:
  Http http_;
  https_dialect<Http&> dialect_;
};
using https = basic_https<net::curl_http>;

using device_client = basic_device_client<mqtt_over_tls, loop_clock, openssl_crypto>;
using websocket_device_client = basic_device_client<mqtt_over_websocket, loop_clock, openssl_crypto>;
using https_device_client = basic_device_client<https, loop_clock, openssl_crypto>;

}  // namespace v0
}  // namespace iothub
