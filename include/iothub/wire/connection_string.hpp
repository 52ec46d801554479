// Connection strings: Name=Value pairs joined by semicolons, as the Azure portal shows them.
//
// The five official SDKs disagree about nearly every irregular form (azure-iot-sdk-python connection_string.py,
// azure-iot-sdk-node connection_string.ts, azure-iot-sdk-csharp IotHubConnectionStringBuilder.cs, azure-iot-sdk-java
// IotHubConnectionString.java, azure-iot-sdk-c iothub_client_core_ll.c). The rules here are those under which a string
// that is accepted means the same to all of them:
// - a pair is cut at its first =, so that the padding of a key survives; one semicolon at the end is fine;
// - names are written exactly so, in any order, each at most once; nothing is trimmed; no value is empty;
// - values are literal: % in an id stands for itself; an id with ; cannot be written;
// - a key is base64; a host name has no port; one way to authenticate, not two.
// Errors name the field or the place of the element, and never repeat what stands there: it may be a key.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/wire/identity_rules.hpp>

namespace iothub {
inline namespace v0 {

// What a device, a module or a back end needs to reach its hub. Exactly one of the three ways to authenticate is set:
// a key, a ready-made token, or (devices only) a certificate that comes from elsewhere.
struct connection_string {
  std::string host_name = {};               // the hub; also in the user name and in tokens
  std::string device_id = {};               // empty for a back end
  std::string module_id = {};               // empty for a device
  std::string shared_access_key_name = {};  // the policy; empty when the key is the device's own
  secret shared_access_key = {};            // base64
  secret shared_access_signature = {};
  std::string gateway_host_name = {};
  bool x509 = false;

  // Where to connect, whose certificate to check: the gateway where there is one, else the hub.
  [[nodiscard]] std::string const& connect_host() const noexcept {
    return gateway_host_name.empty() ? host_name : gateway_host_name;
  }
  // The string again, in the canonical order. It holds the key.
  [[nodiscard]] secret print() const;
  [[nodiscard]] connection_string clone() const;
};

enum class unknown_names : std::uint8_t { refuse, ignore };

// errc::malformed, with a sentence for a person, when the string breaks a rule above or has no DeviceId.
[[nodiscard]] inline result<connection_string> parse_device_connection_string(
    std::string_view text, unknown_names unknown = unknown_names::refuse);
// The same for back ends: HostName, SharedAccessKeyName and SharedAccessKey (or SharedAccessSignature).
[[nodiscard]] inline result<connection_string> parse_service_connection_string(
    std::string_view text, unknown_names unknown = unknown_names::refuse);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

enum connection_field : std::uint8_t {
  field_host,
  field_device,
  field_module,
  field_policy,
  field_key,
  field_signature,
  field_x509,
  field_gateway,
  field_count
};
inline constexpr std::string_view connection_field_names[field_count] = {
    "HostName", "DeviceId",       "ModuleId", "SharedAccessKeyName", "SharedAccessKey", "SharedAccessSignature",
    "x509",     "GatewayHostName"};

struct connection_fields {
  std::string_view values[field_count] = {};
  [[nodiscard]] bool has(connection_field f) const noexcept { return !values[f].empty(); }
};

inline error bad_connection_string(std::string_view why) {
  return error{errc::malformed, std::string{"connection string: "}.append(why)};
}
inline error bad_connection_element(std::size_t number, std::string_view why) {
  return bad_connection_string(std::string{"element "}.append(std::to_string(number)).append(why));
}

// Puts one pair in its place, or says what is wrong with it.
inline result<void> take_connection_pair(split_pair pair, std::size_t number, unknown_names unknown,
                                         connection_fields& fields) {
  std::string_view const name = pair.before;
  for (std::size_t f = 0; f != field_count; ++f) {
    std::string_view const known = connection_field_names[f];
    if (name == known) {
      if (fields.has(static_cast<connection_field>(f)))
        return bad_connection_string(std::string{known}.append(" is there twice"));
      if (pair.after.empty()) return bad_connection_string(std::string{known}.append(" is empty"));
      if (trim(pair.after).size() != pair.after.size())
        return bad_connection_string(std::string{known}.append(" has a blank before or after its value"));
      fields.values[f] = pair.after;
      return {};
    }
    if (iequals(trim(name), known))
      return bad_connection_element(number,
                                    std::string{": write "}.append(known).append(" exactly so, without blanks"));
  }
  if (unknown == unknown_names::ignore) return {};
  return bad_connection_element(number, " has an unknown name");
}

inline result<connection_fields> split_connection_string(std::string_view text, unknown_names unknown) {
  if (text.empty()) return bad_connection_string("it is empty");
  if (text.back() == ';') text.remove_suffix(1);
  connection_fields fields;
  splitter elements{text, ';'};
  std::string_view element;
  for (std::size_t number = 1; elements.next(element); ++number) {
    split_pair const pair = split_once(element, '=');
    if (!pair.found) return bad_connection_element(number, " has no =");
    if (auto taken = take_connection_pair(pair, number, unknown, fields); !taken) return std::move(taken).error();
  }
  if (!fields.has(field_host)) return bad_connection_string("HostName is missing");
  if (!is_valid_host_name(fields.values[field_host])) return bad_connection_string("HostName is no host name");
  if (fields.has(field_gateway) && !is_valid_host_name(fields.values[field_gateway]))
    return bad_connection_string("GatewayHostName is no host name");
  return fields;
}

inline result<void> check_connection_credentials(connection_fields const& fields) {
  bool const key = fields.has(field_key), token = fields.has(field_signature), x509 = fields.has(field_x509);
  if (x509 && !iequals(fields.values[field_x509], "true")) return bad_connection_string("x509 can only be true");
  if (key && x509) return bad_connection_string("SharedAccessKey and x509 exclude each other");
  if (key && token) return bad_connection_string("SharedAccessKey and SharedAccessSignature exclude each other");
  if (token && x509) return bad_connection_string("SharedAccessSignature and x509 exclude each other");
  if (!key && !token && !x509) return bad_connection_string("there is no SharedAccessKey");
  if (key) {
    auto bytes = from_base64(fields.values[field_key]);
    if (!bytes || bytes->empty()) return bad_connection_string("SharedAccessKey is not base64");
    wipe(*bytes);
  }
  if (token && !fields.values[field_signature].starts_with("SharedAccessSignature "))
    return bad_connection_string("SharedAccessSignature does not begin with SharedAccessSignature and a blank");
  std::string_view const policy = fields.values[field_policy];
  for (char c : policy)
    if (!is_alnum(c) && c != '_' && c != '-' && c != '@' && c != '.')
      return bad_connection_string("SharedAccessKeyName holds a character that is not allowed");
  return {};
}

inline connection_string make_connection_string(connection_fields const& fields) {
  connection_string made;
  made.host_name = fields.values[field_host];
  made.device_id = fields.values[field_device];
  made.module_id = fields.values[field_module];
  made.shared_access_key_name = fields.values[field_policy];
  made.shared_access_key = secret{fields.values[field_key]};
  made.shared_access_signature = secret{fields.values[field_signature]};
  made.gateway_host_name = fields.values[field_gateway];
  made.x509 = fields.has(field_x509);
  return made;
}

}  // namespace detail

inline result<connection_string> parse_device_connection_string(std::string_view text, unknown_names unknown) {
  using namespace detail;
  auto fields = split_connection_string(text, unknown);
  if (!fields) return std::move(fields).error();
  if (!fields->has(field_device)) return bad_connection_string("DeviceId is missing");
  if (!is_valid_id(fields->values[field_device])) return bad_connection_string("DeviceId is no device id");
  if (fields->has(field_module) && !is_valid_id(fields->values[field_module]))
    return bad_connection_string("ModuleId is no module id");
  if (auto valid = check_connection_credentials(*fields); !valid) return std::move(valid).error();
  return make_connection_string(*fields);
}

inline result<connection_string> parse_service_connection_string(std::string_view text, unknown_names unknown) {
  using namespace detail;
  auto fields = split_connection_string(text, unknown);
  if (!fields) return std::move(fields).error();
  if (fields->has(field_device) || fields->has(field_module) || fields->has(field_x509))
    return bad_connection_string("this is a device's string, a back end needs one with SharedAccessKeyName");
  if (auto valid = check_connection_credentials(*fields); !valid) return std::move(valid).error();
  if (fields->has(field_key) && !fields->has(field_policy))
    return bad_connection_string("SharedAccessKeyName is missing");
  return make_connection_string(*fields);
}

inline secret connection_string::print() const {
  std::string text;
  // Once and for all, so that no half-built copy of the key stays behind in freed memory.
  text.reserve(160 + host_name.size() + device_id.size() + module_id.size() + shared_access_key_name.size() +
               shared_access_key.size() + shared_access_signature.size() + gateway_host_name.size());
  auto const add = [&text](detail::connection_field f, std::string_view value) {
    if (value.empty()) return;
    if (!text.empty()) text.push_back(';');
    text.append(detail::connection_field_names[f]).append("=").append(value);
  };
  add(detail::field_host, host_name);
  add(detail::field_device, device_id);
  add(detail::field_module, module_id);
  add(detail::field_policy, shared_access_key_name);
  add(detail::field_key, shared_access_key.reveal());
  add(detail::field_signature, shared_access_signature.reveal());
  add(detail::field_x509, x509 ? "true" : "");
  add(detail::field_gateway, gateway_host_name);
  return secret{std::move(text)};
}

inline connection_string connection_string::clone() const {
  connection_string copy;
  copy.host_name = host_name;
  copy.device_id = device_id;
  copy.module_id = module_id;
  copy.shared_access_key_name = shared_access_key_name;
  copy.shared_access_key = shared_access_key.clone();
  copy.shared_access_signature = shared_access_signature.clone();
  copy.gateway_host_name = gateway_host_name;
  copy.x509 = x509;
  return copy;
}

}  // namespace v0
}  // namespace iothub
