// A client's stream in a simulation: rough, with TLS on top where the run wants it; and servers with bad certificates.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/simulation/rough_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

class secure_stream {
 public:
  // Without a context there is no TLS.
  secure_stream(line& on, net::tls_context const* context) {
    if (context == nullptr)
      plain_ = std::make_unique<rough_stream>(on);
    else
      tls_ = std::make_unique<net::tls_stream<rough_stream>>(*context, rough_stream{on});
  }
  result<void> open(endpoint const& where, time_point now) {
    return tls_ ? tls_->open(where, now) : plain_->open(where, now);
  }
  io_result read(byte_span into, time_point now) { return tls_ ? tls_->read(into, now) : plain_->read(into, now); }
  io_result write(byte_view from, time_point now) { return tls_ ? tls_->write(from, now) : plain_->write(from, now); }
  void close() { tls_ ? tls_->close() : plain_->close(); }
  [[nodiscard]] error last_error() const { return tls_ ? error{tls_->last_error()} : plain_->last_error(); }
  [[nodiscard]] time_point deadline() const { return tls_ ? tls_->deadline() : plain_->deadline(); }
  void attach(loop& on, participant& whom) { tls_ ? tls_->attach(on, whom) : plain_->attach(on, whom); }

 private:
  std::unique_ptr<rough_stream> plain_;
  std::unique_ptr<net::tls_stream<rough_stream>> tls_;
};

static_assert(byte_stream<secure_stream>);

// What a server makes of an accepted pipe.
struct wrap_tls {
  net::tls_context context;
  net::tls_stream<memory::pipe_stream> operator()(memory::pipe_stream&& s) const { return {context, std::move(s)}; }
};

// What is wrong with the servers whose certificates are good: one speaks TLS 1.1 and nothing newer, the other asks for
// a second handshake as soon as the first is done.
inline void spoil(net::tls_context const& context, fault how) {
  SSL_CTX* const c = context.native_handle();
  if (how == fault::tls_too_old) {
    SSL_CTX_set_security_level(c, 0);  // OpenSSL 3 has SHA-1 signatures, and so TLS 1.1, at level 0 alone
    SSL_CTX_set_min_proto_version(c, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(c, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(c, "ALL");
  } else if (how == fault::tls_renegotiation) {
    SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_clear_options(c, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_info_callback(c, [](SSL const* of, int what, int) {
      if ((what & SSL_CB_HANDSHAKE_DONE) != 0) SSL_renegotiate(const_cast<SSL*>(of));
    });
  }
}

// Certificates of servers that a client must not believe, and the CA that signed those that have a good one.
struct bad_certificates {
  struct server {
    std::string chain_pem;
    std::string key_pem;
  };
  std::string ca_pem;           // to be trusted by the client
  std::vector<server> servers;  // in the order of the faults: tls_wrong_name to tls_renegotiation

  static bad_certificates make(std::string const& host, utc_time now);
};

// ---------------------------------------------------------------------------------------------------------------------

inline bad_certificates bad_certificates::make(std::string const& host, utc_time now) {
  using std::chrono::hours;
  namespace nd = net::detail;
  struct kind {
    char const* name;
    hours begins;
    hours lasts;
    bool own_ca;
    bool self_signed;
    char const* usage;
  };
  std::string const right = nd::subject_name_for(host);
  hours const years{24 * 3650};
  kind const kinds[] = {{"DNS:elsewhere.invalid", hours{0}, years, true, false, "serverAuth"},
                        {right.c_str(), hours{-24 * 30}, hours{24}, true, false, "serverAuth"},
                        {right.c_str(), 10 * years, years, true, false, "serverAuth"},
                        {right.c_str(), hours{0}, years, false, false, "serverAuth"},
                        {right.c_str(), hours{0}, years, true, true, "serverAuth"},
                        {right.c_str(), hours{0}, years, true, false, "clientAuth"},
                        {right.c_str(), hours{0}, years, true, false, "serverAuth"},
                        {right.c_str(), hours{0}, years, true, false, "serverAuth"}};
  std::vector<std::string> const constraints{nd::constraint_for(host), "DNS:elsewhere.invalid"};
  auto const ca_key = nd::make_p256_key().value();
  auto const ca = nd::make_ca(ca_key, constraints, now, 2 * years).value();
  auto const stranger_key = nd::make_p256_key().value();
  auto const stranger = nd::make_ca(stranger_key, constraints, now, 2 * years).value();
  bad_certificates made;
  made.ca_pem = nd::to_pem(ca);
  for (kind const& k : kinds) {
    auto const key = nd::make_p256_key().value();
    auto leaf = nd::new_certificate(key, host, now + k.begins, k.lasts);
    auto const& issuer = k.self_signed ? leaf : k.own_ca ? ca : stranger;
    auto const& signer = k.self_signed ? key : k.own_ca ? ca_key : stranger_key;
    bool const ok = leaf && X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuer.get())) == 1 &&
                    nd::add_extension(leaf.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                    nd::add_extension(leaf.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") &&
                    nd::add_extension(leaf.get(), issuer.get(), NID_ext_key_usage, k.usage) &&
                    nd::add_extension(leaf.get(), issuer.get(), NID_subject_alt_name, k.name) &&
                    // Else the hub's CA, which has the same name, is taken for the issuer.
                    (k.self_signed ||
                     nd::add_extension(leaf.get(), issuer.get(), NID_authority_key_identifier, "keyid:always")) &&
                    X509_sign(leaf.get(), signer.get(), EVP_sha256()) > 0;
    if (!ok) iothub::detail::throw_error(nd::openssl_error("cannot make a bad certificate"));
    made.servers.push_back({nd::to_pem(leaf) + nd::to_pem(k.own_ca ? ca : stranger), nd::to_pem(key)});
  }
  return made;
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
