// The hub on sockets: MQTT, AMQP, and HTTPS with WebSockets for both of them, over TLS, for programs that cannot be in
// its process, such as the official SDKs.
//
//   iothub::net::epoll_loop loop;
//   auto ca = iothub::net::open_certificate_authority("ca", {}, loop.utc_now()).value();
//   auto hub = iothub::hub_server::start(loop, {.certificate_pem = ca.chain_pem, .private_key_pem =
//   ca.private_key_pem}); … hub.value()->core() … loop.run_until([] { return false; });
//
// It belongs to the loop's thread. The same core and faces as in fake_hub, with real randomness for keys. What a
// stranger can make it do is bounded: connections, handshakes and requests have limits of number, size and time, a
// broken connection ends alone, and names in Host that are not the hub's are refused, so that no web page reaches it.
// What it may hold before it showed a token is bounded per connection, not in all: 64 kB of AMQP messages, or an HTTP
// request of 1 MB.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/crypto/openssl.hpp>
#include <iothub/hub_connections.hpp>
#include <iothub/hub_runtime.hpp>
#include <iothub/hub_websocket.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_listener.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/net/tls_stream.hpp>

namespace iothub {
inline namespace v0 {

struct hub_server_options {
  hub::options hub = {};
  // An IP address, or "localhost": 127.0.0.1 and, where there is one, ::1. An address that other machines can reach
  // needs expose_to_network too, and an owner key that is not the well-known one; the faults that a message can ask for
  // are not honoured there.
  std::string bind = "localhost";
  bool expose_to_network = false;
  std::uint16_t https_port = 443;  // 0: a free one
  std::uint16_t mqtt_port = 8883;
  std::optional<std::uint16_t> amqps_port = {};  // none: no AMQP over TLS
  // AMQP without TLS, as Event Hubs clients speak it to an emulator (UseDevelopmentEmulator=true). It listens on a
  // loopback address only, whatever `bind` says.
  std::optional<std::uint16_t> amqp_port = {};
  std::string certificate_pem = {};  // the server's chain, leaf first
  std::string private_key_pem = {};
  // Names of the hub beside hub.hostname, in Host fields and in tokens; "*.example" stands for all below. The loopback
  // names and *.azure-devices.net are there anyway.
  std::vector<std::string> host_names = {};
  std::size_t max_connections = 10'000;  // on each port
  // From the accepted connection, before TLS, to CONNECT, AMQP's open or the first request; from AMQP's open to a token
  // that is good. Strangers reach a socket: this takes the place of hub.connect_wait, which is longer.
  std::chrono::seconds connect_wait{10};
  iothub::hub::log_sink* log = nullptr;  // must outlive the server
};

class hub_server {
 public:
  // What the system said when a port was refused.
  struct refused_port {
    std::uint16_t port = 0;
    int reason = 0;  // errno: EACCES, EADDRINUSE, …
  };

  // All ports listen when it returns. errc::io_error: a port was refused, `refused` says which and why;
  // errc::invalid_argument: the certificate, its key, or the address to bind; one that other machines can reach without
  // expose_to_network, or with the well-known owner key.
  [[nodiscard]] static result<std::unique_ptr<hub_server>> start(loop& on, hub_server_options options,
                                                                 refused_port* refused = nullptr);
  hub_server(hub_server const&) = delete;
  hub_server& operator=(hub_server const&) = delete;

  [[nodiscard]] hub::hub_core& core() noexcept { return runtime_.core(); }
  [[nodiscard]] hub_runtime<openssl_crypto>& runtime() noexcept { return runtime_; }
  [[nodiscard]] std::uint16_t https_port() noexcept { return https_.listener().port(); }
  [[nodiscard]] std::uint16_t mqtt_port() noexcept { return mqtt_.listener().port(); }
  // 0: not served.
  [[nodiscard]] std::uint16_t amqps_port() noexcept { return amqps_ ? amqps_->listener().port() : std::uint16_t{0}; }
  [[nodiscard]] std::uint16_t amqp_port() noexcept { return amqp_ ? amqp_->listener().port() : std::uint16_t{0}; }
  // Says goodbye: every device is dropped (the log says "the hub stops"), every connection is closed in order, with
  // TLS's close_notify as far as that can be sent at once, and nothing is accepted any more.
  void stop();
  [[nodiscard]] std::size_t connections() const noexcept {
    return https_.connections() + mqtt_.connections() + (amqps_ ? amqps_->connections() : 0) +
           (amqp_ ? amqp_->connections() : 0);
  }

 private:
  struct wrap_tls {
    net::tls_context context;
    net::tls_stream<net::tcp_stream> operator()(net::tcp_stream&& stream) const { return {context, std::move(stream)}; }
  };
  template <class Protocol>
  using server = stream_server<net::tcp_listener, Protocol, wrap_tls>;

  hub_server(loop& on, hub_server_options& options, net::tls_context const& context, net::tcp_listener&& https_listener,
             net::tcp_listener&& mqtt_listener)
      : runtime_{on, openssl_crypto{}, options.hub, options.log, http_options(options)},
        https_{on, std::move(https_listener), runtime_.web(), wrap_tls{context}, limits(options, "HTTPS")},
        mqtt_{on, std::move(mqtt_listener), runtime_.mqtt(), wrap_tls{context}, limits(options, "MQTT")} {}

  using plain_server = stream_server<net::tcp_listener, amqp_protocol, as_accepted>;

  result<void> start_amqp(loop& on, hub_server_options const& options, net::tls_context const& context,
                          refused_port& why);
  static result<net::tcp_listener> listen(std::string const& address, std::uint16_t port, refused_port& why) {
    why = {port, 0};
    return net::tcp_listener::listen({.address = address, .port = port}, &why.reason);
  }
  // Whether only this machine can reach it.
  static bool is_loopback(std::string_view address) noexcept {
    return address == "localhost" || address == "::1" ||
           (address.starts_with("127.") && address.find_first_not_of("0123456789.") == std::string_view::npos);
  }
  static stream_server_options limits(hub_server_options const& options, char const* name) {
    return {.max_connections = options.max_connections, .log = options.log, .name = name};
  }
  static hub::http_face_options http_options(hub_server_options const& options) {
    return {.hosts = hub::host_filter{allowed_hosts(options)}, .first_request_wait = options.connect_wait};
  }
  static std::vector<std::string> allowed_hosts(hub_server_options const& options) {
    std::vector<std::string> names = options.hub.host_aliases;
    names.push_back(options.hub.hostname);
    return names;
  }

  hub_runtime<openssl_crypto> runtime_;
  server<web_protocol> https_;
  server<mqtt_protocol> mqtt_;
  std::optional<server<amqp_protocol>> amqps_;
  std::optional<plain_server> amqp_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<std::unique_ptr<hub_server>> hub_server::start(loop& on, hub_server_options options,
                                                             refused_port* refused) {
  bool const loopback = is_loopback(options.bind);
  if (!loopback && !options.expose_to_network)
    return error{errc::invalid_argument,
                 "other machines can reach " + options.bind + ", and expose_to_network is not set"};
  if (!loopback && equal_constant_time(options.hub.owner_key, hub::well_known_owner_key))
    return error{errc::invalid_argument,
                 "other machines can reach " + options.bind + ", and everybody knows this owner key"};
  if (!loopback) options.hub.honour_fault_properties = false;
  auto context = net::tls_context::server(
      {.certificate_pem = options.certificate_pem, .private_key_pem = options.private_key_pem});
  if (!context) return std::move(context).error();
  options.hub.connect_wait = options.connect_wait;
  auto& aliases = options.hub.host_aliases;
  aliases = {"localhost", "127.0.0.1", "::1", "hub.localhost", "*.azure-devices.net", "*.servicebus.windows.net"};
  for (auto const& name : options.host_names) aliases.push_back(name);
  if (options.bind != "0.0.0.0" && options.bind != "::") aliases.push_back(options.bind);
  // errno is asked for even where nobody wants it, to keep one path.
  refused_port unwanted;
  refused_port& why = refused != nullptr ? *refused : unwanted;
  auto https_listener = listen(options.bind, options.https_port, why);
  if (!https_listener) return std::move(https_listener).error();
  auto mqtt_listener = listen(options.bind, options.mqtt_port, why);
  if (!mqtt_listener) return std::move(mqtt_listener).error();
  std::unique_ptr<hub_server> server{
      new hub_server{on, options, *context, std::move(*https_listener), std::move(*mqtt_listener)}};
  if (auto started = server->https_.start(); !started) return started.error();
  if (auto started = server->mqtt_.start(); !started) return started.error();
  if (auto started = server->start_amqp(on, options, *context, why); !started) return started.error();
  return server;
}

inline void hub_server::stop() {
  auto const at = runtime_.now();
  runtime_.core().drop_all(error{errc::connection_lost, "the hub stops"}, at);
  https_.stop(at.now);
  mqtt_.stop(at.now);
  if (amqps_) amqps_->stop(at.now);
  if (amqp_) amqp_->stop(at.now);
}

inline result<void> hub_server::start_amqp(loop& on, hub_server_options const& options,
                                           net::tls_context const& context, refused_port& why) {
  if (options.amqps_port) {
    auto listener = listen(options.bind, *options.amqps_port, why);
    if (!listener) return std::move(listener).error();
    amqps_.emplace(on, std::move(*listener), runtime_.amqp(), wrap_tls{context}, limits(options, "AMQP"));
    if (auto started = amqps_->start(); !started) return started;
    runtime_.amqp().set_port(amqps_port());
  }
  if (!options.amqp_port) return {};
  auto listener = listen(is_loopback(options.bind) ? options.bind : std::string{"localhost"}, *options.amqp_port, why);
  if (!listener) return std::move(listener).error();
  amqp_.emplace(on, std::move(*listener), runtime_.amqp(), as_accepted{}, limits(options, "AMQP without TLS"));
  return amqp_->start();
}

}  // namespace v0
}  // namespace iothub
