// Which certificates a client takes: over sockets in real time, and over pipes in virtual time, alike.
#include <iothub/net/tls_stream.hpp>

#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_listener.hpp>
#include <iothub/net/tcp_stream.hpp>

#include <certificates.hpp>
#include <talker.hpp>

#include <gtest/gtest.h>

#include <memory>
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
outcome attempt(tls_context server_context, tls_context client_context, std::string const& host) {
  Wiring w;
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

tls_context serving(certificate const& leaf, std::string const& more = {}) {
  return *tls_context::server({.certificate_pem = leaf.pem() + more, .private_key_pem = leaf.key_pem()});
}
tls_context trusting(std::string const& ca_pem) {
  return *tls_context::client({.trust = {.ca_file = {}, .ca_pem = ca_pem}});
}

template <class Wiring>
class TlsMatrix : public testing::Test {
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
TYPED_TEST_SUITE(TlsMatrix, wirings);

TYPED_TEST(TlsMatrix, TakesAGoodNameAndAGoodAddress) {
  this->expect_good({.alternative_names = "DNS:localhost"});
  this->expect_good({.alternative_names = "IP:127.0.0.1"}, "127.0.0.1");
  this->expect_good({.common_name = "whatever", .alternative_names = "DNS:other.example,DNS:LOCALHOST"});
}
TYPED_TEST(TlsMatrix, RefusesAnUntrustedIssuer) {
  certificate_maker const stranger{"another CA"};
  auto const out = attempt<TypeParam>(serving(stranger.issue()), trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.code, errc::certificate_rejected);
  EXPECT_EQ(out.text, "the certificate of localhost is rejected: unable to get local issuer certificate" + trust_said);
  EXPECT_EQ(out.server_text, "the TLS handshake with the client failed: tlsv1 alert unknown ca");
}
TYPED_TEST(TlsMatrix, RefusesAnIssuerOfTheSameNameWithAnotherKey) {
  certificate_maker const impostor;
  auto const out = attempt<TypeParam>(serving(impostor.issue()), trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.code, errc::certificate_rejected);
}
TYPED_TEST(TlsMatrix, RefusesASelfSignedCertificate) {
  auto const out = attempt<TypeParam>(serving(certificate{{}}), trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.text, "the certificate of localhost is rejected: self-signed certificate" + trust_said);
}
TYPED_TEST(TlsMatrix, RefusesAnExpiredCertificate) {
  this->expect_rejected({.not_after = iothub_test::year_2020 + 86'400}, "certificate has expired");
}
TYPED_TEST(TlsMatrix, RefusesACertificateOfTheFuture) {
  this->expect_rejected({.not_before = iothub_test::year_2049 - 86'400}, "certificate is not yet valid");
}
TYPED_TEST(TlsMatrix, RefusesAnotherName) {
  this->expect_rejected({.alternative_names = "DNS:other.example"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "DNS:localhost.other.example"}, "hostname mismatch");
}
TYPED_TEST(TlsMatrix, RefusesANameInTheCommonNameOnly) {
  this->expect_rejected({.alternative_names = ""}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "IP:127.0.0.1"}, "hostname mismatch");
}
TYPED_TEST(TlsMatrix, RefusesAnotherAddressAndAnAddressWrittenAsAName) {
  this->expect_rejected({.alternative_names = "IP:127.0.0.2"}, "IP address mismatch", "127.0.0.1");
  this->expect_rejected({.alternative_names = "DNS:127.0.0.1"}, "IP address mismatch", "127.0.0.1");
}
TYPED_TEST(TlsMatrix, RefusesPartialWildcards) {
  this->expect_rejected({.alternative_names = "DNS:local*"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "DNS:*.localhost"}, "hostname mismatch");
  this->expect_rejected({.alternative_names = "DNS:*"}, "hostname mismatch");
}
TYPED_TEST(TlsMatrix, RefusesACertificateForClients) {
  this->expect_rejected({.extended_key_usage = "clientAuth"}, "unsuitable certificate purpose");
}
TYPED_TEST(TlsMatrix, RefusesAnIssuerThatIsNoCa) {
  certificate const middle = this->maker_.issue({.common_name = "middle", .extended_key_usage = {}});
  certificate const leaf{{}, &middle};
  auto const out = attempt<TypeParam>(serving(leaf, middle.pem()), trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.code, errc::certificate_rejected);
}
TYPED_TEST(TlsMatrix, TakesAnIntermediateThatIsSentAndRefusesOneThatIsMissing) {
  certificate const middle = this->maker_.issue({.common_name = "middle", .is_ca = true});
  certificate const leaf{{}, &middle};
  auto const trusted = trusting(this->maker_.ca_pem());
  EXPECT_EQ(attempt<TypeParam>(serving(leaf, middle.pem()), trusted, "localhost").text, "ping");
  EXPECT_EQ(attempt<TypeParam>(serving(leaf), trusted, "localhost").code, errc::certificate_rejected);
}
TYPED_TEST(TlsMatrix, RefusesAKeyThatIsTooShort) {
  certificate const leaf = this->maker_.issue({.rsa_bits = 1024});
  // Our own server would not use it, so it is put in by force.
  tls_context weak = serving(this->maker_.issue({.rsa_bits = 2048}));
  SSL_CTX_set_security_level(weak.native_handle(), 0);
  ASSERT_TRUE(net::detail::use_certificate(weak.native_handle(), leaf.pem(), leaf.key_pem(), "the weak"));
  auto const out = attempt<TypeParam>(weak, trusting(this->maker_.ca_pem()), "localhost");
  EXPECT_EQ(out.code, errc::certificate_rejected);
}
TYPED_TEST(TlsMatrix, SpeaksTls12And13AndNothingOlder) {
  for (int const version : {TLS1_2_VERSION, TLS1_3_VERSION, TLS1_1_VERSION}) {
    tls_context server = serving(this->maker_.issue());
    if (version < TLS1_2_VERSION) {
      SSL_CTX_set_security_level(server.native_handle(), 0);
      SSL_CTX_set_cipher_list(server.native_handle(), "ALL");
    }
    SSL_CTX_set_min_proto_version(server.native_handle(), version);
    SSL_CTX_set_max_proto_version(server.native_handle(), version);
    auto const out = attempt<TypeParam>(server, trusting(this->maker_.ca_pem()), "localhost");
    EXPECT_EQ(out.code, version < TLS1_2_VERSION ? errc::tls_failed : errc{}) << out.text;
  }
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
