// Keys and certificates for the served hub's CA: the little of X.509 that it takes, over OpenSSL.
// Profile: RFC 5280; P-256 keys with ECDSA and SHA-256, since a P-256 signature costs the server a thirtieth of
// RSA-2048.
#pragma once

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/net/trust.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

static_assert(host_check_flags == (X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS));

namespace detail {

template <auto Free>
struct openssl_deleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
inline void free_general_names(GENERAL_NAMES* names) noexcept {
  GENERAL_NAMES_free(names);
}
inline void free_name_constraints(NAME_CONSTRAINTS* names) noexcept {
  NAME_CONSTRAINTS_free(names);
}

using x509_key = std::unique_ptr<EVP_PKEY, openssl_deleter<&EVP_PKEY_free>>;
using bio_ptr = std::unique_ptr<BIO, openssl_deleter<&BIO_free_all>>;

class x509_certificate {
 public:
  x509_certificate() noexcept = default;
  explicit x509_certificate(X509* owned) noexcept : certificate_{owned} {}
  [[nodiscard]] X509* get() const noexcept { return certificate_.get(); }
  explicit operator bool() const noexcept { return certificate_ != nullptr; }

 private:
  std::unique_ptr<X509, openssl_deleter<&X509_free>> certificate_;
};

inline error openssl_error(std::string what) {
  char text[256] = "no reason given";
  if (auto const code = ERR_peek_last_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return error{errc::tls_failed, std::move(what) + ": " + text};
}

// --- names ----------------------------------------------------------------------------------------------------------

inline std::string lower_case(std::string_view text) {
  std::string lower{text};
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}
// Text from a command line, fit for a message on a terminal.
inline std::string printable(std::string_view text) {
  std::string out;
  for (char c : text) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}
inline bool is_ip_address(std::string const& name) {
  unsigned char address[16];
  return inet_pton(AF_INET, name.c_str(), address) == 1 || inet_pton(AF_INET6, name.c_str(), address) == 1;
}
// Letters, digits, '-', '_' and dots; labels of 1 to 63; "*." only at the left and above a name with a dot (RFC 6125).
inline bool is_host_name(std::string_view name) {
  if (name.substr(0, 2) == "*.") {
    name.remove_prefix(2);
    if (name.find('.') == std::string_view::npos) return false;
  }
  if (name.empty() || name.size() > 253) return false;
  std::size_t label = 0;
  for (char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    bool const fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fine || ++label > 63) return false;
  }
  return label != 0;
}
// "DNS:name" or "IP:address", the form of both the certificate's names and (with a mask) the CA's constraints.
inline std::string subject_name_for(std::string const& name) {
  return (is_ip_address(name) ? "IP:" : "DNS:") + name;
}
// The permitted subtree a name needs. A DNS subtree covers everything below it, so the wildcard is dropped.
inline std::string constraint_for(std::string const& name) {
  unsigned char address[16];
  if (inet_pton(AF_INET, name.c_str(), address) == 1) return "IP:" + name + "/255.255.255.255";
  if (inet_pton(AF_INET6, name.c_str(), address) == 1) {
    char text[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, address, text, sizeof text);
    return "IP:" + std::string{text} + "/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  }
  return "DNS:" + (name.substr(0, 2) == "*." ? name.substr(2) : name);
}

// --- keys and PEM ---------------------------------------------------------------------------------------------------

inline result<x509_key> make_p256_key() {
  x509_key key{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")};
  if (!key) return openssl_error("cannot make a P-256 key");
  return key;
}
inline std::string text_of(bio_ptr const& bio) {
  char* data = nullptr;
  auto const size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}
inline std::string to_pem(x509_key const& key) {
  bio_ptr const bio{BIO_new(BIO_s_mem())};
  PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio);
}
inline std::string to_pem(x509_certificate const& certificate) {
  bio_ptr const bio{BIO_new(BIO_s_mem())};
  PEM_write_bio_X509(bio.get(), certificate.get());
  return text_of(bio);
}
inline bio_ptr reader_of(std::string_view pem) {
  return bio_ptr{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
}
// Null where the text holds none. An encrypted key is none: nobody is there to type a password.
inline x509_key key_from_pem(std::string_view pem) {
  auto const bio = reader_of(pem);
  x509_key key{PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr)};
  ERR_clear_error();
  return key;
}
// The first certificate in the text; empty where there is none.
inline x509_certificate certificate_from_pem(std::string_view pem) {
  auto const bio = reader_of(pem);
  x509_certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
  ERR_clear_error();
  return certificate;
}

// --- reading certificates -------------------------------------------------------------------------------------------

inline std::string text_of(ASN1_STRING const* text) {
  return std::string(reinterpret_cast<char const*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}
inline std::string address_text(std::string_view bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}
// The subject alternative names, as host_names writes them.
inline std::vector<std::string> names_of(x509_certificate const& certificate) {
  std::vector<std::string> found;
  std::unique_ptr<GENERAL_NAMES, openssl_deleter<&free_general_names>> const names{
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    auto const* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) found.push_back(text_of(name->d.dNSName));
    if (name->type == GEN_IPADD) found.push_back(address_text(text_of(name->d.iPAddress)));
  }
  return found;
}
// The permitted subtrees, as constraint_for() writes them.
inline std::vector<std::string> constrained_names(x509_certificate const& ca) {
  std::vector<std::string> found;
  std::unique_ptr<NAME_CONSTRAINTS, openssl_deleter<&free_name_constraints>> const names{
      static_cast<NAME_CONSTRAINTS*>(X509_get_ext_d2i(ca.get(), NID_name_constraints, nullptr, nullptr))};
  if (!names) return found;
  for (int i = 0; i < sk_GENERAL_SUBTREE_num(names->permittedSubtrees); ++i) {
    auto const* base = sk_GENERAL_SUBTREE_value(names->permittedSubtrees, i)->base;
    if (base->type == GEN_DNS) found.push_back("DNS:" + text_of(base->d.dNSName));
    if (base->type != GEN_IPADD) continue;
    auto const bytes = text_of(base->d.iPAddress);
    found.push_back(constraint_for(address_text(std::string_view{bytes}.substr(0, bytes.size() / 2))));
  }
  return found;
}
inline bool valid_for(x509_certificate const& certificate, utc_time now, std::chrono::hours rest) {
  auto from = static_cast<time_t>(unix_seconds(now));
  auto until = static_cast<time_t>(unix_seconds(now + rest));
  return X509_cmp_time(X509_get0_notBefore(certificate.get()), &from) < 0 &&
         X509_cmp_time(X509_get0_notAfter(certificate.get()), &until) > 0;
}

// --- making certificates --------------------------------------------------------------------------------------------

inline bool add_extension(X509* certificate, X509* issuer, int nid, std::string const& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, openssl_deleter<&X509_EXTENSION_free>> const extension{
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())};
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}
inline std::string joined(std::vector<std::string> const& parts, std::string_view prefix) {
  std::string text;
  for (auto const& part : parts) text.append(text.empty() ? "" : ",").append(prefix).append(part);
  return text;
}
// Version 3, a random serial number of 127 bits, valid from a day ago: clocks of containers and boards differ.
inline x509_certificate new_certificate(x509_key const& key, std::string_view common_name, utc_time now,
                                        std::chrono::hours lifetime) {
  x509_certificate certificate{X509_new()};
  unsigned char serial[16];
  if (!certificate || RAND_bytes(serial, sizeof serial) != 1) return {};
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);
  BIGNUM* const number = BN_bin2bn(serial, sizeof serial, nullptr);
  bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  auto* const name = X509_get_subject_name(certificate.get());
  ok = ok && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
       ASN1_TIME_set(X509_getm_notBefore(certificate.get()),
                     static_cast<time_t>(unix_seconds(now - std::chrono::hours{24}))) &&
       ASN1_TIME_set(X509_getm_notAfter(certificate.get()), static_cast<time_t>(unix_seconds(now + lifetime))) &&
       X509_set_pubkey(certificate.get(), key.get()) == 1 &&
       X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, reinterpret_cast<unsigned char const*>("iothub-fake"), -1,
                                  -1, 0) == 1 &&
       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<unsigned char const*>(common_name.data()),
                                  static_cast<int>(common_name.size()), -1, 0) == 1;
  return ok ? std::move(certificate) : x509_certificate{};
}

