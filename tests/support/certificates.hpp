// Certificates made at test time: a CA of one's own, and leaves that are right or wrong in one respect.
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace iothub_test {

inline constexpr std::int64_t year_2020 = 1'577'836'800;
inline constexpr std::int64_t year_2049 = 2'493'072'000;

// What a certificate says. Right in every respect for the host "localhost" and the address 127.0.0.1.
struct certificate_spec {
  std::string common_name = "localhost";
  std::string alternative_names = "DNS:localhost,IP:127.0.0.1";  // in OpenSSL's notation; empty: none
  std::int64_t not_before = year_2020;
  std::int64_t not_after = year_2049;
  std::string extended_key_usage = "serverAuth";  // empty: none
  bool is_ca = false;
  int rsa_bits = 0;               // 0: a P-256 key
  int path_length = -1;           // of a CA; -1: any
  std::string raw_dns_name = {};  // instead of alternative_names: one name of any bytes
  bool sha1 = false;              // signed with SHA-1
};

// A certificate and its key, alone or as the issuer of others.
class certificate {
 public:
  // Signed by `issuer`, or by itself without one.
  explicit certificate(certificate_spec const& spec, certificate const* issuer = nullptr)
      : key_{spec.rsa_bits != 0 ? EVP_RSA_gen(static_cast<unsigned>(spec.rsa_bits)) : EVP_EC_gen("P-256")},
        x509_{X509_new()} {
    X509_set_version(x509_, X509_VERSION_3);
    static long serial = 1000;
    ASN1_INTEGER_set(X509_get_serialNumber(x509_), ++serial);
    ASN1_TIME_set(X509_getm_notBefore(x509_), static_cast<time_t>(spec.not_before));
    ASN1_TIME_set(X509_getm_notAfter(x509_), static_cast<time_t>(spec.not_after));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509_), "CN", MBSTRING_UTF8,
                               reinterpret_cast<unsigned char const*>(spec.common_name.c_str()), -1, -1, 0);
    X509* const by = issuer != nullptr ? issuer->x509_ : x509_;
    X509_set_issuer_name(x509_, X509_get_subject_name(by));
    X509_set_pubkey(x509_, key_);
    std::string const length = spec.path_length < 0 ? "" : ",pathlen:" + std::to_string(spec.path_length);
    add(NID_basic_constraints, spec.is_ca ? "critical,CA:TRUE" + length : "critical,CA:FALSE", by);
    add(NID_key_usage, spec.is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature", by);
    add(NID_subject_key_identifier, "hash", by);
    if (issuer != nullptr) add(NID_authority_key_identifier, "keyid", by);
    if (!spec.extended_key_usage.empty() && !spec.is_ca) add(NID_ext_key_usage, spec.extended_key_usage, by);
    if (!spec.raw_dns_name.empty())
      add_raw_name(spec.raw_dns_name);
    else if (!spec.alternative_names.empty() && !spec.is_ca)
      add(NID_subject_alt_name, spec.alternative_names, by);
    auto const* const digest = spec.sha1 ? EVP_sha1() : EVP_sha256();
    if (X509_sign(x509_, issuer != nullptr ? issuer->key_ : key_, digest) == 0) std::abort();
  }
  certificate(certificate const&) = delete;
  certificate& operator=(certificate const&) = delete;
  ~certificate() {
    X509_free(x509_);
    EVP_PKEY_free(key_);
  }

  std::string pem() const {
    return text([this](BIO* out) { PEM_write_bio_X509(out, x509_); });
  }
  std::string key_pem() const {
    return text([this](BIO* out) { PEM_write_bio_PKCS8PrivateKey(out, key_, nullptr, nullptr, 0, nullptr, nullptr); });
  }
  std::string der() const {
    return text([this](BIO* out) { i2d_X509_bio(out, x509_); });
  }
  // A list signed by this CA with `revoked` on it, or with nothing, as PEM.
  std::string revocation_list(certificate const* revoked = nullptr, std::int64_t not_after = year_2049) const {
    X509_CRL* const list = X509_CRL_new();
    X509_CRL_set_version(list, 1);  // which means 2
    X509_CRL_set_issuer_name(list, X509_get_subject_name(x509_));
    ASN1_TIME* const time = ASN1_TIME_new();
    X509_CRL_set1_lastUpdate(list, ASN1_TIME_set(time, static_cast<time_t>(year_2020)));
    X509_CRL_set1_nextUpdate(list, ASN1_TIME_set(time, static_cast<time_t>(not_after)));
    if (revoked != nullptr) {
      X509_REVOKED* const entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x509_));
      X509_REVOKED_set_revocationDate(entry, ASN1_TIME_set(time, static_cast<time_t>(year_2020)));
      X509_CRL_add0_revoked(list, entry);
    }
    ASN1_TIME_free(time);
    if (X509_CRL_sign(list, key_, EVP_sha256()) == 0) std::abort();
    std::string pem = text([list](BIO* out) { PEM_write_bio_X509_CRL(out, list); });
    X509_CRL_free(list);
    return pem;
  }

 private:
  void add(int nid, std::string const& value, X509* issuer) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x509_, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr || X509_add_ext(x509_, extension, -1) != 1) std::abort();
    X509_EXTENSION_free(extension);
  }
  void add_raw_name(std::string const& name) {
    GENERAL_NAMES* const names = GENERAL_NAMES_new();
    GENERAL_NAME* const one = GENERAL_NAME_new();
    ASN1_IA5STRING* const bytes = ASN1_IA5STRING_new();
    ASN1_STRING_set(bytes, name.data(), static_cast<int>(name.size()));
    GENERAL_NAME_set0_value(one, GEN_DNS, bytes);
    sk_GENERAL_NAME_push(names, one);
    if (X509_add1_ext_i2d(x509_, NID_subject_alt_name, names, 0, 0) != 1) std::abort();
    GENERAL_NAMES_free(names);
  }
  template <class Write>
  static std::string text(Write write) {
    BIO* const out = BIO_new(BIO_s_mem());
    write(out);
    char* data = nullptr;
    auto const size = BIO_get_mem_data(out, &data);
    std::string copy(data, static_cast<std::size_t>(size));
    BIO_free(out);
    return copy;
  }

  EVP_PKEY* key_;
  X509* x509_;
};

// A CA whose certificates are good.
class certificate_maker {
 public:
  explicit certificate_maker(std::string const& name = "iothub test CA")
      : ca_{{.common_name = name, .alternative_names = {}, .extended_key_usage = {}, .is_ca = true}} {}
  certificate const& ca() const { return ca_; }
  std::string ca_pem() const { return ca_.pem(); }
  certificate issue(certificate_spec const& spec = {}) const { return certificate{spec, &ca_}; }

 private:
  certificate ca_;
};

}  // namespace iothub_test
