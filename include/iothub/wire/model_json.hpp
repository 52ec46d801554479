// The models as JSON, field for field and in the order in which the service writes them (IoT Hub service REST
// reference, api-version 2021-04-12, and recorded answers of the service). model_reading.hpp reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/model_reading.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// --- identities

// The answer to a create writes "never" without a Z and has parentScopes; every later answer is the other way round.
enum class identity_form : std::uint8_t { created, stored };

// What the hub answers; a module's document where module_id is not empty.
[[nodiscard]] inline json::value to_json(device_identity const& identity, identity_form form = identity_form::stored);

[[nodiscard]] inline json::value to_json(registry_statistics const& s);
[[nodiscard]] inline json::value to_json(service_statistics const& s);

// --- twins

// The service's view, with metadata.
[[nodiscard]] inline json::value to_json(twin const& t);

// The device's view: desired and reported, each with $version, without metadata.
[[nodiscard]] inline json::value to_json(device_twin const& t);

// One section with "$metadata" and "$version".
[[nodiscard]] inline json::value section_to_json(twin_section const& section);

// --- direct methods

struct method_call {
  method_request request = {};
  method_options options = {};
};
[[nodiscard]] inline json::value to_json(method_call const& call);
// errc::malformed without a methodName; errc::invalid_argument for a time-out outside its range, in the service's
// words.
[[nodiscard]] inline result<method_call> method_call_from_json(json::value document);
// The same into a call that is there, whose memory is used again.
[[nodiscard]] inline result<void> read_method_call(json::value document, method_call& into);
[[nodiscard]] inline json::value to_json(method_response const& response);

// A time as identities and twins show it: seven digits of a second without the zeros at their end.
[[nodiscard]] inline std::string to_service_time(utc_time t, iso8601_zone zone = iso8601_zone::z);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline json::value to_json(authentication const& a) {
  bool const keys = a.type == authentication_type::sas;
  return {{"symmetricKey",
           {{"primaryKey", keys ? json::value{a.primary_key} : json::value{}},
            {"secondaryKey", keys ? json::value{a.secondary_key} : json::value{}}}},
          {"x509Thumbprint", thumbprints_to_json(a.primary_thumbprint, a.secondary_thumbprint)},
          {"type", to_string(a.type)}};
}

}  // namespace detail

inline std::string to_service_time(utc_time t, iso8601_zone zone) {
  std::string text = to_iso8601(t, 7, iso8601_zone::none);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  if (zone == iso8601_zone::z) text.push_back('Z');
  return text;
}

inline json::value to_json(device_identity const& identity, identity_form form) {
  bool const module = !identity.module_id.empty();
  auto const time = [form](utc_time t) {
    return to_service_time(t, form == identity_form::created && t == no_time ? iso8601_zone::none : iso8601_zone::z);
  };
  json::value out = json::value::make_object();
  if (module) {
    out.set("moduleId", identity.module_id);
    out.set("managedBy", detail::text_or_null(identity.managed_by));
  }
  out.set("deviceId", identity.device_id);
  out.set("generationId", identity.generation_id);
  out.set("etag", identity.etag);
  out.set("connectionState", to_string(identity.connection_state));
  if (!module) {
    out.set("status", to_string(identity.status));
    out.set("statusReason", detail::text_or_null(identity.status_reason));
  }
  out.set("connectionStateUpdatedTime", time(identity.connection_state_updated_time));
  if (!module) out.set("statusUpdatedTime", time(identity.status_updated_time));
  out.set("lastActivityTime", time(identity.last_activity_time));
  out.set("cloudToDeviceMessageCount", identity.cloud_to_device_message_count);
  out.set("authentication", detail::to_json(identity.authentication));
  if (module) return out;
  out.set("capabilities", {{"iotEdge", identity.iot_edge}});
  if (!identity.device_scope.empty()) out.set("deviceScope", identity.device_scope);
  if (form == identity_form::created || !identity.parent_scopes.empty())
    out.set("parentScopes", detail::scopes_to_json(identity.parent_scopes));
  return out;
}

