// The models as JSON, field for field and in the order in which the service writes them (IoT Hub service REST
// reference, api-version 2021-04-12, and recorded answers of the service).
//
// Reading takes what official clients send and other versions answer: members in any order, unknown ones ignored, a
// missing or null one leaves the default. errc::malformed, with the name of the member, for a member of a wrong kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// --- names of enumerators, as the service spells them

constexpr std::string_view to_string(identity_status s) noexcept {
  return s == identity_status::enabled ? "enabled" : "disabled";
}
constexpr std::string_view to_string(connection_state s) noexcept {
  return s == connection_state::connected ? "Connected" : "Disconnected";
}
constexpr std::string_view to_string(authentication_type t) noexcept {
  switch (t) {
    case authentication_type::sas: return "sas";
    case authentication_type::self_signed: return "selfSigned";
    case authentication_type::certificate_authority: return "certificateAuthority";
    case authentication_type::none: return "none";
  }
  return "sas";
}

// --- identities

// The answer to a create writes "never" without a Z and has parentScopes; every later answer is the other way round.
enum class identity_form : std::uint8_t { created, stored };

// What the hub answers; a module's document where module_id is not empty.
[[nodiscard]] inline json::value to_json(device_identity const& identity, identity_form form = identity_form::stored);
// What a back end sends to create or update: only what it may set.
[[nodiscard]] inline json::value identity_request(device_identity const& identity);
// Either of them. Without a type the authentication is self-signed when there is a thumbprint (azure-iot-sdk-node),
// else by keys.
[[nodiscard]] inline result<device_identity> identity_from_json(json::value const& document);

[[nodiscard]] inline json::value to_json(registry_statistics const& s);
[[nodiscard]] inline json::value to_json(service_statistics const& s);
[[nodiscard]] inline result<registry_statistics> registry_statistics_from_json(json::value const& document);
[[nodiscard]] inline result<service_statistics> service_statistics_from_json(json::value const& document);

// --- twins

// The service's view, with metadata.
[[nodiscard]] inline json::value to_json(twin const& t);
[[nodiscard]] inline result<twin> twin_from_json(json::value const& document);

// The device's view: desired and reported, each with $version, without metadata.
[[nodiscard]] inline json::value to_json(device_twin const& t);
[[nodiscard]] inline result<device_twin> device_twin_from_json(json::value document);

// One section with "$metadata" and "$version", and back. Without a version it is version 0.
[[nodiscard]] inline json::value section_to_json(twin_section const& section);
[[nodiscard]] inline result<twin_section> section_from_json(json::value document);

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
[[nodiscard]] inline result<method_response> method_response_from_json(json::value document);

// A time as identities and twins show it: seven digits of a second without the zeros at their end.
[[nodiscard]] inline std::string to_service_time(utc_time t, iso8601_zone zone = iso8601_zone::z);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Reads members of an object, remembering the first that is of a wrong kind.
class json_reader {
 public:
  explicit json_reader(json::value const& document) noexcept : document_{document} {
    if (!document.is_object()) fail("the document");
  }

  void text(std::string_view name, std::string& into) {
    json::value const& v = document_[name];
    if (v.is_null()) return;
    auto const t = v.as_string();
    if (!t) return fail(name);
    into = *t;
  }
  template <class Int>
  void integer(std::string_view name, Int& into) {
    json::value const& v = document_[name];
    if (v.is_null()) return;
    auto const i = v.as_int();
    if (!i || !std::in_range<Int>(*i)) return fail(name);
    into = static_cast<Int>(*i);
  }
  void boolean(std::string_view name, bool& into) {
    json::value const& v = document_[name];
    if (v.is_null()) return;
    auto const b = v.as_bool();
    if (!b) return fail(name);
    into = *b;
  }
  void time(std::string_view name, utc_time& into) {
    json::value const& v = document_[name];
    if (v.is_null()) return;
    auto const text = v.as_string();
    if (!text) return fail(name);
    auto const t = parse_iso8601(*text);
    if (!t) return fail(name);
    into = *t;
  }
  void object(std::string_view name, json::value& into) {
    json::value const& v = document_[name];
    if (v.is_null()) return;
    if (!v.is_object()) return fail(name);
    into = v;
  }
  // An enumerator by its name, in any case.
  template <class Enum>
  void name(std::string_view name, Enum& into, std::initializer_list<Enum> all) {
    json::value const& v = document_[name];
    if (v.is_null()) return;
    auto const text = v.as_string();
    for (Enum one : all)
      if (text && iequals(*text, to_string(one))) {
        into = one;
        return;
      }
    fail(name);
  }
  [[nodiscard]] bool failed() const noexcept { return !failed_.empty(); }
  [[nodiscard]] iothub::error error() const {
    return {errc::malformed, std::string{"JSON: "}.append(failed_).append(" is not what it should be")};
  }

 private:
  void fail(std::string_view name) {
    if (failed_.empty()) failed_ = name;
  }
  json::value const& document_;
  std::string_view failed_ = {};
};

