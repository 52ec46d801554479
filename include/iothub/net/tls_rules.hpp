// What both TLS stacks, the TLS stream and libcurl, ask of an OpenSSL context, so that their verdicts are the same.
//
// The rules, which no option can loosen (NIST SP 800-52r2, RFC 9325, RFC 9525 and OpenSSL's manual pages):
//   TLS 1.2 at least; at 1.2 only ECDHE with an AEAD cipher; no compression, no renegotiation (RFC 9325 sections 3 and
//   4); security level 2 (no RSA below 2048 bits, no SHA-1); a client always verifies the chain and the name.
// docs/tls-matrix.md has the verdict on each kind of certificate.
#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <string>
#include <string_view>

#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/net/trust.hpp>

namespace iothub {
inline namespace v0 {
namespace net {
namespace detail {

struct openssl_free {
  void operator()(BIO* p) const noexcept { BIO_free(p); }
  void operator()(X509* p) const noexcept { X509_free(p); }
  void operator()(X509_CRL* p) const noexcept { X509_CRL_free(p); }
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(SSL_CTX* p) const noexcept { SSL_CTX_free(p); }
  void operator()(SSL* p) const noexcept { SSL_free(p); }
};
template <class T>
using openssl_ptr = owned<T, openssl_free>;

// The last reason that OpenSSL queued. Empties the queue, which belongs to the thread and must never leak into somebody
// else's call.
inline std::string take_openssl_error() {
  char text[160] = "no reason given";
  if (unsigned long const code = ERR_peek_last_error(); code != 0) {
    char const* const reason = ERR_reason_error_string(code);
    if (reason != nullptr)
      std::snprintf(text, sizeof text, "%s", reason);
    else
      ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

// A memory BIO over text that outlives it.
inline openssl_ptr<BIO> read_only(std::string_view text) noexcept {
  return openssl_ptr<BIO>{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}
// Keys in PEM files with a pass phrase are refused instead of asking at the terminal.
inline int no_pass_phrase(char*, int, int, void*) noexcept {
  return -1;
}

inline bool set_tls_rules(SSL_CTX* c) noexcept {
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_security_level(c, 2);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

// Gives each revocation list to `take`; what ends with errc::malformed was given in part.
template <class Take>
result<void> read_revocations(trust const& whom, Take const& take) {
  ERR_clear_error();
  openssl_ptr<BIO> const text = read_only(whom.crl_pem);
  bool found = false;
  while (openssl_ptr<X509_CRL> const one{
      text ? PEM_read_bio_X509_CRL(text.get(), nullptr, &no_pass_phrase, nullptr) : nullptr}) {
    found = true;
    take(one.get());
  }
  bool const at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  std::string const reason = take_openssl_error();
  if (found && at_end) return {};
  return error{errc::malformed, "the revocation lists of " + whom.crl_origin +
                                    " cannot be used: " + (at_end ? std::string{"there are none"} : reason)};
}

// With lists, each certificate of the chain, the anchor included, must be on none of them, and the list of its issuer
// must be there, signed by it and in its time (RFC 5280 section 6.3): what cannot be looked up is refused.
inline result<void> use_revocations(SSL_CTX* c, trust const& whom) {
  if (whom.crl_pem.empty()) return {};
  X509_STORE* const store = SSL_CTX_get_cert_store(c);
  bool all = X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
  auto read = read_revocations(whom, [&](X509_CRL* one) { all = X509_STORE_add_crl(store, one) == 1 && all; });
  if (read && !all) return error{errc::io_error, "OpenSSL cannot keep the revocation lists: " + take_openssl_error()};
  return read;
}

}  // namespace detail
}  // namespace net
}  // namespace v0
}  // namespace iothub