inline result<x509_certificate> make_ca(x509_key const& key, std::vector<std::string> const& constraints, utc_time now,
                                        std::chrono::hours lifetime) {
  auto ca = new_certificate(key, "iothub-fake test CA", now, lifetime);
  bool const ok =
      ca && X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get())) == 1 &&
      add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(ca.get(), ca.get(), NID_subject_key_identifier, "hash") &&
      add_extension(ca.get(), ca.get(), NID_name_constraints, "critical," + joined(constraints, "permitted;")) &&
      X509_sign(ca.get(), key.get(), EVP_sha256()) > 0;
  if (!ok) return openssl_error("cannot make the CA certificate");
  return ca;
}

inline result<x509_certificate> make_leaf(x509_key const& key, x509_certificate const& ca, x509_key const& ca_key,
                                          std::vector<std::string> const& names, utc_time now,
                                          std::chrono::hours lifetime) {
  std::vector<std::string> subject_names;
  for (auto const& name : names) subject_names.push_back(subject_name_for(name));
  auto leaf = new_certificate(key, "iothub-fake server", now, lifetime);
  bool const ok = leaf && X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca.get())) == 1 &&
                  add_extension(leaf.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                  add_extension(leaf.get(), ca.get(), NID_key_usage, "critical,digitalSignature") &&
                  add_extension(leaf.get(), ca.get(), NID_ext_key_usage, "serverAuth") &&
                  add_extension(leaf.get(), ca.get(), NID_subject_key_identifier, "hash") &&
                  add_extension(leaf.get(), ca.get(), NID_authority_key_identifier, "keyid:always") &&
                  add_extension(leaf.get(), ca.get(), NID_subject_alt_name, joined(subject_names, "")) &&
                  X509_sign(leaf.get(), ca_key.get(), EVP_sha256()) > 0;
  if (!ok) return openssl_error("cannot make the server certificate");
  return leaf;
}

}  // namespace detail
}  // namespace net
}  // namespace v0
}  // namespace iothub