inline json::value text_or_null(std::string_view text) {
  return text.empty() ? json::value{} : json::value{text};
}

inline json::value thumbprints_to_json(std::string_view primary, std::string_view secondary) {
  return {{"primaryThumbprint", text_or_null(primary)}, {"secondaryThumbprint", text_or_null(secondary)}};
}

inline json::value to_json(authentication const& a) {
  bool const keys = a.type == authentication_type::sas;
  return {{"symmetricKey",
           {{"primaryKey", keys ? json::value{a.primary_key} : json::value{}},
            {"secondaryKey", keys ? json::value{a.secondary_key} : json::value{}}}},
          {"x509Thumbprint", thumbprints_to_json(a.primary_thumbprint, a.secondary_thumbprint)},
          {"type", to_string(a.type)}};
}

inline constexpr std::initializer_list<authentication_type> authentication_types = {
    authentication_type::sas, authentication_type::self_signed, authentication_type::certificate_authority,
    authentication_type::none};

inline result<authentication> authentication_from_json(json::value const& document) {
  authentication a;
  if (document.is_null()) return a;
  json_reader reader{document};
  json::value keys = json::value::make_object(), thumbprints = json::value::make_object();
  reader.object("symmetricKey", keys);
  reader.object("x509Thumbprint", thumbprints);
  json_reader key_reader{keys}, thumbprint_reader{thumbprints};
  key_reader.text("primaryKey", a.primary_key);
  key_reader.text("secondaryKey", a.secondary_key);
  thumbprint_reader.text("primaryThumbprint", a.primary_thumbprint);
  thumbprint_reader.text("secondaryThumbprint", a.secondary_thumbprint);
  if (!a.primary_thumbprint.empty() || !a.secondary_thumbprint.empty()) a.type = authentication_type::self_signed;
  reader.name("type", a.type, authentication_types);
  for (json_reader const* r : {&reader, &key_reader, &thumbprint_reader})
    if (r->failed()) return r->error();
  return a;
}

inline json::value scopes_to_json(std::vector<std::string> const& scopes) {
  json::value list = json::value::make_array();
  for (auto const& scope : scopes) list.push_back(scope);
  return list;
}

