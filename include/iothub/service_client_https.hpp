// The service client with real transports: libcurl on the epoll loop, OpenSSL for tokens.
#pragma once

#include <utility>

#include <iothub/crypto/openssl.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/net/curl_http.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/service_client.hpp>

namespace iothub {
inline namespace v0 {

template <>
struct service_transport<net::curl_http> {
  using loop_type = net::epoll_loop;

  // errc::io_error or malformed: the CA or CRL file cannot be used.
  static result<void> check(service_options const& options) { return make(options).ready(); }
  static net::curl_http make(service_options const& options) {
    net::curl_http_options how;
    how.trust.ca_file = options.ca_file;
    how.trust.crl_file = options.crl_file;
    return net::curl_http{std::move(how)};
  }
};

using service_client = basic_service_client<net::curl_http, loop_clock, openssl_crypto>;

}  // namespace v0
}  // namespace iothub
