// Which certificates a client takes, as data: one table for the TLS stream and for libcurl. The verdicts were written
// down before either was run. docs/tls-matrix.md is this table.
#pragma once

#include <certificates.hpp>

#include <iothub/base/error.hpp>

#include <openssl/ssl.h>

#include <string>
#include <vector>

namespace iothub_test {

enum class tls_verdict { taken, certificate_rejected, tls_failed };

inline iothub::errc code_of(tls_verdict v) {
  if (v == tls_verdict::taken) return {};
  return v == tls_verdict::tls_failed ? iothub::errc::tls_failed : iothub::errc::certificate_rejected;
}
inline char const* text_of(tls_verdict v) {
  if (v == tls_verdict::taken) return "taken";
  return v == tls_verdict::tls_failed ? "refused (`tls_failed`)" : "refused (`certificate_rejected`)";
}

// What a server shows.
struct tls_server_side {
  std::string chain_pem;
  std::string key_pem;
  int version = 0;  // the only one it speaks; 0: any that OpenSSL has
};

// The certificates of the whole table, made once per process. The names lie below .localhost, which libcurl takes for the
// loopback without asking a resolver (RFC 6761 section 6.3).
struct tls_cast {
  certificate_maker maker;
  certificate_maker stranger{"another CA"};
  certificate good = maker.issue(
      {.alternative_names = "DNS:localhost,IP:127.0.0.1,DNS:device.hub.localhost,DNS:a.device.hub.localhost"});
  certificate revoked = maker.issue();
  certificate middle = maker.issue({.common_name = "middle", .is_ca = true});
  certificate last_ca = maker.issue({.common_name = "last", .is_ca = true, .path_length = 0});
  certificate one_too_many{{.common_name = "one too many", .is_ca = true}, &last_ca};
  certificate no_ca = maker.issue({.common_name = "no CA", .extended_key_usage = {}});
  certificate self_signed{{}};

