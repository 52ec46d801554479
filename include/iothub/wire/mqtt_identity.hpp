// Who connects over MQTT: client id and user name of the CONNECT packet (Microsoft docs:
// iot-mqtt-connect-to-iot-hub).
//
//   client id  {device id}  or  {device id}/{module id}
//   user name  {host}/{device id}[/{module id}]/?api-version={v}&DeviceClientType={product}&model-id={model}
//
// Ids stand literally; the values of the query are percent-encoded.
#pragma once

#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>
#include <iothub/wire/api_version.hpp>
#include <iothub/wire/identity_rules.hpp>

namespace iothub {
inline namespace v0 {

struct mqtt_identity {
  std::string host_name = {};  // the hub, also when a gateway stands before it
  std::string device_id = {};
  std::string module_id = {};
  std::string api_version = std::string{device_api_version};
  std::string client_type = {};  // product and version, for the hub's operator; empty: left out
  std::string model_id = {};     // Plug and Play, dtmi:…; empty: left out
  friend bool operator==(mqtt_identity const&, mqtt_identity const&) = default;
};

[[nodiscard]] inline std::string mqtt_client_id(std::string_view device_id, std::string_view module_id = {});

// The order of the query is that of azure-iot-sdk-c, -csharp, -java and -python: client type, then model.
[[nodiscard]] inline std::string mqtt_user_name(mqtt_identity const& identity);

// Reads what any SDK sends: both /?api-version= and /api-version=, the parameters in any order, the first of a name
// that is there twice, unknown ones ignored, values encoded or not. api_version is empty where the client sends none:
// the real hub lets it in all the same and behaves unexpectedly.
// errc::malformed: not three or four segments, an empty or forbidden id, an api-version that is there and empty.
[[nodiscard]] inline result<mqtt_identity> parse_mqtt_user_name(std::string_view user_name);

// ---------------------------------------------------------------------------------------------------------------------

inline std::string mqtt_client_id(std::string_view device_id, std::string_view module_id) {
  std::string id{device_id};
  if (!module_id.empty()) id.append("/").append(module_id);
  return id;
}

inline std::string mqtt_user_name(mqtt_identity const& identity) {
  std::string name = identity.host_name;
  name.append("/").append(mqtt_client_id(identity.device_id, identity.module_id));
  append_percent(name.append("/?api-version="), identity.api_version);
  if (!identity.client_type.empty()) append_percent(name.append("&DeviceClientType="), identity.client_type);
  if (!identity.model_id.empty()) append_percent(name.append("&model-id="), identity.model_id);
  return name;
}

namespace detail {

inline error bad_user_name(char const* why) {
  return error{errc::malformed, std::string{"MQTT user name: "}.append(why)};
}

inline result<void> read_user_name_query(std::string_view query, mqtt_identity& identity) {
  bool seen_version = false, seen_type = false, seen_model = false;
  splitter parameters{query, '&'};
  std::string_view parameter;
  while (parameters.next(parameter)) {
    split_pair const pair = split_once(parameter, '=');
    bool* seen = nullptr;
    std::string* place = nullptr;
    if (pair.before == "api-version")
      seen = &seen_version, place = &identity.api_version;
    else if (pair.before == "DeviceClientType")
      seen = &seen_type, place = &identity.client_type;
    else if (pair.before == "model-id")
      seen = &seen_model, place = &identity.model_id;
    if (seen == nullptr || *seen) continue;
    *seen = true;
    // A value that is no valid escape of clean text is taken as it stands: it is shown to people and decides nothing.
    auto decoded = percent_decode_text(pair.after);
    *place = decoded ? *std::move(decoded) : std::string{pair.after};
  }
  if (seen_version && identity.api_version.empty()) return bad_user_name("api-version is empty");
  return {};
}

}  // namespace detail

inline result<mqtt_identity> parse_mqtt_user_name(std::string_view user_name) {
  using detail::bad_user_name;
  std::string_view segments[4];
  std::size_t count = 0;
  splitter parts{user_name, '/'};
  // The query may hold a slash of its own in a value that was not encoded: it begins at the first segment that looks
  // like one, and goes to the end.
  std::string_view part;
  std::string_view query;
  bool found = false;
  while (!found && parts.next(part)) {
    bool const is_query = count >= 2 && (part.starts_with('?') || part.starts_with("api-version="));
    if (is_query) {
      query = user_name.substr(static_cast<std::size_t>(part.data() - user_name.data()));
      found = true;
    } else if (count == 3) {
      return bad_user_name("more segments than host, device and module");
    } else {
      segments[count++] = part;
    }
  }
  if (!found) return bad_user_name("there is no segment with an api-version");
  if (query.starts_with('?')) query.remove_prefix(1);
  mqtt_identity identity;
  identity.host_name = segments[0];
  identity.device_id = segments[1];
  identity.module_id = segments[2];
  identity.api_version.clear();
  if (identity.host_name.empty()) return bad_user_name("the host is empty");
  if (!is_valid_id(identity.device_id)) return bad_user_name("the device id is empty or not allowed");
  if (count == 3 && !is_valid_id(identity.module_id)) return bad_user_name("the module id is empty or not allowed");
  if (auto read = detail::read_user_name_query(query, identity); !read) return std::move(read).error();
  return identity;
}

}  // namespace v0
}  // namespace iothub
