// What TLS connections share: whom they trust, who they are, and which protocol they speak. A context costs some
// hundred kilobytes, so clients with the same trust share one in the whole process; a connection costs what is its own.
// What no option can loosen stands in tls_rules.hpp.
#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/shared_cell.hpp>
#include <iothub/net/tls_rules.hpp>
#include <iothub/net/trust.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

enum class tls_role : unsigned char { client, server };

struct tls_client_options {
  trust_options trust = {};
  // For devices that authenticate with X.509: their certificate with the intermediate ones, and its key.
  std::string certificate_pem = {};
  std::string private_key_pem = {};
};

struct tls_server_options {
  // PEM text, or the names of PEM files where the text is empty. The chain is leaf first.
  std::string certificate_pem = {};
  std::string private_key_pem = {};
  std::string certificate_file = {};
  std::string private_key_file = {};
  // Asks for a client certificate, takes any or none, and leaves the judgement to tls_stream::peer_certificate()'s
  // reader: the hub knows devices by their thumbprints.
  bool request_client_certificate = false;
};

// A handle on shared state; copies are cheap. Safe to copy and destroy in several threads.
class tls_context {
 public:
  // errc::io_error for a CA file that cannot be read, errc::malformed for one without a usable certificate, and alike
  // for revocation lists; the message names the file. errc::invalid_argument for a certificate and key that are none or
  // do not belong together.
  static result<tls_context> client(tls_client_options const& options = {});
  // errc::io_error, errc::malformed, errc::invalid_argument as above.
  static result<tls_context> server(tls_server_options const& options);

  tls_context(tls_context const& other) noexcept : context_{other.context_}, role_{other.role_} {
    SSL_CTX_up_ref(context_);
  }
  tls_context& operator=(tls_context other) noexcept {
    other.context_ = exchanged(context_, other.context_);
    role_ = other.role_;
    return *this;
  }
  ~tls_context() { SSL_CTX_free(context_); }

  [[nodiscard]] SSL_CTX* native_handle() const noexcept { return context_; }
  [[nodiscard]] tls_role role() const noexcept { return role_; }

 private:
  tls_context(SSL_CTX* owned, tls_role role) noexcept : context_{owned}, role_{role} {}
  friend struct tls_context_cache;
  SSL_CTX* context_;
  tls_role role_;
};

namespace detail {

inline openssl_ptr<SSL_CTX> make_context(tls_role role) noexcept {
  openssl_ptr<SSL_CTX> made{SSL_CTX_new(role == tls_role::client ? TLS_client_method() : TLS_server_method())};
  if (!made) return made;
  SSL_CTX* const c = made.get();
  SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  if (!set_tls_rules(c)) made.reset();
  return made;
}

// The first certificate is the own one, the others help the peer to build the chain.
inline result<void> use_certificate(SSL_CTX* c, std::string_view chain, std::string_view key,
                                    std::string const& whose) {
  ERR_clear_error();
  openssl_ptr<BIO> const certificates = read_only(chain);
  openssl_ptr<X509> const own{
      certificates ? PEM_read_bio_X509_AUX(certificates.get(), nullptr, &no_pass_phrase, nullptr) : nullptr};
  if (!own || SSL_CTX_use_certificate(c, own.get()) != 1)
    return error{errc::invalid_argument, whose + " certificate cannot be used: " + take_openssl_error()};
  while (X509* const next = PEM_read_bio_X509(certificates.get(), nullptr, &no_pass_phrase, nullptr))
    if (SSL_CTX_add0_chain_cert(c, next) != 1) X509_free(next);
  ERR_clear_error();
  openssl_ptr<BIO> const text = read_only(key);
  openssl_ptr<EVP_PKEY> const private_key{text ? PEM_read_bio_PrivateKey(text.get(), nullptr, &no_pass_phrase, nullptr)
                                               : nullptr};
  if (!private_key || SSL_CTX_use_PrivateKey(c, private_key.get()) != 1 || SSL_CTX_check_private_key(c) != 1)
    return error{errc::invalid_argument, whose + " private key cannot be used: " + take_openssl_error()};
  return {};
}

// Where a context keeps trust::origin, for messages.
inline int trust_slot() noexcept {
  static int const slot = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* text, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<std::string*>(text); });
  return slot;
}

inline std::string trusted_by(SSL_CTX* c) {
  auto const* const origin = static_cast<std::string const*>(SSL_CTX_get_ex_data(c, trust_slot()));
  return origin != nullptr ? *origin : std::string{"the system"};
}

inline result<void> use_trust(SSL_CTX* c, trust const& whom) {
  if (auto revoked = use_revocations(c, whom); !revoked) return revoked;
  auto origin = make_owned<std::string>(whom.origin);
  if (SSL_CTX_set_ex_data(c, trust_slot(), origin.get()) == 1) (void)origin.release();
  ERR_clear_error();
  if (whom.is_system()) {
    if (SSL_CTX_set_default_verify_paths(c) == 1) return {};
    return error{errc::io_error, "cannot load the system's CA certificates: " + take_openssl_error()};
  }
  X509_STORE* const store = SSL_CTX_get_cert_store(c);
  openssl_ptr<BIO> const text = read_only(whom.pem);
  int count = 0;
  while (openssl_ptr<X509> const one{text ? PEM_read_bio_X509_AUX(text.get(), nullptr, &no_pass_phrase, nullptr)
                                          : nullptr})
    count += X509_STORE_add_cert(store, one.get());
  bool const at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  std::string const reason = take_openssl_error();
  if (count != 0 && at_end) return {};
  return error{errc::malformed, "the CA certificates of " + whom.origin +
                                    " cannot be used: " + (at_end ? std::string{"there are none"} : reason)};
}

