// libcurl against our own server connection behind OpenSSL on the loopback, with certificates made here.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <iothub/memory/virtual_loop.hpp>
#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/curl_http.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_listener.hpp>

#include "http_test_server.hpp"
#include "tls_test_channel.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using http::request;
using iothub_test::tls_test_channel;
using net::curl_http;

net::certificate_authority const& authority_of_this_run() {
  static auto const made = net::make_certificate_authority({}, net::epoll_loop{}.utc_now()).value();
  return made;
}

struct free_ssl {
  void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
};

// The server's context: the certificates are PEM in memory.
std::shared_ptr<SSL_CTX> make_context(net::certificate_authority const& from, int max_version = TLS1_3_VERSION) {
  std::shared_ptr<SSL_CTX> context{SSL_CTX_new(TLS_server_method()), free_ssl{}};
  if (max_version < TLS1_2_VERSION) SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), max_version);
  BIO* chain = BIO_new_mem_buf(from.chain_pem.data(), static_cast<int>(from.chain_pem.size()));
  X509* leaf = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), leaf), 1);
  X509_free(leaf);
  while (X509* next = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr)) SSL_CTX_add0_chain_cert(context.get(), next);
  BIO_free(chain);
  BIO* key = BIO_new_mem_buf(from.private_key_pem.data(), static_cast<int>(from.private_key_pem.size()));
  EVP_PKEY* pkey = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), pkey), 1);
  EVP_PKEY_free(pkey);
  BIO_free(key);
  ERR_clear_error();
  return context;
}

// A certificate for "localhost" that signs itself, with the name in the subject and, if asked, where it belongs.
net::certificate_authority make_self_signed(char const* alternative_name) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<unsigned char const*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  if (alternative_name != nullptr) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative_name);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  auto const text = [](auto write) {
    BIO* const out = BIO_new(BIO_s_mem());
    write(out);
    char* bytes = nullptr;
    long const size = BIO_get_mem_data(out, &bytes);
    std::string pem{bytes, static_cast<std::size_t>(size)};
    BIO_free(out);
    return pem;
  };
  net::certificate_authority made;
  made.ca_pem = made.chain_pem = text([&](BIO* out) { PEM_write_bio_X509(out, certificate); });
  made.private_key_pem =
      text([&](BIO* out) { PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return made;
}

using server_type = iothub_test::http_test_server<net::tcp_listener, tls_test_channel>;

struct CurlHttp : testing::Test {
  net::epoll_loop loop;
  std::shared_ptr<SSL_CTX> context = make_context(authority_of_this_run());
  net::tcp_listener listener = net::tcp_listener::listen({}).value();
  endpoint const hub{"localhost", listener.port()};
  server_type server{loop, std::move(listener), [this](net::tcp_stream&& s) {
                       return tls_test_channel{std::move(s), context.get()};
                     }};

  static net::curl_http_options trusting(std::string pem = authority_of_this_run().ca_pem) {
    return {.trust = {.ca_pem = std::move(pem)}};
  }
  struct client_type {
    client_type(iothub::loop& on, net::curl_http_options options) : http{std::move(options)}, driver{on, http} {}
    curl_http http;
    iothub_test::http_test_client<curl_http> driver;
  };
  // One exchange by a client of its own; no limit of this test is ever reached when all is well.
  result<http::response> once(endpoint const& where, request what, net::curl_http_options options = trusting()) {
    client_type client{loop, std::move(options)};
    return client.driver.wait(client.driver.start(where, std::move(what)), 60s);
  }
  errc problem(endpoint const& where, request what = {}, net::curl_http_options options = trusting()) {
    auto const answer = once(where, std::move(what), std::move(options));
    if (answer) ADD_FAILURE() << "status " << answer->status;
    return answer ? errc::stalled : answer.error().code();
  }
};

TEST_F(CurlHttp, CarriesEveryMethodWithNothingButWhatTheCallerSaid) {
  client_type client{loop, trusting()};
  std::string const host = http::authority("localhost", hub.port);
  struct row {
    request what;
    http::headers seen;
  };
  row const rows[] = {
      {{"GET", "/g?a=%20b", {{"X-Ask", "1"}}, ""}, {{"Host", host}, {"X-Ask", "1"}}},
      {{"PUT", "/p", {{"If-Match", "*"}}, "{}"}, {{"Host", host}, {"If-Match", "*"}, {"Content-Length", "2"}}},
      {{"POST", "/p", {{"Content-Type", "a/b"}}, "x"},
       {{"Host", host}, {"Content-Type", "a/b"}, {"Content-Length", "1"}}},
      {{"POST", "/e", {}, ""}, {{"Host", host}, {"Content-Length", "0"}}},
      {{"PATCH", "/t", {{"Empty", ""}}, "y"}, {{"Host", host}, {"Empty", ""}, {"Content-Length", "1"}}},
      {{"DELETE", "/d", {}, ""}, {{"Host", host}}},
      {{"GET", "/devices/../x/./%2e", {}, ""}, {{"Host", host}}},
  };
  for (row const& r : rows) {
    auto const answer = client.driver.wait(client.driver.start(hub, r.what), 60s);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, r.what.method + " " + r.what.target + " " + r.what.body);
    EXPECT_EQ(server.desk.seen.back(), (request{r.what.method, r.what.target, r.seen, r.what.body}));
  }
  EXPECT_EQ(server.accepted, 1);  // all on one kept connection
  auto const head = client.driver.wait(client.driver.start(hub, request{.method = "HEAD"}), 60s);
  ASSERT_TRUE(head) << head.error().message();
  EXPECT_EQ(head->body, "");
}

