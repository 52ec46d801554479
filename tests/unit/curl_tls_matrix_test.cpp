// The same table as the TLS stream's, over libcurl and sockets: on the first connection of a client and on later ones.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <openssl/ssl.h>

#include <iothub/net/curl_http.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_listener.hpp>

#include <tls_matrix.hpp>

#include "http_test_server.hpp"
#include "tls_test_channel.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using iothub_test::certificate;
using iothub_test::tls_case;
using iothub_test::tls_test_channel;
using net::curl_http;

iothub_test::tls_cast const& cast() {
  static iothub_test::tls_cast const made;
  return made;
}

struct CurlTlsMatrix : testing::Test {
  using server_type = iothub_test::http_test_server<net::tcp_listener, tls_test_channel>;

  net::epoll_loop loop;
  std::shared_ptr<SSL_CTX> context;
  net::tcp_listener listener = net::tcp_listener::listen({}).value();
  std::uint16_t const port = listener.port();
  server_type server{loop, std::move(listener),
                     [this](net::tcp_stream&& s) { return tls_test_channel{std::move(s), context.get()}; }};

  struct client_type {
    client_type(iothub::loop& on, net::trust_options trust) : http{{.trust = std::move(trust)}}, driver{on, http} {}
    curl_http http;
    iothub_test::http_test_client<curl_http> driver;
  };
  static net::trust_options trust_of(tls_case const& row) {
    net::trust_options trust{.ca_pem = cast().maker.ca_pem()};
    if (row.revocations) trust.crl_pem = cast().revocations();
    return trust;
  }
  // The server comes back with this: what was connected is gone.
  void show(iothub_test::tls_server_side const& what) {
    server.drop_all();
    context = {SSL_CTX_new(TLS_server_method()), &SSL_CTX_free};
    ASSERT_TRUE(iothub_test::show(context.get(), what));
  }
  result<http::response> ask(client_type& client, std::string const& host) {
    server.drop_all();
    return client.driver.wait(client.driver.start({host, port}, http::request{}), 60s);
  }
  void expect_verdict(tls_case const& row, result<http::response> const& answer) {
    std::size_t const seen = std::exchange(seen_, server.desk.seen.size());
    if (row.verdict == iothub_test::tls_verdict::taken) {
      ASSERT_TRUE(answer) << answer.error().message();
      EXPECT_EQ(answer->status, 200);
      return;
    }
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), code_of(row.verdict)) << answer.error().message();
    EXPECT_NE(answer.error().message().find(row.said), std::string::npos) << answer.error().message();
    EXPECT_EQ(server.desk.seen.size(), seen);  // not a byte of the request was told
  }

 private:
  std::size_t seen_ = 0;
};

TEST_F(CurlTlsMatrix, FirstConnect) {
  for (tls_case const& row : iothub_test::tls_cases()) {
    SCOPED_TRACE(std::to_string(row.row) + " " + row.name);
    show(row.server(cast()));
    client_type client{loop, trust_of(row)};
    expect_verdict(row, ask(client, row.host));
  }
}

TEST_F(CurlTlsMatrix, Reconnect) {
  for (tls_case const& row : iothub_test::tls_cases()) {
    SCOPED_TRACE(std::to_string(row.row) + " " + row.name);
    client_type client{loop, trust_of(row)};
    tls_case good = row;
    good.verdict = iothub_test::tls_verdict::taken;
    show(cast().good_side());
    for (int i = 0; i != 2; ++i) expect_verdict(good, ask(client, row.host));
    show(row.server(cast()));
    for (int i = 0; i != 2; ++i) expect_verdict(row, ask(client, row.host));
    show(cast().good_side());
    expect_verdict(good, ask(client, row.host));
  }
}

TEST_F(CurlTlsMatrix, TrustsRootsOnly) {
  certificate const leaf{{}, &cast().middle};
  show({leaf.pem(), leaf.key_pem()});
  client_type client{loop, {.ca_pem = cast().middle.pem()}};
  EXPECT_EQ(ask(client, "localhost").error().code(), errc::certificate_rejected);
}

TEST_F(CurlTlsMatrix, RevocationListsThatCannotBeReadFailEveryExchange) {
  show(cast().good_side());
  net::trust_options trust{.ca_pem = cast().maker.ca_pem()};
  trust.crl_pem = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  client_type client{loop, trust};
  EXPECT_EQ(client.http.ready().error().code(), errc::malformed);
  for (int i = 0; i != 2; ++i) EXPECT_EQ(ask(client, "localhost").error().code(), errc::malformed);
  EXPECT_TRUE(server.desk.seen.empty());
}

}  // namespace
