// One TLS connection without I/O: cipher text goes in and out through buffers, plain text through read() and write().
//
// Theory of operation. OpenSSL does its I/O through a BIO of ours that reads what was fed and writes to outgoing().
// The buffers own nothing while the connection is idle (OpenSSL's memory BIO would keep 76 kB for a pair), and OpenSSL
// itself releases its own. Each call empties OpenSSL's error queue, which belongs to the whole thread.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/net/resolver.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

class tls_engine {
 public:
  // For a client, `peer_name` is the host name or IP address that the certificate must hold; it is also sent as SNI if
  // it is a name (RFC 6066 section 3 allows no addresses there). Certificates are judged at `utc`, by the system's time
  // if that is not given. errc::invalid_argument for an empty name or one with a NUL, errc::tls_failed without memory.
  static result<tls_engine> make(tls_context const& context, std::string_view peer_name, std::optional<utc_time> utc);

  // Cipher text from the peer, kept.
  void feed(byte_view bytes) { state_->incoming.append(bytes); }
  // The same without a copy: used before read() or handshake() return, what is left over must be kept by keep_rest().
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"  // it does not see end_loan()
#endif
  void lend(byte_view bytes) noexcept { state_->lent = bytes; }
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC diagnostic pop
#endif
  void keep_rest() {
    state_->incoming.append(exchanged(state_->lent, {}));
    state_->incoming.shrink();
  }
  // Forgets what was lent and is not used: its memory is about to go.
  void end_loan() noexcept { state_->lent = {}; }
  // The peer's side of the connection below has ended.
  void feed_end() noexcept { state_->ended = true; }
  // Cipher text for the peer.
  [[nodiscard]] byte_buffer& outgoing() noexcept { return state_->outgoing; }

  // done with size 0 once the handshake is complete; would_block when the peer has to say something first.
  io_status handshake();
  // As byte_stream has it. `end` is the peer's close_notify; when the connection ends without one, bytes may have been
  // cut off, and that is errc::connection_lost.
  io_result read(byte_span into);
  // Makes one record of at most 16,384 bytes.
  io_result write(byte_view from);
  // Says close_notify, when there is something to close.
  void shutdown() noexcept;

  [[nodiscard]] error const& last_error() const noexcept { return error_; }
  [[nodiscard]] bool established() const noexcept { return established_; }
  // The certificate of the other side as DER; empty when there is none.
  [[nodiscard]] std::string peer_certificate() const;
  [[nodiscard]] SSL* native_handle() const noexcept { return ssl_.get(); }

 private:
  struct state {
    byte_buffer incoming;
    byte_view lent = {};  // behind what is in `incoming`
    byte_buffer outgoing;
    bool ended = false;
    bool out_of_memory = false;
  };

  tls_engine(detail::openssl_ptr<SSL> ssl, owned<state> s, std::string_view peer_name)
      : state_{std::move(s)}, ssl_{std::move(ssl)}, peer_name_{peer_name} {}

  static BIO_METHOD const* bio_method() noexcept;
  static int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* got) noexcept;
  static int bio_write(BIO* bio, char const* from, std::size_t size, std::size_t* put) noexcept;
  static long bio_control(BIO* bio, int command, long, void*) noexcept;
  static bool expect_name(SSL* ssl, std::string const& name) noexcept;

  io_result after(int outcome, std::size_t moved);
  [[nodiscard]] error failure(int kind);

  owned<state> state_;  // the BIO points at it
  detail::openssl_ptr<SSL> ssl_;
  std::string peer_name_;
  bool established_ = false;
  bool failed_ = false;
  error error_{errc::closed};
};

inline int tls_engine::bio_read(BIO* bio, char* into, std::size_t size, std::size_t* got) noexcept {
  auto& s = *static_cast<state*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (!s.incoming.empty()) {
    *got = size < s.incoming.size() ? size : s.incoming.size();
    std::memcpy(into, s.incoming.view().data(), *got);
    s.incoming.consume(*got);
    return 1;
  }
  if (!s.lent.empty()) {
    *got = size < s.lent.size() ? size : s.lent.size();
    std::memcpy(into, s.lent.data(), *got);
    s.lent.remove_prefix(*got);
    return 1;
  }
  *got = 0;
  if (!s.ended) BIO_set_retry_read(bio);
  return 0;
}

inline int tls_engine::bio_write(BIO* bio, char const* from, std::size_t size, std::size_t* put) noexcept {
  auto& s = *static_cast<state*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *put = 0;
#if IOTHUB_EXCEPTIONS
  try {
    s.outgoing.append({from, size});
  } catch (...) {  // must not cross OpenSSL's frames
    s.out_of_memory = true;
    return 0;
  }
#else
  s.outgoing.append({from, size});
#endif
  *put = size;
  return 1;
}

inline long tls_engine::bio_control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<state*>(BIO_get_data(bio))->ended ? 1 : 0;
  return 0;
}

inline BIO_METHOD const* tls_engine::bio_method() noexcept {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* const m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "byte_buffer");
    if (m == nullptr) return m;
    BIO_meth_set_read_ex(m, &tls_engine::bio_read);
    BIO_meth_set_write_ex(m, &tls_engine::bio_write);
    BIO_meth_set_ctrl(m, &tls_engine::bio_control);
    return m;
  }();
  return method;
}