inline result<std::vector<std::string>> scopes_from_json(json::value const& list) {
  std::vector<std::string> scopes;
  for (auto const& scope : list.elements()) {
    auto const text = scope.as_string();
    if (!text) return error{errc::malformed, "JSON: parentScopes is not what it should be"};
    scopes.emplace_back(*text);
  }
  return scopes;
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

inline json::value identity_request(device_identity const& identity) {
  authentication const& a = identity.authentication;
  json::value authentication = json::value::make_object();
  if (a.type == authentication_type::sas)
    authentication.set("symmetricKey", {{"primaryKey", a.primary_key}, {"secondaryKey", a.secondary_key}});
  if (a.type == authentication_type::self_signed)
    authentication.set("x509Thumbprint", detail::thumbprints_to_json(a.primary_thumbprint, a.secondary_thumbprint));
  authentication.set("type", to_string(a.type));
  json::value out = json::value::make_object();
  out.set("deviceId", identity.device_id);
  if (!identity.module_id.empty()) {
    out.set("moduleId", identity.module_id);
    if (!identity.managed_by.empty()) out.set("managedBy", identity.managed_by);
    out.set("authentication", std::move(authentication));
    return out;
  }
  out.set("status", to_string(identity.status));
  if (!identity.status_reason.empty()) out.set("statusReason", identity.status_reason);
  out.set("authentication", std::move(authentication));
  out.set("capabilities", {{"iotEdge", identity.iot_edge}});
  if (!identity.device_scope.empty()) out.set("deviceScope", identity.device_scope);
  if (!identity.parent_scopes.empty()) out.set("parentScopes", detail::scopes_to_json(identity.parent_scopes));
  return out;
}

inline result<device_identity> identity_from_json(json::value const& document) {
  device_identity d;
  detail::json_reader reader{document};
  json::value capabilities = json::value::make_object();
  reader.text("deviceId", d.device_id);
  reader.text("moduleId", d.module_id);
  reader.text("generationId", d.generation_id);
  reader.text("etag", d.etag);
  reader.name("connectionState", d.connection_state, {connection_state::disconnected, connection_state::connected});
  reader.time("connectionStateUpdatedTime", d.connection_state_updated_time);
  reader.name("status", d.status, {identity_status::enabled, identity_status::disabled});
  reader.text("statusReason", d.status_reason);
  reader.time("statusUpdatedTime", d.status_updated_time);
  reader.time("lastActivityTime", d.last_activity_time);
  reader.integer("cloudToDeviceMessageCount", d.cloud_to_device_message_count);
  reader.object("capabilities", capabilities);
  reader.text("managedBy", d.managed_by);
  reader.text("deviceScope", d.device_scope);
  detail::json_reader capability_reader{capabilities};
  capability_reader.boolean("iotEdge", d.iot_edge);
  if (reader.failed()) return reader.error();
  if (capability_reader.failed()) return capability_reader.error();
  auto authentication = detail::authentication_from_json(document["authentication"]);
  if (!authentication) return std::move(authentication).error();
  auto scopes = detail::scopes_from_json(document["parentScopes"]);
  if (!scopes) return std::move(scopes).error();
  d.authentication = *std::move(authentication);
  d.parent_scopes = *std::move(scopes);
  return d;
}

inline json::value to_json(registry_statistics const& s) {
  return {{"totalDeviceCount", s.total_device_count},
          {"enabledDeviceCount", s.enabled_device_count},
          {"disabledDeviceCount", s.disabled_device_count}};
}
inline json::value to_json(service_statistics const& s) {
  return {{"connectedDeviceCount", s.connected_device_count}};
}

inline result<registry_statistics> registry_statistics_from_json(json::value const& document) {
  registry_statistics s;
  detail::json_reader reader{document};
  reader.integer("totalDeviceCount", s.total_device_count);
  reader.integer("enabledDeviceCount", s.enabled_device_count);
  reader.integer("disabledDeviceCount", s.disabled_device_count);
  if (reader.failed()) return reader.error();
  return s;
}
inline result<service_statistics> service_statistics_from_json(json::value const& document) {
  service_statistics s;
  detail::json_reader reader{document};
  reader.integer("connectedDeviceCount", s.connected_device_count);
  if (reader.failed()) return reader.error();
  return s;
}

inline json::value section_to_json(twin_section const& section) {
  json::value out = section.properties;
  out.set("$metadata", section.metadata);
  out.set("$version", section.version);
  return out;
}

inline result<twin_section> section_from_json(json::value document) {
  twin_section section;
  section.version = 0;
  if (document.is_null()) return section;
  detail::json_reader reader{document};
  reader.object("$metadata", section.metadata);
  reader.integer("$version", section.version);
  if (reader.failed()) return reader.error();
  document.erase("$metadata");
  document.erase("$version");
  section.properties = std::move(document);
  return section;
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

inline result<twin> twin_from_json(json::value const& document) {
  twin t;
  detail::json_reader reader{document};
  json::value thumbprints = json::value::make_object(), capabilities = thumbprints, properties = thumbprints;
  reader.text("deviceId", t.device_id);
  reader.text("moduleId", t.module_id);
  reader.text("etag", t.etag);
  reader.text("deviceEtag", t.device_etag);
  reader.name("status", t.status, {identity_status::enabled, identity_status::disabled});
  reader.text("statusReason", t.status_reason);
  reader.time("statusUpdateTime", t.status_update_time);
  reader.name("connectionState", t.connection_state, {connection_state::disconnected, connection_state::connected});
  reader.time("lastActivityTime", t.last_activity_time);
  reader.integer("cloudToDeviceMessageCount", t.cloud_to_device_message_count);
  reader.name("authenticationType", t.authentication_type, detail::authentication_types);
  reader.object("x509Thumbprint", thumbprints);
  reader.text("modelId", t.model_id);
  reader.integer("version", t.version);
  reader.object("tags", t.tags);
  reader.object("properties", properties);
  reader.object("capabilities", capabilities);
  detail::json_reader thumbprint_reader{thumbprints}, capability_reader{capabilities};
  thumbprint_reader.text("primaryThumbprint", t.primary_thumbprint);
  thumbprint_reader.text("secondaryThumbprint", t.secondary_thumbprint);
  capability_reader.boolean("iotEdge", t.iot_edge);
  for (detail::json_reader const* r : {&reader, &thumbprint_reader, &capability_reader})
    if (r->failed()) return r->error();
  auto both = device_twin_from_json(std::move(properties));
  if (!both) return std::move(both).error();
  t.desired = std::move(both->desired);
  t.reported = std::move(both->reported);
  return t;
}

inline json::value to_json(device_twin const& t) {
  json::value out = json::value::make_object();
  out.set("desired", t.desired.properties).set("$version", t.desired.version);
  out.set("reported", t.reported.properties).set("$version", t.reported.version);
  return out;
}

inline result<device_twin> device_twin_from_json(json::value document) {
  if (!document.is_object()) return error{errc::malformed, "JSON: the twin is no object"};
  device_twin t;
  for (bool const desired : {true, false}) {
    auto section = section_from_json(std::move(document[desired ? "desired" : "reported"]));
    if (!section) return std::move(section).error();
    (desired ? t.desired : t.reported) = *std::move(section);
  }
  return t;
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

inline result<method_response> method_response_from_json(json::value document) {
  method_response response;
  detail::json_reader reader{document};
  reader.integer("status", response.status);
  if (reader.failed()) return reader.error();
  if (json::value* const payload = document.find("payload")) response.payload = std::move(*payload);
  return response;
}

}  // namespace v0
}  // namespace iothub
