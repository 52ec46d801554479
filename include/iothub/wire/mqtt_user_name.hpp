// The user name of a CONNECT packet as the hub reads it; mqtt_identity.hpp builds it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/mqtt_identity.hpp>

namespace iothub {
inline namespace v0 {

// Reads what any SDK sends: both /?api-version= and /api-version=, the parameters in any order, the first of a name
// that is there twice, unknown ones ignored, values encoded or not. api_version is empty where the client sends none:
// the real hub lets it in all the same and behaves unexpectedly.
// errc::malformed: not three or four segments, an empty or forbidden id, an api-version that is there and empty.
[[nodiscard]] inline result<mqtt_identity> parse_mqtt_user_name(std::string_view user_name);

// ---------------------------------------------------------------------------------------------------------------------

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
