// Which certificates a client takes: over sockets in real time, and over pipes in virtual time, alike.
#include <iothub/net/tls_stream.hpp>

#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_listener.hpp>
#include <iothub/net/tcp_stream.hpp>

#include <certificates.hpp>
#include <talker.hpp>
#include <tls_matrix.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>

namespace {

std::string const trust_said = " (trusting the options; the option ca_file or SSL_CERT_FILE names another CA)";

using namespace iothub;
using namespace std::chrono_literals;
using iothub_test::certificate;
using iothub_test::certificate_maker;
using iothub_test::certificate_spec;
using net::tls_context;

struct over_pipe {
  using stream = memory::pipe_stream;
  memory::virtual_loop loop;
  memory::pipe_network network{loop, {.latency = 5ms, .max_chunk = 100, .seed = 5}};
  memory::pipe_listener listener = *network.listen({"*", 8883});
  stream make() { return stream{network}; }
  std::uint16_t port() { return 8883; }
};
struct over_tcp {
  using stream = net::tcp_stream;
  net::epoll_loop loop;
  net::tcp_listener listener = *net::tcp_listener::listen({});
  stream make() { return stream{}; }
  std::uint16_t port() { return listener.port(); }
};

// What became of one attempt: the client's error, or what it heard.
struct outcome {
  errc code = {};
  std::string text;
  std::string server_text;
};

template <class Wiring>
outcome attempt(tls_context server_context, tls_context client_context, std::string const& host, Wiring& w) {
  using stream = net::tls_stream<typename Wiring::stream>;
  iothub_test::talker<stream> client{w.loop, stream{client_context, w.make()}};
  client.stream.open({host, w.port()}, w.loop.now()).value();
  client.say("ping");
  std::unique_ptr<iothub_test::talker<stream>> server;
  auto done = [&] {
    if (!server)
      if (auto end = w.listener.accept(w.loop.now())) {
        server = std::make_unique<iothub_test::talker<stream>>(w.loop, stream{server_context, std::move(*end)});
        server->echo = true;
      }
    return server && (client.received == "ping" || (client.failed && (server->failed || server->ended)));
  };
  for (int i = 0; i != 500 && !done(); ++i) (void)w.loop.run_until(done, w.loop.now() + 10ms);
  outcome out;
  if (client.failed)
    out.code = client.failed->code(), out.text = client.failed->message();
  else
    out.text = client.received;
  if (server && server->failed) out.server_text = server->failed->message();
  return out;
}

template <class Wiring>
outcome attempt(tls_context server_context, tls_context client_context, std::string const& host) {
  Wiring w;
  return attempt(std::move(server_context), std::move(client_context), host, w);
}

tls_context serving(certificate const& leaf, std::string const& more = {}) {
  return *tls_context::server({.certificate_pem = leaf.pem() + more, .private_key_pem = leaf.key_pem()});
}
tls_context trusting(std::string const& ca_pem) {
  return *tls_context::client({.trust = {.ca_file = {}, .ca_pem = ca_pem}});
}

template <class Wiring>
class TlsMore : public testing::Test {
 public:
  outcome connect(certificate_spec const& spec, std::string const& host = "localhost") {
    return attempt<Wiring>(serving(maker_.issue(spec)), trusting(maker_.ca_pem()), host);
  }
  void expect_good(certificate_spec const& spec, std::string const& host = "localhost") {
    auto const out = connect(spec, host);
    EXPECT_EQ(out.code, errc{}) << out.text;
    EXPECT_EQ(out.text, "ping");
  }
  void expect_rejected(certificate_spec const& spec, std::string const& reason, std::string const& host = "localhost") {
    auto const out = connect(spec, host);
    EXPECT_EQ(out.code, errc::certificate_rejected);
    EXPECT_EQ(out.text, "the certificate of " + host + " is rejected: " + reason + trust_said);
  }
  certificate_maker maker_;
};
using wirings = testing::Types<over_pipe, over_tcp>;
TYPED_TEST_SUITE(TlsMore, wirings);
template <class Wiring>
class TlsMatrixOver : public testing::Test {};
TYPED_TEST_SUITE(TlsMatrixOver, wirings);

// Every row of the table, once over sockets and with every reconnect over pipes. That names are looked at at all is rows 2 to
// 7: https://github.com/eclipse-paho/paho.mqtt.c/issues/420 (a client that did not, for years).
iothub_test::tls_cast const& cast() {
  static iothub_test::tls_cast const made;
  return made;
}
tls_context server_showing(iothub_test::tls_server_side const& what) {
  static certificate const rsa = cast().maker.issue({.rsa_bits = 2048});
  BIO* const text = BIO_new_mem_buf(what.key_pem.data(), static_cast<int>(what.key_pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(text, nullptr, nullptr, nullptr);
  tls_context made = serving(EVP_PKEY_is_a(key, "RSA") == 1 ? rsa : cast().good);
  EVP_PKEY_free(key);
  BIO_free(text);
  EXPECT_TRUE(iothub_test::show(made.native_handle(), what));
  return made;
}
tls_context client_of(iothub_test::tls_case const& row) {
  net::tls_client_options options{.trust = {.ca_pem = cast().maker.ca_pem()}};
  if (row.revocations) options.trust.crl_pem = cast().revocations();
  return *tls_context::client(options);
}
void expect_verdict(iothub_test::tls_case const& row, outcome const& out) {
  EXPECT_EQ(out.code, code_of(row.verdict)) << out.text;
  if (row.verdict == iothub_test::tls_verdict::taken) {
    EXPECT_EQ(out.text, "ping");
  } else if (row.said[0] != '\0') {
    EXPECT_EQ(out.text, "the certificate of " + std::string{row.host} + " is rejected: " + row.said + trust_said);
  }
}

TYPED_TEST(TlsMatrixOver, FirstConnect) {
  for (auto const& row : iothub_test::tls_cases()) {
    SCOPED_TRACE(std::to_string(row.row) + " " + row.name);
    // libc's resolver does not know the names below .localhost everywhere.
    if constexpr (std::is_same_v<TypeParam, over_tcp>)
      if (std::string_view{row.host}.ends_with(".localhost")) continue;
    expect_verdict(row, attempt<TypeParam>(server_showing(row.server(cast())), client_of(row), row.host));
  }
}
TEST(TlsMatrix, Reconnect) {
  for (auto const& row : iothub_test::tls_cases()) {
    SCOPED_TRACE(std::to_string(row.row) + " " + row.name);
    over_pipe w;
    tls_context const client = client_of(row);
    tls_context const good = server_showing(cast().good_side()), changed = server_showing(row.server(cast()));
    for (int i = 0; i != 2; ++i) EXPECT_EQ(attempt(good, client, row.host, w).text, "ping");
    for (int i = 0; i != 2; ++i) expect_verdict(row, attempt(changed, client, row.host, w));
    EXPECT_EQ(attempt(good, client, row.host, w).text, "ping");
  }
}
TEST(TlsMatrix, HasNineteenRowsAndAPageThatIsCurrent) {
  std::set<int> rows;
  for (auto const& row : iothub_test::tls_cases()) rows.insert(row.row);
  EXPECT_EQ(static_cast<int>(rows.size()), iothub_test::tls_rows);
  EXPECT_EQ(*rows.rbegin(), iothub_test::tls_rows);
  std::string const name = IOTHUB_TEST_DATA "/../../docs/tls-matrix.md";
  if (std::getenv("IOTHUB_WRITE_PAGES") != nullptr) std::ofstream{name} << iothub_test::tls_page();
  std::ostringstream page;
  page << std::ifstream{name}.rdbuf();
  EXPECT_EQ(page.str(), iothub_test::tls_page()) << "run this test with IOTHUB_WRITE_PAGES=1";
}

// --- beside the rows

TYPED_TEST(TlsMore, TakesNamesInAnyCaseAndAnyOfSeveral) {
  this->expect_good({.common_name = "whatever", .alternative_names = "DNS:other.example,DNS:LOCALHOST"});
}
TYPED_TEST(TlsMore, TellsAnUnknownIssuerToTheServer) {
  auto const out = attempt<TypeParam>(serving(cast().stranger.issue()), trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.server_text, "the TLS handshake with the client failed: tlsv1 alert unknown ca");
}
TYPED_TEST(TlsMore, RefusesAnIssuerOfTheSameNameWithAnotherKey) {
  certificate_maker const impostor;
  auto const out = attempt<TypeParam>(serving(impostor.issue()), trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.code, errc::certificate_rejected);
}
TYPED_TEST(TlsMore, RefusesNamesThatOnlyBeginOrEndAlike) {
  this->expect_rejected({.alternative_names = "DNS:localhost.other.example"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "IP:127.0.0.1"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "DNS:local*"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "DNS:*.localhost"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "DNS:*"}, "hostname mismatch");
}
// A trusted certificate that is no root is no anchor (libcurl would take it).
TYPED_TEST(TlsMore, TrustsRootsOnly) {
  certificate const middle = this->maker_.issue({.common_name = "middle", .is_ca = true});
  auto const out = attempt<TypeParam>(serving(certificate{{}, &middle}), trusting(middle.pem()), "localhost");
  EXPECT_EQ(out.code, errc::certificate_rejected);
}

// --- revocation lists

TEST(TlsRevocation, AListThatIsOutOfDateRefusesAll) {
  net::tls_client_options options{.trust = {.ca_pem = cast().maker.ca_pem()}};
  options.trust.crl_pem = cast().maker.ca().revocation_list(nullptr, iothub_test::year_2020 + 60);
  auto const out = attempt<over_pipe>(serving(cast().good), *tls_context::client(options), "localhost");
  EXPECT_EQ(out.text, "the certificate of localhost is rejected: CRL has expired" + trust_said);
}
TEST(TlsRevocation, AListOfAnIntermediateCountsToo) {
  certificate const leaf{{}, &cast().middle};
  net::tls_client_options options{.trust = {.ca_pem = cast().maker.ca_pem()}};
  for (bool const revoked : {false, true}) {
    options.trust.crl_pem = cast().revocations() + cast().middle.revocation_list(revoked ? &leaf : nullptr);
    auto const out = attempt<over_pipe>(serving(leaf, cast().middle.pem()), *tls_context::client(options), "localhost");
    EXPECT_EQ(out.code, revoked ? errc::certificate_rejected : errc{}) << out.text;
  }
}
TEST(TlsRevocation, AListSignedBySomebodyElseIsNone) {
  certificate_maker const impostor;  // of the same name
  net::tls_client_options options{.trust = {.ca_pem = cast().maker.ca_pem()}};
  options.trust.crl_pem = impostor.ca().revocation_list();
  EXPECT_EQ(attempt<over_pipe>(serving(cast().good), *tls_context::client(options), "localhost").code,
            errc::certificate_rejected);
}
TEST(TlsRevocation, ListsThatCannotBeReadAreAnError) {
  net::tls_client_options options{.trust = {.ca_pem = cast().maker.ca_pem()}};
  options.trust.crl_file = "/does/not/exist.crl";
  EXPECT_EQ(tls_context::client(options).error().message(),
            "cannot read the CRL file /does/not/exist.crl: No such file or directory");
  options.trust.crl_file.clear();
  options.trust.crl_pem = "none";
  EXPECT_EQ(tls_context::client(options).error().message(), "the CRL text in the options holds no PEM revocation list");
  options.trust.crl_pem = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  EXPECT_EQ(tls_context::client(options).error().code(), errc::malformed);
  EXPECT_EQ(tls_context::client(options).error().code(), errc::malformed);  // and again: nothing half-made is kept
}

// The clock is the loop's: the same certificate is good today and expired tomorrow.
TEST(TlsClock, CertificatesAreJudgedInVirtualTime) {
  certificate_maker const maker;
  std::int64_t const today = unix_seconds(memory::virtual_epoch);
  certificate const leaf = maker.issue({.not_before = today - 3600, .not_after = today + 86'400});
  over_pipe w;
  using stream = net::tls_stream<memory::pipe_stream>;
  auto connect = [&]() -> std::optional<error> {
    iothub_test::talker<stream> client{w.loop, stream{trusting(maker.ca_pem()), w.make()}};
    client.stream.open({"localhost", 8883}, w.loop.now()).value();
    client.say("x");
    EXPECT_TRUE(w.loop.run_for(1s));
    iothub_test::talker<stream> server{w.loop, stream{serving(leaf), *w.listener.accept(w.loop.now())}};
    EXPECT_TRUE(w.loop.run_for(29s));
    EXPECT_EQ(server.received, client.failed ? "" : "x");
    return client.failed;
  };
  EXPECT_FALSE(connect());
  ASSERT_TRUE(w.loop.run_for(24h));
  ASSERT_EQ(connect().value(), errc::certificate_rejected);
  w.loop.set_utc(memory::virtual_epoch - 24h);
  EXPECT_EQ(connect()->message(), "the certificate of localhost is rejected: certificate is not yet valid" + trust_said);
}

}  // namespace
