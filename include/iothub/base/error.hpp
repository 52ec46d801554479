// Errors: what went wrong, whose fault it was, and what a caller may do about it.
//
// Four kinds of failure are told apart, because callers treat them differently: the caller misused the library
// (is_usage), the transport failed (is_transient mostly), the peer broke its protocol (is_protocol), and the hub
// understood but said no. A failure is never reported by assertion when bytes from outside could cause it.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/owned.hpp>

namespace iothub {
inline namespace v0 {

enum class errc : std::uint8_t {
  // The caller misused the library; repeating the call cannot help.
  invalid_argument = 1,  // a value outside its documented range or form
  invalid_state,         // the call is not possible now (for example: already connected)
  unsupported,           // this protocol cannot do it (for example: reject a message over MQTT)
  too_large,             // above a documented limit of the hub or of this library's options
  outbox_full,           // the bounded outbox holds as many messages as it may

  // The transport failed.
  not_connected,
  connection_refused,    // nobody listens there
  connection_lost,       // an established connection ended without warning
  host_not_found,
  tls_failed,            // the handshake broke for a reason other than the certificate
  certificate_rejected,  // untrusted, expired, not yet valid, or for another host name
  timeout,               // no answer in time; the outcome is unknown
  closed,                // this side closed while the operation was pending
  cancelled,
  stalled,               // virtual time only: nothing can ever happen again; the text says who waits for what
  io_error,              // a file or the operating system said no
  out_of_memory,         // this process had none left; the outcome is unknown (a blocking call throws std::bad_alloc)

  // The peer broke a protocol.
  protocol_error,        // bytes that no correct peer sends
  malformed,             // text that does not parse (JSON, connection string, token)

  // The hub understood and said no.
  bad_request,           // 400: the request is invalid by the hub's rules
  unauthorized,          // 401 / CONNACK 5: wrong, expired or missing credentials
  forbidden,             // 403 of a kind that has no code of its own here
  quota_exceeded,        // 403002: the daily quota is used up
  queue_full,            // 403004: the device's cloud-to-device queue holds 50 messages
  device_disabled,       // 403012 / CONNACK 3
  not_found,             // 404 of a kind that has no code of its own here
  device_not_found,      // 404001
  module_not_found,      // 404010
  job_not_found,         // 404002
  device_offline,        // 404103: not connected, or not listening for methods
  already_exists,        // 409
  precondition_failed,   // 412: the ETag does not match
  lock_lost,             // 412002: the message lock expired
  link_stolen,           // amqp:link:stolen: another reader took the partition, or the same identity connected again
  device_timeout,        // 504101: the device did not answer the method in time
  bad_device_response,   // 502: the device's answer was not valid
  throttled,             // 429
  service_unavailable,   // 503
  server_error,          // 500 and every other 5xx
};

// The code's own name, for logs and tests: "device_offline".
constexpr std::string_view to_string(errc code) noexcept;

// Making and copying one never throws: where there is no memory for its text, the code is left, and says enough for a
// program. So whoever must say what went wrong can.
class error {
 public:
  error(errc code) noexcept : code_{code} {}  // NOLINT(google-explicit-constructor): an errc is an error
  error(errc code, std::string message) noexcept
      : code_{code}, details_{new (std::nothrow) details{std::move(message), {}, 0, 0}} {}
  error(errc code, char const* message) noexcept : code_{code} {
    details_.reset(describe([message] { return new details{message, {}, 0, 0}; }));
  }

  error(error&&) noexcept = default;
  error& operator=(error&&) noexcept = default;
  error(error const& other) noexcept : code_{other.code_} {
    if (other.details_) details_.reset(describe([&other] { return new details{*other.details_}; }));
  }
  error& operator=(error const& other) noexcept {
    if (this != &other) *this = error{other};
    return *this;
  }

  [[nodiscard]] errc code() const noexcept { return code_; }
  // One sentence for a person; never holds a key or a token.
  [[nodiscard]] std::string_view message() const noexcept {
    return details_ && !details_->message.empty() ? std::string_view{details_->message} : to_string(code_);
  }
  // HTTP status of the hub's answer; 0 where there was none.
  [[nodiscard]] int http_status() const noexcept { return details_ ? details_->http_status : 0; }
  // The hub's six-digit code (404103 = DeviceNotOnline); 0 where it sent none.
  [[nodiscard]] int hub_code() const noexcept { return details_ ? details_->hub_code : 0; }
  // What to quote to the operator of the hub; empty where the hub sent none.
  [[nodiscard]] std::string_view tracking_id() const noexcept {
    return details_ ? std::string_view{details_->tracking_id} : std::string_view{};
  }

  error& with_http(int status, int hub_code, std::string tracking_id) noexcept {
    if (!details_) details_.reset(new (std::nothrow) details{});
    if (!details_) return *this;
    details_->http_status = status;
    details_->hub_code = hub_code;
    details_->tracking_id = std::move(tracking_id);
    return *this;
  }

  friend bool operator==(error const& a, errc b) noexcept { return a.code_ == b; }

 private:
  struct details {
    std::string message;
    std::string tracking_id;
    int http_status;
    int hub_code;
  };
  template <class Make>
  static details* describe(Make make) noexcept {
#if IOTHUB_EXCEPTIONS
    try {
      return make();
    } catch (...) {  // no memory for words
      return nullptr;
    }
#else
    return make();
#endif
  }
  errc code_;
  owned<details> details_;
};

// Trying the same thing again later may succeed.
constexpr bool is_transient(errc code) noexcept {
  switch (code) {
    case errc::not_connected:
    case errc::connection_refused:
    case errc::connection_lost:
    case errc::host_not_found:
    case errc::tls_failed:
    case errc::timeout:
    case errc::out_of_memory:
    case errc::throttled:
    case errc::service_unavailable:
    case errc::server_error:
    case errc::device_timeout:
    case errc::bad_device_response:
      return true;
    default:
      return false;
  }
}
// The credentials or the identity are at fault: ask a person or a provisioning service, do not retry.
constexpr bool is_auth(errc code) noexcept {
  return code == errc::unauthorized || code == errc::certificate_rejected || code == errc::device_disabled;
}
// The peer broke its rules.
constexpr bool is_protocol(errc code) noexcept { return code == errc::protocol_error || code == errc::malformed; }
// The caller broke the rules of this library.
constexpr bool is_usage(errc code) noexcept { return code >= errc::invalid_argument && code <= errc::outbox_full; }

inline bool is_transient(error const& e) noexcept { return is_transient(e.code()); }
inline bool is_auth(error const& e) noexcept { return is_auth(e.code()); }
inline bool is_protocol(error const& e) noexcept { return is_protocol(e.code()); }
inline bool is_usage(error const& e) noexcept { return is_usage(e.code()); }

constexpr std::string_view to_string(errc code) noexcept {
  switch (code) {
    case errc::invalid_argument: return "invalid_argument";
    case errc::invalid_state: return "invalid_state";
    case errc::unsupported: return "unsupported";
    case errc::too_large: return "too_large";
    case errc::outbox_full: return "outbox_full";
    case errc::not_connected: return "not_connected";
    case errc::connection_refused: return "connection_refused";
    case errc::connection_lost: return "connection_lost";
    case errc::host_not_found: return "host_not_found";
    case errc::tls_failed: return "tls_failed";
    case errc::certificate_rejected: return "certificate_rejected";
    case errc::timeout: return "timeout";
    case errc::closed: return "closed";
    case errc::cancelled: return "cancelled";
    case errc::stalled: return "stalled";
    case errc::io_error: return "io_error";
    case errc::out_of_memory: return "out_of_memory";
    case errc::protocol_error: return "protocol_error";
    case errc::malformed: return "malformed";
    case errc::bad_request: return "bad_request";
    case errc::unauthorized: return "unauthorized";
    case errc::forbidden: return "forbidden";
    case errc::quota_exceeded: return "quota_exceeded";
    case errc::queue_full: return "queue_full";
    case errc::device_disabled: return "device_disabled";
    case errc::not_found: return "not_found";
    case errc::device_not_found: return "device_not_found";
    case errc::module_not_found: return "module_not_found";
    case errc::job_not_found: return "job_not_found";
    case errc::device_offline: return "device_offline";
    case errc::already_exists: return "already_exists";
    case errc::precondition_failed: return "precondition_failed";
    case errc::lock_lost: return "lock_lost";
    case errc::link_stolen: return "link_stolen";
    case errc::device_timeout: return "device_timeout";
    case errc::bad_device_response: return "bad_device_response";
    case errc::throttled: return "throttled";
    case errc::service_unavailable: return "service_unavailable";
    case errc::server_error: return "server_error";
  }
  return "unknown";
}

}  // namespace v0
}  // namespace iothub
