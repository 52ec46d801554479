// The nouns of Azure IoT Hub as plain values, the same for the clients and the hub. Names follow the service's own
// documents (learn.microsoft.com, IoT Hub REST reference and developer guide). JSON forms are in model_json.hpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/time.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {

// "Never": the service writes 0001-01-01T00:00:00Z where something did not happen yet.
inline constexpr utc_time no_time = from_unix_seconds(-62'135'596'800);

// Whom a connection, a twin or a method belongs to. An empty module id means the device itself.
struct device_key {
  std::string device_id = {};
  std::string module_id = {};
  friend bool operator==(device_key const&, device_key const&) = default;
  friend auto operator<=>(device_key const&, device_key const&) = default;
};

// --- messages -------------------------------------------------------------------------------------------------------

// One application property. The wire tells a name without a value (has_value false) from one with an empty value.
struct property {
  std::string name = {};
  std::string value = {};
  bool has_value = true;
  friend bool operator==(property const&, property const&) = default;
};
using property_list = std::vector<property>;

// A message body: JSON (printed at once), text or any bytes. Text is sent as it is; it is not made a JSON string.
class message_body {
 public:
  message_body() = default;
  message_body(std::initializer_list<json::member> object) : bytes_{json::value{object}.dump()} {}
  message_body(json::value const& document) : bytes_{document.dump()} {}  // NOLINT
  message_body(std::string bytes) noexcept : bytes_{std::move(bytes)} {}  // NOLINT
  message_body(std::string_view bytes) : bytes_{bytes} {}                 // NOLINT
  message_body(char const* text) : bytes_{text} {}                        // NOLINT

  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  // The body parsed as JSON; errc::malformed when it is none.
  [[nodiscard]] result<json::value> json() const { return json::parse(bytes_); }
  friend bool operator==(message_body const&, message_body const&) = default;

 private:
  std::string bytes_;
};

// A message in either direction. System properties that are empty are not sent.
struct message {
  message_body body = {};
  property_list properties = {};
  std::string message_id = {};  // at most 128 of letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '
  std::string correlation_id = {};
  std::string user_id = {};
  std::string content_type = {};      // for example application/json
  std::string content_encoding = {};  // for example utf-8
  std::string to = {};
  std::string output_name = {};           // modules: which output (telemetry)
  std::string component_name = {};        // Plug and Play component, `$.sub`
  std::string interface_id = {};          // urn:azureiot:Security:SecurityAgent:1 for security messages
  std::string connection_device_id = {};  // module inputs: which device and module it comes from
  std::string connection_module_id = {};
  std::optional<utc_time> creation_time = {};
  std::optional<utc_time> expiry_time = {};
  // The value of an application property; nullptr when there is none of that name.
  [[nodiscard]] std::string const* find(std::string_view name) const noexcept {
    for (auto const& p : properties)
      if (p.name == name) return &p.value;
    return nullptr;
  }
  friend bool operator==(message const&, message const&) = default;
};

enum class feedback_request : std::uint8_t { none, positive, negative, full };

// A cloud-to-device message as the hub keeps it and the device gets it.
struct c2d_message {
  message content = {};
  feedback_request ack = feedback_request::none;
  std::string lock_token = {};
  std::uint64_t sequence_number = 0;
  utc_time enqueued_time = no_time;
  std::uint32_t delivery_count = 0;
};

// A telemetry message as the built-in endpoint shows it.
struct telemetry_event {
  device_key source = {};
  message content = {};
  utc_time enqueued_time = no_time;
  std::uint64_t sequence_number = 0;  // per partition, from 0
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
  std::string generation_id = {};  // of the sending identity
  std::string auth_method = {};    // JSON text
  std::string model_id = {};
  std::string message_source = "Telemetry";
};

// --- direct methods -------------------------------------------------------------------------------------------------

struct method_request {
  std::string name = {};
  json::value payload = {};
};
struct method_response {
  int status = 200;
  json::value payload = {};
  friend bool operator==(method_response const&, method_response const&) = default;
};
struct method_options {
  std::chrono::seconds response_timeout{30};  // 5 to 300 s
  std::chrono::seconds connect_timeout{0};    // 0 to 300 s; 0: the device must be online already
};

// --- identities -----------------------------------------------------------------------------------------------------

enum class authentication_type : std::uint8_t { sas, self_signed, certificate_authority, none };
enum class identity_status : std::uint8_t { enabled, disabled };
enum class connection_state : std::uint8_t { disconnected, connected };

struct authentication {
  authentication_type type = authentication_type::sas;
  std::string primary_key = {};  // base64; empty on create: the hub makes both keys
  std::string secondary_key = {};
  std::string primary_thumbprint = {};
  std::string secondary_thumbprint = {};
  friend bool operator==(authentication const&, authentication const&) = default;
};

// A device identity, or a module's where module_id is not empty (modules have no status and no capabilities).
struct device_identity {
  std::string device_id = {};
  std::string module_id = {};
  std::string generation_id = {};
  std::string etag = {};
  iothub::connection_state connection_state = iothub::connection_state::disconnected;
  utc_time connection_state_updated_time = no_time;
  identity_status status = identity_status::enabled;
  std::string status_reason = {};
  utc_time status_updated_time = no_time;
  utc_time last_activity_time = no_time;
  std::uint32_t cloud_to_device_message_count = 0;
  iothub::authentication authentication = {};
  bool iot_edge = false;        // the one capability
  std::string managed_by = {};  // modules
  std::string device_scope = {};
  std::vector<std::string> parent_scopes = {};
  friend bool operator==(device_identity const&, device_identity const&) = default;
};

// --- twins ----------------------------------------------------------------------------------------------------------

// Desired or reported properties: the document without $metadata and $version, and these two beside it.
struct twin_section {
  json::value properties = json::value::make_object();
  json::value metadata = json::value::make_object();
  std::int64_t version = 1;
  // twin.reported["rebootTime"]: the property, or a null value where there is none.
  [[nodiscard]] json::value const& operator[](std::string_view name) const { return properties[name]; }
  [[nodiscard]] std::string dump() const { return properties.dump(); }
  friend bool operator==(twin_section const&, twin_section const&) = default;
};

// What a device sees of its twin: no tags, no metadata.
struct device_twin {
  twin_section desired = {};
  twin_section reported = {};
};

// What the service sees.
struct twin {
  std::string device_id = {};
  std::string module_id = {};
  std::string etag = {};
  std::string device_etag = {};
  std::string model_id = {};
  std::int64_t version = 0;
  identity_status status = identity_status::enabled;
  std::string status_reason = {};
  utc_time status_update_time = no_time;
  iothub::connection_state connection_state = iothub::connection_state::disconnected;
  utc_time last_activity_time = no_time;
  std::uint32_t cloud_to_device_message_count = 0;
  iothub::authentication_type authentication_type = iothub::authentication_type::sas;
  std::string primary_thumbprint = {};
  std::string secondary_thumbprint = {};
  bool iot_edge = false;
  json::value tags = json::value::make_object();
  twin_section desired = {};
  twin_section reported = {};
};

// --- statistics -----------------------------------------------------------------------------------------------------

// The three counts are taken at different moments by the real hub: they need not add up.
struct registry_statistics {
  std::int64_t total_device_count = 0;
  std::int64_t enabled_device_count = 0;
  std::int64_t disabled_device_count = 0;
  friend bool operator==(registry_statistics const&, registry_statistics const&) = default;
};
struct service_statistics {
  std::int64_t connected_device_count = 0;
  friend bool operator==(service_statistics const&, service_statistics const&) = default;
};

// --- queries --------------------------------------------------------------------------------------------------------

struct query_page {
  std::string item_type = {};  // Twin, Raw, DeviceJob
  std::vector<json::value> items = {};
  std::string continuation = {};  // empty: this was the last page
};

}  // namespace v0
}  // namespace iothub
