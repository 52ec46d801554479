// The real transports, as bundles for the clients, and the clients that use them.
#pragma once

#include <cstdint>
#include <utility>

#include <iothub/crypto/openssl.hpp>
#include <iothub/device/https_dialect.hpp>
#include <iothub/device/mqtt_dialect.hpp>
#include <iothub/device_client.hpp>
#include <iothub/io/clock.hpp>
#include <iothub/net/curl_http.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_mqtt.hpp>

namespace iothub {
inline namespace v0 {

// MQTT 3.1.1 over TLS over TCP, port 8883 unless the options say otherwise.
class mqtt_over_tls {
 public:
  using loop_type = net::epoll_loop;
  using prepared = net::tls_context;
  using stream_type = net::tls_stream<net::tcp_stream>;
  using session_type = stream_mqtt<stream_type>;

  // errc::io_error or malformed: the CA file that was named cannot be used.
  static result<prepared> prepare(device_options const& options) {
    net::tls_client_options tls;
    tls.trust.ca_file = options.ca_file;
    return net::tls_context::client(tls);
  }
  static std::uint16_t port(device_options const& options) noexcept { return options.mqtt_port; }

  mqtt_over_tls(net::tls_context context, device_options const& options)
      : dialect_([&] {
          mqtt::client_options session;
          session.connect_timeout = options.connect_timeout;
          return session_type(session, std::move(context), net::tcp_stream{});
        }) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] session_type& session() noexcept { return dialect_.session(); }

 private:
  mqtt_dialect<session_type> dialect_;
};

// HTTPS by libcurl: telemetry only for a device, port 443 unless the options say otherwise.
class https {
 public:
  using loop_type = net::epoll_loop;
  using prepared = net::curl_http;

  // errc::io_error or malformed: the CA file that was named cannot be used.
  static result<prepared> prepare(device_options const& options) {
    net::curl_http_options curl;
    curl.trust.ca_file = options.ca_file;
    curl.connect_timeout = options.connect_timeout;
    net::curl_http made{std::move(curl)};
    if (auto ready = made.ready(); !ready) return std::move(ready).error();
    return made;
  }
  static std::uint16_t port(device_options const& options) noexcept { return options.https_port; }

  https(net::curl_http transport, device_options const&) : http_{std::move(transport)}, dialect_{http_} {}
  https(https const&) = delete;
  https& operator=(https const&) = delete;

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] net::curl_http& http() noexcept { return http_; }

 private:
  net::curl_http http_;
  https_dialect<net::curl_http&> dialect_;
};

using device_client = basic_device_client<mqtt_over_tls, loop_clock, openssl_crypto>;
using https_device_client = basic_device_client<https, loop_clock, openssl_crypto>;

}  // namespace v0
}  // namespace iothub