  [[nodiscard]] std::string revocations() const { return maker.ca().revocation_list(&revoked); }
  [[nodiscard]] tls_server_side good_side() const { return {good.pem(), good.key_pem()}; }
};

struct tls_case {
  int row;
  char const* name;
  char const* host;  // as the client was told
  tls_verdict verdict;
  char const* said;  // OpenSSL's words; empty where nothing is said
  char const* why;
  tls_server_side (*server)(tls_cast const&);
  bool revocations = false;  // whether the client was given a list
};

namespace detail {
inline tls_server_side side(certificate const& leaf, std::string const& more = {}, int version = 0) {
  return {leaf.pem() + more, leaf.key_pem(), version};
}
inline tls_server_side issued(tls_cast const& c, certificate_spec const& spec) { return side(c.maker.issue(spec)); }
}  // namespace detail

inline std::vector<tls_case> const& tls_cases() {
  using detail::issued;
  using detail::side;
  using cast = tls_cast const&;
  constexpr auto taken = tls_verdict::taken;
  constexpr auto rejected = tls_verdict::certificate_rejected;
  static std::vector<tls_case> const cases{
      {1, "good", "localhost", taken, "", "RFC 5280 section 6.1, RFC 9525 section 6",
       [](cast c) { return c.good_side(); }},
      {2, "wrong name", "localhost", rejected, "hostname mismatch", "RFC 9525 section 6.3",
       [](cast c) { return issued(c, {.alternative_names = "DNS:other.localhost"}); }},
      {3, "name in the common name only", "localhost", rejected, "hostname mismatch",
       "RFC 9525 section 2: names are not looked for in the subject",
       [](cast c) { return issued(c, {.common_name = "localhost", .alternative_names = ""}); }},
      {4, "wildcard, for one level", "device.hub.localhost", taken, "",
       "RFC 9525 section 6.3: a wildcard is the whole leftmost label",
       [](cast c) { return issued(c, {.alternative_names = "DNS:*.hub.localhost"}); }},
      {4, "wildcard, for two levels", "a.device.hub.localhost", rejected, "hostname mismatch",
       "RFC 9525 section 6.3: a wildcard stands for one label",
       [](cast c) { return issued(c, {.alternative_names = "DNS:*.hub.localhost"}); }},
      {5, "partial wildcard", "device.hub.localhost", rejected, "hostname mismatch",
       "RFC 9525 section 6.3: no other character beside the wildcard",
       [](cast c) { return issued(c, {.alternative_names = "DNS:dev*.hub.localhost"}); }},
      {6, "address in an IP name", "127.0.0.1", taken, "", "RFC 9525 section 6.4",
       [](cast c) { return issued(c, {.common_name = "x", .alternative_names = "IP:127.0.0.1"}); }},
      {6, "another address", "127.0.0.1", rejected, "IP address mismatch", "RFC 9525 section 6.4",
       [](cast c) { return issued(c, {.alternative_names = "IP:127.0.0.2"}); }},
      {6, "address in a DNS name", "127.0.0.1", rejected, "IP address mismatch",
       "RFC 9525 section 6.4: an address is compared with addresses",
       [](cast c) { return issued(c, {.common_name = "127.0.0.1", .alternative_names = "DNS:127.0.0.1"}); }},
      {7, "NUL in the name", "localhost", rejected, "hostname mismatch",
       "RFC 5280 section 4.2.1.6: the name is all of its bytes (CVE-2009-2408)",
       [](cast c) {
         return issued(c, {.alternative_names = {}, .raw_dns_name = std::string{"localhost\0.other.example", 24}});
       }},
      {8, "expired", "localhost", rejected, "certificate has expired", "RFC 5280 section 6.1.3 (a)(2)",
       [](cast c) { return issued(c, {.not_after = year_2020 + 86'400}); }},
      {9, "of the future", "localhost", rejected, "certificate is not yet valid", "RFC 5280 section 6.1.3 (a)(2)",
       [](cast c) { return issued(c, {.not_before = year_2049 - 86'400}); }},
      {10, "unknown CA", "localhost", rejected, "unable to get local issuer certificate", "RFC 5280 section 6.1",
       [](cast c) { return side(c.stranger.issue()); }},
      {11, "self-signed", "localhost", rejected, "self-signed certificate", "RFC 5280 section 6.1",
       [](cast c) { return side(c.self_signed); }},
      {12, "missing intermediate", "localhost", rejected, "unable to get local issuer certificate",
       "RFC 8446 section 4.4.2: the server sends all but the root; nothing is fetched",
       [](cast c) { return side(certificate{{}, &c.middle}); }},
      {12, "the same intermediate, sent", "localhost", taken, "", "RFC 8446 section 4.4.2",
       [](cast c) { return side(certificate{{}, &c.middle}, c.middle.pem()); }},
      {13, "extended key usage clientAuth only", "localhost", rejected, "unsuitable certificate purpose",
       "RFC 5280 section 4.2.1.12", [](cast c) { return issued(c, {.extended_key_usage = "clientAuth"}); }},
      {14, "RSA key of 1024 bits", "localhost", rejected, "EE certificate key too weak",
       "NIST SP 800-131A: 2048 bits at least; OpenSSL's security level 2",
       [](cast c) { return issued(c, {.rsa_bits = 1024}); }},
      {15, "signed with SHA-1", "localhost", rejected, "CA signature digest algorithm too weak",
       "RFC 9155; OpenSSL's security level 2", [](cast c) { return issued(c, {.sha1 = true}); }},
      {16, "revoked, the client has the list", "localhost", rejected, "certificate revoked", "RFC 5280 section 6.3",
       [](cast c) { return side(c.revoked); }, true},
      {16, "not revoked, the client has the list", "localhost", taken, "", "RFC 5280 section 6.3",
       [](cast c) { return issued(c, {}); }, true},
      {16, "no list of the issuer among those that the client has", "localhost", rejected,
       "unable to get certificate CRL", "RFC 5280 section 6.3: not known is not good",
       [](cast c) { return side(certificate{{}, &c.middle}, c.middle.pem()); }, true},
      {16, "revoked, the client has no list", "localhost", taken, "",
       "revocation is off unless a list is given: the option `crl_file` of every client",
       [](cast c) { return side(c.revoked); }},
      {17, "path length broken", "localhost", rejected, "path length constraint exceeded",
       "RFC 5280 section 6.1.4 (l)",
       [](cast c) { return side(certificate{{}, &c.one_too_many}, c.one_too_many.pem() + c.last_ca.pem()); }},
      {18, "issuer that is no CA", "localhost", rejected, "invalid CA certificate", "RFC 5280 section 6.1.4 (k)",
       [](cast c) { return side(certificate{{}, &c.no_ca}, c.no_ca.pem()); }},
      {19, "server that speaks TLS 1.1 only", "localhost", tls_verdict::tls_failed, "", "RFC 8996, RFC 9325 section 3.1.1",
       [](cast c) { return side(c.good, {}, TLS1_1_VERSION); }},
      {19, "server that speaks TLS 1.2 only", "localhost", taken, "", "RFC 9325 section 3.1.1",
       [](cast c) { return side(c.good, {}, TLS1_2_VERSION); }},
      {19, "server that speaks TLS 1.3 only", "localhost", taken, "", "RFC 8446",
       [](cast c) { return side(c.good, {}, TLS1_3_VERSION); }},
  };
  return cases;
}
inline constexpr int tls_rows = 19;

// Makes a server's context show and speak whatever it is told, however bad. All of them hand out session tickets sealed
// with one key, as a server does that comes back with another certificate. A context keeps one certificate for each kind
// of key, so it must have none of another kind than this one.
inline bool show(SSL_CTX* server, tls_server_side const& what) {
  unsigned char ticket_keys[80] = {1, 2, 3};
  SSL_CTX_clear_options(server, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(server, 2);
  SSL_CTX_set_tlsext_ticket_keys(server, ticket_keys, sizeof ticket_keys);
  SSL_CTX_set_security_level(server, 0);
  SSL_CTX_clear_chain_certs(server);
  SSL_CTX_set_min_proto_version(server, what.version != 0 ? what.version : TLS1_VERSION);
  SSL_CTX_set_max_proto_version(server, what.version);
  BIO* const chain = BIO_new_mem_buf(what.chain_pem.data(), static_cast<int>(what.chain_pem.size()));
  X509* const leaf = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
  bool good = SSL_CTX_set_cipher_list(server, "ALL") == 1 && leaf != nullptr &&
              SSL_CTX_use_certificate(server, leaf) == 1;
  X509_free(leaf);
  while (X509* const next = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr)) SSL_CTX_add0_chain_cert(server, next);
  BIO_free(chain);
  BIO* const text = BIO_new_mem_buf(what.key_pem.data(), static_cast<int>(what.key_pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(text, nullptr, nullptr, nullptr);
  good = good && key != nullptr && SSL_CTX_use_PrivateKey(server, key) == 1;
  EVP_PKEY_free(key);
  BIO_free(text);
  ERR_clear_error();
  return good;
}

// docs/tls-matrix.md.
inline std::string tls_page() {
  std::string page =
      "# Which certificates are taken\n\n"
      "What our clients say to a server's certificate, over the TLS stream (MQTT, AMQP, WebSockets) and over libcurl "
      "(HTTPS) alike.\nEach case is run over both, on a first connection and on later ones: a good server is replaced by "
      "one with this\ncertificate, which is tried twice, and by the good one again. A refusal stays one, and the client "
      "recovers. No option\nturns a verdict around but those named in the table.\n\n"
      "This page is made from `tests/support/tls_matrix.hpp`; `unit_net` fails when it is not current, and writes it when "
      "run with\n`IOTHUB_WRITE_PAGES=1`. `TlsMatrix` in `unit_net` and `CurlTlsMatrix` in `unit_curl` are the tests. "
      "Where libcurl has another\nTLS library than our OpenSSL, rows 3 and 16 are that library's business; a revocation "
      "list is an error then.\n\n"
      "| row | the server has | the client asked for | verdict | OpenSSL says | source |\n|---|---|---|---|---|---|\n";
  for (tls_case const& c : tls_cases())
    page.append("| ").append(std::to_string(c.row)).append(" | ").append(c.name).append(" | `").append(c.host).append(
        "` | ").append(text_of(c.verdict)).append(" | ").append(c.said).append(" | ").append(c.why).append(" |\n");
  return page;
}

}  // namespace iothub_test