inline json::value to_json(registry_statistics const& s) {
  return {{"totalDeviceCount", s.total_device_count},
          {"enabledDeviceCount", s.enabled_device_count},
          {"disabledDeviceCount", s.disabled_device_count}};
}
inline json::value to_json(service_statistics const& s) {
  return {{"connectedDeviceCount", s.connected_device_count}};
}

inline json::value section_to_json(twin_section const& section) {
  json::value out = section.properties;
  out.set("$metadata", section.metadata);
  out.set("$version", section.version);
  return out;
}

inline json::value to_json(twin const& t) {
  bool const module = !t.module_id.empty();
  json::value out = json::value::make_object();
  out.set("deviceId", t.device_id);
  if (module) out.set("moduleId", t.module_id);
  out.set("etag", t.etag);
  out.set("deviceEtag", t.device_etag);
  out.set("status", to_string(t.status));
  if (!t.status_reason.empty()) out.set("statusReason", t.status_reason);
  out.set("statusUpdateTime", to_service_time(t.status_update_time));
  out.set("connectionState", to_string(t.connection_state));
  out.set("lastActivityTime", to_service_time(t.last_activity_time));
  out.set("cloudToDeviceMessageCount", t.cloud_to_device_message_count);
  out.set("authenticationType", to_string(t.authentication_type));
  out.set("x509Thumbprint", detail::thumbprints_to_json(t.primary_thumbprint, t.secondary_thumbprint));
  if (!t.model_id.empty()) out.set("modelId", t.model_id);
  out.set("version", t.version);
  if (!t.tags.empty()) out.set("tags", t.tags);
  json::value properties = json::value::make_object();
  properties.set("desired", section_to_json(t.desired));
  properties.set("reported", section_to_json(t.reported));
  out.set("properties", std::move(properties));
  if (!module) out.set("capabilities", {{"iotEdge", t.iot_edge}});
  return out;
}

inline json::value to_json(device_twin const& t) {
  json::value out = json::value::make_object();
  out.set("desired", t.desired.properties).set("$version", t.desired.version);
  out.set("reported", t.reported.properties).set("$version", t.reported.version);
  return out;
}

inline json::value to_json(method_call const& call) {
  return {{"methodName", call.request.name},
          {"payload", call.request.payload},
          {"responseTimeoutInSeconds", call.options.response_timeout.count()},
          {"connectTimeoutInSeconds", call.options.connect_timeout.count()}};
}

inline result<method_call> method_call_from_json(json::value document) {
  method_call call;
  if (auto read = read_method_call(std::move(document), call); !read) return std::move(read).error();
  return call;
}

inline result<void> read_method_call(json::value document, method_call& call) {
  call.request.name.clear();
  call.request.payload = nullptr;
  call.options = {};
  detail::json_reader reader{document};
  reader.text("methodName", call.request.name);
  std::int64_t response = call.options.response_timeout.count(), connect = call.options.connect_timeout.count();
  reader.integer("responseTimeoutInSeconds", response);
  reader.integer("connectTimeoutInSeconds", connect);
  if (reader.failed()) return reader.error();
  if (call.request.name.empty()) return error{errc::malformed, "methodName is missing"};
  // The words are those of the service (azure-iot-sdk-csharp issue 724).
  if (response < 5 || response > 300)
    return error{errc::invalid_argument, "responseTimeoutInSeconds must be within [5; 300]."};
  if (connect < 0 || connect > 300)
    return error{errc::invalid_argument, "connectTimeoutInSeconds must be within [0; 300]."};
  call.options = {std::chrono::seconds{response}, std::chrono::seconds{connect}};
  if (json::value* const payload = document.find("payload")) call.request.payload = std::move(*payload);
  return {};
}

inline json::value to_json(method_response const& response) {
  return {{"status", response.status}, {"payload", response.payload}};
}

}  // namespace v0
}  // namespace iothub