TEST_F(CurlHttp, GivesResponsesAsTheyAre) {
  auto const answer = once(hub, request{.target = "/?status=404", .headers = {{"X-Ask", "q"}}});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(*answer,
            (http::response{404, "Not Found", {{"X-Echo", "q"}, {"Content-Length", "17"}}, "GET /?status=404 "}));
  EXPECT_EQ(once(hub, request{.target = "/?status=302"})->status, 302);
  EXPECT_EQ(once(hub, request{.target = "/?status=204"})->status, 204);
}

TEST_F(CurlHttp, CarriesLargeBodies) {
  auto const answer = once(hub, request{"PUT", "/l", {}, std::string(900'000, 'x')});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->body.size(), 900'007u);
}

TEST_F(CurlHttp, RunsExchangesSideBySideAndCancelsOne) {
  client_type client{loop, trusting()};
  auto const slow = client.driver.start(hub, request{.target = "/wait"});
  auto const doomed = client.driver.start(hub, request{.target = "/wait"});
  ASSERT_TRUE(loop.run_until([&] { return server.desk.last == 2; }, loop.now() + 60s));
  EXPECT_TRUE(client.driver.wait(client.driver.start(hub, request{}), 60s));
  client.http.cancel(doomed);
  ASSERT_TRUE(loop.run_until([&] { return server.desk.cancelled == 1; }, loop.now() + 60s));
  server.desk.answer(server.desk.kept.begin()->first, http::response{.status = 201});
  EXPECT_EQ(client.driver.wait(slow, 60s)->status, 201);
  EXPECT_EQ(client.driver.ended.count(doomed), 0u);
}

TEST_F(CurlHttp, ChecksTheNameOfTheServer) {
  EXPECT_TRUE(once({"hub.localhost", hub.port}, request{}));
  EXPECT_TRUE(once({"127.0.0.1", hub.port}, request{}));
  EXPECT_EQ(problem({"other.localhost", hub.port}), errc::certificate_rejected);
  EXPECT_EQ(server.desk.seen.size(), 2u);
}

TEST_F(CurlHttp, RefusesANameInTheSubjectAloneAndPartialWildcards) {
  for (char const* names : {static_cast<char const*>(nullptr), "DNS:l*.localhost", "DNS:*"}) {
    auto const made = make_self_signed(names);
    context = make_context(made);
    EXPECT_EQ(problem({names != nullptr ? "left.localhost" : "localhost", hub.port}, {}, trusting(made.ca_pem)),
              errc::certificate_rejected);
  }
  auto const good = make_self_signed("DNS:localhost");
  context = make_context(good);
  EXPECT_TRUE(once(hub, request{}, trusting(good.ca_pem)));
}

TEST_F(CurlHttp, RefusesAnUnknownAuthority) {
  auto const other = net::make_certificate_authority({}, loop.utc_now()).value();
  EXPECT_EQ(problem(hub, {}, trusting(other.ca_pem)), errc::certificate_rejected);
  EXPECT_EQ(problem(hub, {}, trusting(other.ca_pem)), errc::certificate_rejected);  // and again
  EXPECT_TRUE(server.desk.seen.empty());
}

TEST_F(CurlHttp, RefusesExpiredAndFutureCertificates) {
  for (auto const shift : {std::chrono::hours{-24 * 500}, std::chrono::hours{24 * 500}}) {
    auto const other = net::make_certificate_authority({}, loop.utc_now() + shift).value();
    context = make_context(other);
    EXPECT_EQ(problem(hub, {}, trusting(other.ca_pem)), errc::certificate_rejected);
  }
}

TEST_F(CurlHttp, RefusesOldTls) {
  context = make_context(authority_of_this_run(), TLS1_1_VERSION);
  EXPECT_EQ(problem(hub), errc::tls_failed);
  context = make_context(authority_of_this_run(), TLS1_2_VERSION);
  EXPECT_TRUE(once(hub, request{}));
}

TEST_F(CurlHttp, FailsWhereNobodyListens) {
  std::uint16_t port = 0;
  { port = net::tcp_listener::listen({}).value().port(); }
  EXPECT_EQ(problem({"127.0.0.1", port}), errc::connection_refused);
}

TEST_F(CurlHttp, FailsForAHostThatIsNone) {
  EXPECT_EQ(problem({"does-not-exist.invalid", 443}), errc::host_not_found);
  for (char const* host : {"", "a b", "h/x", "u@h", "h#", "h\r\nX: y"})
    EXPECT_EQ(problem({host, 443}), errc::invalid_argument) << host;
}

TEST_F(CurlHttp, RefusesRequestsThatCannotBeSent) {
  EXPECT_EQ(problem(hub, request{.headers = {{"A", "b\r\nC: d"}}}), errc::invalid_argument);
  EXPECT_EQ(problem(hub, request{.method = "GE T"}), errc::invalid_argument);
  EXPECT_EQ(problem(hub, request{.target = "/a b"}), errc::invalid_argument);
  EXPECT_EQ(problem(hub, request{.target = "@evil/"}), errc::invalid_argument);
  EXPECT_TRUE(server.desk.seen.empty());
}

TEST_F(CurlHttp, RefusesResponsesAboveItsLimits) {
  auto options = trusting();
  options.max_body = 1000;
  EXPECT_EQ(problem(hub, request{.target = "/big"}, options), errc::too_large);
  options = trusting();
  options.max_head = 30;
  EXPECT_EQ(problem(hub, request{}, options), errc::too_large);
}

TEST_F(CurlHttp, TimesOut) {
  auto options = trusting();
  options.exchange_timeout = 20ms;
  EXPECT_EQ(problem(hub, request{.target = "/wait"}, options), errc::timeout);
}

TEST_F(CurlHttp, FailsWhenTheServerLeavesInTheMiddle) {
  client_type client{loop, trusting()};
  auto const id = client.driver.start(hub, request{.target = "/wait"});
  ASSERT_TRUE(loop.run_until([&] { return server.desk.last == 1; }, loop.now() + 60s));
  server.drop_all();
  EXPECT_EQ(client.driver.wait(id, 60s).error().code(), errc::connection_lost);
}

TEST_F(CurlHttp, NeedsARealLoop) {
  memory::virtual_loop other;
  curl_http http{trusting()};
  iothub_test::http_test_client<curl_http> client{other, http};
  EXPECT_EQ(client.run(hub, request{}).error().code(), errc::invalid_state);
  curl_http detached{trusting()};
  (void)detached.start(hub, request{}, time_point{});
  EXPECT_EQ(detached.next_completion()->outcome.error().code(), errc::invalid_state);
}

TEST_F(CurlHttp, MayBeDestroyedInTheMiddle) {
  auto client = std::make_unique<client_type>(loop, trusting());
  (void)client->driver.start(hub, request{.target = "/wait"});
  ASSERT_TRUE(loop.run_until([&] { return server.desk.last == 1; }, loop.now() + 60s));
  client.reset();
  ASSERT_TRUE(loop.run_until([&] { return server.desk.cancelled == 1; }, loop.now() + 60s));
}

// https://github.com/Azure/azure-iot-sdk-c/issues/2332 (bad proxy settings leak), /2219 (they crash): each is an error of the
// exchange, and the next one with good settings works. The address sanitizer's build sees what leaks.
TEST_F(CurlHttp, SaysWhatIsWrongWithAProxy) {
  std::uint16_t nobody = 0;
  { nobody = net::tcp_listener::listen({}).value().port(); }  // closed again
  struct row {
    std::string proxy;
    errc expected;
  };
  for (row const& each : {row{"http://127.0.0.1:" + std::to_string(nobody), errc::connection_refused},
                          row{"http://proxy.invalid:3128", errc::host_not_found},
                          row{"http://:3128", errc::invalid_argument},
                          row{"http://127.0.0.1:99999", errc::invalid_argument},
                          row{"ftp://127.0.0.1:21", errc::invalid_argument},
                          row{"127.0.0.1:3128", errc::invalid_argument},
                          row{"http://a b", errc::invalid_argument},
                          row{"http://:99999/#@h:1", errc::invalid_argument},
                          row{"http://user:p@ss@proxy.invalid:1/", errc::host_not_found},
                          row{"http://[::1", errc::invalid_argument},
                          // this server speaks TLS: to a CONNECT in plain text it says nothing good
                          row{"http://127.0.0.1:" + std::to_string(hub.port), errc::connection_lost}}) {
    auto options = trusting();
    options.proxy = each.proxy;
    for (int i = 0; i != 3; ++i) EXPECT_EQ(problem({"localhost", 443}, {}, options), each.expected) << each.proxy;
  }
  EXPECT_TRUE(once(hub, {}));
}

TEST_F(CurlHttp, MovesWithItsExchanges) {
  client_type client{loop, trusting()};
  auto const id = client.driver.start(hub, request{});
  curl_http moved{std::move(client.http)};
  client.http = std::move(moved);
  EXPECT_TRUE(client.driver.wait(id, 60s));
}

}  // namespace