// RFC 9525: the name is looked for among the certificate's subjectAltNames only, never in its common name, and a
// wildcard stands for a whole leftmost label. Addresses are compared as addresses.
inline bool tls_engine::expect_name(SSL* ssl, std::string const& name) noexcept {
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(verify, host_check_flags);
  if (auto const address = ip_address::parse(name, 0))
    return X509_VERIFY_PARAM_set1_ip_asc(verify, address->to_string().c_str()) == 1;
  return SSL_set1_host(ssl, name.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

inline result<tls_engine> tls_engine::make(tls_context const& context, std::string_view peer_name,
                                           std::optional<utc_time> utc) {
  ERR_clear_error();
  bool const client = context.role() == tls_role::client;
  // A rooted name; certificates leave the dot out.
  if (client && peer_name.ends_with('.')) peer_name.remove_suffix(1);
  // An empty name would silently turn the check off (SSL_set1_host(3)).
  if (client && (peer_name.empty() || peer_name.find('\0') != std::string_view::npos))
    return error{errc::invalid_argument, "TLS needs the name of the host to check its certificate"};
  owned<state> s{new state{}};
  detail::openssl_ptr<SSL> ssl{SSL_new(context.native_handle())};
  BIO* const bio = ssl && bio_method() != nullptr ? BIO_new(bio_method()) : nullptr;
  if (bio == nullptr) return error{errc::tls_failed, "OpenSSL cannot start: " + detail::take_openssl_error()};
  BIO_set_data(bio, s.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);
  if (utc) X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl.get()), static_cast<time_t>(unix_seconds(*utc)));
  if (!client) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
    if (!expect_name(ssl.get(), std::string{peer_name}))
      return error{errc::invalid_argument, "'" + std::string{peer_name} + "' is no name that a certificate can have: " +
                                               detail::take_openssl_error()};
  }
  return tls_engine{std::move(ssl), std::move(s), peer_name};
}

inline io_status tls_engine::handshake() {
  if (failed_) return io_status::failed;
  if (established_) return io_status::done;
  ERR_clear_error();
  return after(SSL_do_handshake(ssl_.get()), 0).status;
}

inline io_result tls_engine::read(byte_span into) {
  if (failed_) return {io_status::failed, 0};
  ERR_clear_error();
  std::size_t got = 0;
  int const outcome = SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
  return after(outcome, got);
}

inline io_result tls_engine::write(byte_view from) {
  if (failed_) return {io_status::failed, 0};
  ERR_clear_error();
  constexpr std::size_t record = 16384;  // RFC 8446 section 5.1
  std::size_t put = 0;
  int const outcome = SSL_write_ex(ssl_.get(), from.data(), from.size() < record ? from.size() : record, &put);
  return after(outcome, put);
}

inline io_result tls_engine::after(int outcome, std::size_t moved) {
  if (!established_) established_ = SSL_is_init_finished(ssl_.get()) == 1;
  if (outcome == 1) return {io_status::done, moved};
  switch (int const kind = SSL_get_error(ssl_.get(), outcome)) {
    case SSL_ERROR_WANT_READ: return {};
    case SSL_ERROR_ZERO_RETURN: ERR_clear_error(); return {io_status::end, 0};
    default:
      failed_ = true;
      error_ = failure(kind);
      return {io_status::failed, 0};
  }
}

inline error tls_engine::failure(int kind) {
  bool const cut_off =
      kind == SSL_ERROR_SYSCALL || ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  long const verdict = SSL_get_verify_result(ssl_.get());
  std::string const reason = detail::take_openssl_error();
  std::string const peer = peer_name_.empty() ? "the client" : peer_name_;
  if (state_->out_of_memory) return {errc::io_error, "out of memory"};
  if (!established_ && SSL_is_server(ssl_.get()) == 0 && verdict != X509_V_OK)
    return {errc::certificate_rejected,
            "the certificate of " + peer + " is rejected: " + X509_verify_cert_error_string(verdict) +
                trust_note(detail::trusted_by(SSL_get_SSL_CTX(ssl_.get())))};
  if (cut_off && established_)
    return {errc::connection_lost, "the connection to " + peer + " ended without a TLS close: bytes may be missing"};
  if (cut_off) return {errc::connection_lost, "the connection to " + peer + " ended during the TLS handshake"};
  return {errc::tls_failed, (established_ ? "TLS with " : "the TLS handshake with ") + peer + " failed: " + reason};
}

// SSL_shutdown must not be called after a failure (SSL_shutdown(3)).
inline void tls_engine::shutdown() noexcept {
  if (failed_ || !established_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

inline std::string tls_engine::peer_certificate() const {
  detail::openssl_ptr<X509> const certificate{SSL_get1_peer_certificate(ssl_.get())};
  int const size = certificate ? i2d_X509(certificate.get(), nullptr) : 0;
  if (size <= 0) return {};
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* to = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate.get(), &to);
  return der;
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
