// The real AMQP transport of back ends: TLS over TCP, or TCP alone where the connection string asks for it.
#pragma once

#include <string>
#include <utility>

#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/optional_tls_stream.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/policy/stream_amqp.hpp>
#include <iothub/service/amqp_driver.hpp>

namespace iothub {
inline namespace v0 {

using back_end_amqp = stream_amqp<net::optional_tls_stream<net::tcp_stream>>;

template <>
struct back_end_transport<back_end_amqp> {
  using loop_type = net::epoll_loop;

  // errc::io_error or malformed: the CA or CRL file cannot be used.
  static result<void> check(trusted_files const& files, bool plain) {
    if (plain) return {};
    auto made = context(files);
    if (!made) return std::move(made).error();
    return {};
  }
  static back_end_amqp make(trusted_files const& files, bool plain) {
    if (plain) return back_end_amqp{net::tcp_stream{}};
    return back_end_amqp{context(files).value(), net::tcp_stream{}};
  }

 private:
  static result<net::tls_context> context(trusted_files const& files) {
    net::tls_client_options tls;
    tls.trust.ca_file = files.ca_file;
    tls.trust.crl_file = files.crl_file;
    return net::tls_context::client(tls);
  }
};

}  // namespace v0
}  // namespace iothub
