// The models from JSON, and the requests that hold one: what the clients need. model_json.hpp has the other direction
// (IoT Hub service REST reference, api-version 2021-04-12, and recorded answers of the service).
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

// What a back end sends to create or update: only what it may set.
[[nodiscard]] inline json::value identity_request(device_identity const& identity);
// Either of them. Without a type the authentication is self-signed when there is a thumbprint (azure-iot-sdk-node),
// else by keys.
[[nodiscard]] inline result<device_identity> identity_from_json(json::value const& document);

[[nodiscard]] inline result<registry_statistics> registry_statistics_from_json(json::value const& document);
[[nodiscard]] inline result<service_statistics> service_statistics_from_json(json::value const& document);

// --- twins

// The service's view, with metadata.
[[nodiscard]] inline result<twin> twin_from_json(json::value const& document);

// The device's view: desired and reported, each with $version, without metadata.
[[nodiscard]] inline result<device_twin> device_twin_from_json(json::value document);

// One section with "$metadata" and "$version". Without a version it is version 0.
[[nodiscard]] inline result<twin_section> section_from_json(json::value document);

// --- direct methods

[[nodiscard]] inline result<method_response> method_response_from_json(json::value document);

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
