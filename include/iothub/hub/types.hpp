// The small values that go in and out of the hub core.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <iothub/base/error.hpp>
#include <iothub/hub/options.hpp>
#include <iothub/wire/etag.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// An error as the hub says it: the HTTP status is the first three digits of the six-digit code (Microsoft docs:
// "Troubleshoot IoT Hub error codes"). The tracking id is added by the face that answers.
inline error refuse(errc code, int hub_code, std::string message) {
  error e{code, std::move(message)};
  e.with_http(hub_code / 1000, hub_code, {});
  return e;
}

// --- conditions -----------------------------------------------------------------------------------------------------

// The condition that every existing thing meets, `*`.
inline constexpr if_match unconditional{if_match_kind::any, {}};

// --- access ---------------------------------------------------------------------------------------------------------

enum class permission : std::uint8_t { registry_read = 1, registry_write = 2, service_connect = 4, device_connect = 8 };

// Who the token's key belongs to.
enum class auth_scope : std::uint8_t { device, module, hub };

// What a good token gives. Faces drop the connection at expires_at + options::token_grace (the core does it for links).
struct grant {
  auth_scope scope = auth_scope::device;
  utc_time expires_at = utc_time::max();
  std::string_view policy = {};  // its name, for scope hub; lives as long as the hub
};

// --- telemetry ------------------------------------------------------------------------------------------------------

// What an event of the built-in endpoint tells of.
enum class event_kind : std::uint8_t { telemetry, twin_change, lifecycle, connection };
// Its annotation iothub-message-source (Microsoft docs "Azure IoT Hub non-telemetry event schemas"; the word for
// telemetry is unconfirmed for the real hub).
constexpr std::string_view source_text(event_kind kind) noexcept {
  switch (kind) {
    case event_kind::twin_change: return "twinChangeEvents";
    case event_kind::lifecycle: return "deviceLifecycleEvents";
    case event_kind::connection: return "deviceConnectionStateEvents";
    default: return "Telemetry";
  }
}

// One application property, borrowed.
struct property_view {
  std::string_view name = {};
  std::string_view value = {};
  bool has_value = true;
};

// A device-to-cloud message, borrowed: what a face already has in its receive buffer goes straight into the log. Values
// are decoded. Empty system properties count as absent.
struct d2c_message {
  std::string_view body = {};
  std::span<property_view const> properties = {};
  std::string_view message_id = {};
  std::string_view correlation_id = {};
  std::string_view user_id = {};
  std::string_view content_type = {};
  std::string_view content_encoding = {};
  std::string_view to = {};
  std::string_view output_name = {};
  std::string_view component_name = {};
  std::string_view interface_id = {};
  std::optional<utc_time> creation_time = {};
  std::optional<utc_time> expiry_time = {};
};

// How to acknowledge an accepted message: now, later (a throttled hub delays its PUBACKs), or not at all.
struct receipt {
  duration delay = {};
  bool withheld = false;
};

// --- connections ----------------------------------------------------------------------------------------------------

struct connect_options {
  bool clean_session = false;
  message const* will = nullptr;    // copied; published as telemetry when the connection is lost
  std::string_view model_id = {};   // Plug and Play model announced at CONNECT
};
struct connected {
  bool session_present = false;
};
enum class ending : std::uint8_t {
  graceful,  // DISCONNECT: the will is discarded
  lost,      // anything else: the will is published
};
enum class c2d_mode : std::uint8_t { off, at_most_once, at_least_once, fetched };
enum class settlement : std::uint8_t {
  complete,
  abandon,
  reject,
  release,  // back to the queue as if it had never left
};

// A device's own view of its twin; the references hold until the next call of any member of the hub.
struct device_twin_view {
  json::value const& desired;
  json::value const& reported;
  std::int64_t desired_version;
  std::int64_t reported_version;
};

// --- service side ---------------------------------------------------------------------------------------------------

// Both null: nothing changes. Members $metadata and $version of `desired` are ignored, as the service does.
struct twin_update {
  json::value const* tags = nullptr;
  json::value const* desired = nullptr;
};

enum class feedback_status : std::uint8_t { success, expired, delivery_count_exceeded, rejected, purged };
// "Success", "Expired", ... as the feedback record spells statusCode and description.
constexpr std::string_view to_string(feedback_status s) noexcept {
  switch (s) {
    case feedback_status::success: return "Success";
    case feedback_status::expired: return "Expired";
    case feedback_status::delivery_count_exceeded: return "DeliveryCountExceeded";
    case feedback_status::rejected: return "Rejected";
    case feedback_status::purged: return "Purged";
  }
  return "Success";
}
struct feedback_record {
  std::string original_message_id = {};
  std::string device_id = {};
  std::string device_generation_id = {};
  utc_time enqueued_time = no_time;  // when the fate of the message was decided
  feedback_status status = feedback_status::success;
  friend bool operator==(feedback_record const&, feedback_record const&) = default;
};

// A file that a device uploaded, told to back ends (Microsoft docs "Upload files with IoT Hub", file upload
// notifications).
struct file_notification {
  std::string device_id = {};
  std::string blob_uri = {};
  std::string blob_name = {};
  utc_time last_updated = no_time;
  std::uint64_t blob_size = 0;
  utc_time enqueued_time = no_time;  // the hub writes it
  friend bool operator==(file_notification const&, file_notification const&) = default;
};

// What to send to a device: expiry_time of the content counts, else options::c2d_default_ttl does.
struct c2d_send {
  message content = {};
  feedback_request ack = feedback_request::none;
};

// Names one method call; never 0, never used twice. Faces print it as the request id (letters and digits only).
using method_ticket = std::uint64_t;

// Whoever invokes methods. The outcome of a ticket comes exactly once, never from inside invoke_method().
class method_caller {
 public:
  // errc::device_offline (404103), errc::device_timeout (504101), errc::bad_device_response (502000),
  // errc::device_not_found (404001) when the identity was deleted meanwhile.
  virtual void on_method_outcome(method_ticket ticket, result<method_response> outcome) = 0;

 protected:
  ~method_caller() = default;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