inline result<std::string> read_pem_file(std::string const& name, char const* what) {
  std::string text;
  std::FILE* const file = std::fopen(name.c_str(), "rbe");
  if (file == nullptr)
    return error{errc::io_error,
                 std::string{"cannot read the "} + what + " file " + name + ": " + std::strerror(errno)};
  char part[4096];
  for (std::size_t size = 0; (size = std::fread(part, 1, sizeof part, file)) != 0 && text.size() < 1024 * 1024;)
    text.append(part, size);
  std::fclose(file);
  return text;
}

}  // namespace detail

// The client contexts of the process, one per set of trusted certificates. They live as long as the process: their
// number is that of the different CA files it uses.
struct tls_context_cache {
  struct entry {
    std::string trusted;
    tls_context context;
  };
  iothub::detail::shared_cell<bool> busy{false};
  lean_vector<entry> entries;

  static tls_context_cache& instance() {
    static tls_context_cache* const only = new tls_context_cache{};  // never destroyed: OpenSSL may end before it would
    return *only;
  }
  result<tls_context> find_or_make(trust const& whom);

 private:
  class lock {
   public:
    explicit lock(iothub::detail::shared_cell<bool>& flag) noexcept : flag_{flag} {
      while (flag_.exchange(true)) {
      }
    }
    lock(lock const&) = delete;
    lock& operator=(lock const&) = delete;
    ~lock() { flag_.store(false); }

   private:
    iothub::detail::shared_cell<bool>& flag_;
  };
  static result<tls_context> make(trust const& whom);
};

inline result<tls_context> tls_context_cache::make(trust const& whom) {
  auto c = detail::make_context(tls_role::client);
  if (!c) return error{errc::tls_failed, "OpenSSL cannot start: " + detail::take_openssl_error()};
  SSL_CTX_set_verify(c.get(), SSL_VERIFY_PEER, nullptr);
  if (auto trusted = detail::use_trust(c.get(), whom); !trusted) return std::move(trusted).error();
  return tls_context{c.release(), tls_role::client};
}

inline result<tls_context> tls_context_cache::find_or_make(trust const& whom) {
  std::string key = whom.pem;
  if (whom.is_system())
    for (char const* const name : {"SSL_CERT_DIR", "SSL_CERT_FILE"})
      if (char const* const value = std::getenv(name)) key.append(name).append(value);  // NOLINT(concurrency-mt-unsafe)
  if (!whom.crl_pem.empty()) key.append("\n\n").append(whom.crl_pem);
  lock const guard{busy};
  for (entry const& e : entries)
    if (e.trusted == key) return e.context;
  auto made = make(whom);
  if (made) entries.push_back({std::move(key), *made});
  return made;
}

inline result<tls_context> tls_context::client(tls_client_options const& options) {
  auto whom = resolve_trust(options.trust);
  if (!whom) return std::move(whom).error();
  if (options.certificate_pem.empty() && options.private_key_pem.empty())
    return tls_context_cache::instance().find_or_make(*whom);
  auto c = detail::make_context(tls_role::client);
  if (!c) return error{errc::tls_failed, "OpenSSL cannot start: " + detail::take_openssl_error()};
  SSL_CTX_set_verify(c.get(), SSL_VERIFY_PEER, nullptr);
  if (auto trusted = detail::use_trust(c.get(), *whom); !trusted) return std::move(trusted).error();
  auto used = detail::use_certificate(c.get(), options.certificate_pem, options.private_key_pem, "the client's");
  if (!used) return std::move(used).error();
  return tls_context{c.release(), tls_role::client};
}

inline result<tls_context> tls_context::server(tls_server_options const& options) {
  std::string chain = options.certificate_pem, key = options.private_key_pem;
  if (chain.empty() && !options.certificate_file.empty()) {
    auto text = detail::read_pem_file(options.certificate_file, "certificate");
    if (!text) return std::move(text).error();
    chain = *std::move(text);
  }
  if (key.empty() && !options.private_key_file.empty()) {
    auto text = detail::read_pem_file(options.private_key_file, "private key");
    if (!text) return std::move(text).error();
    key = *std::move(text);
  }
  auto c = detail::make_context(tls_role::server);
  if (!c) return error{errc::tls_failed, "OpenSSL cannot start: " + detail::take_openssl_error()};
  auto used = detail::use_certificate(c.get(), chain, key, "the server's");
  OPENSSL_cleanse(key.data(), key.size());
  if (!used) return std::move(used).error();
  // A ticket costs the client 6 kB for as long as it is connected, and reconnects are rare.
  SSL_CTX_set_options(c.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(c.get(), 0);
  if (options.request_client_certificate)
    SSL_CTX_set_cert_verify_callback(
        c.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  SSL_CTX_set_verify(c.get(), options.request_client_certificate ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  return tls_context{c.release(), tls_role::server};
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
