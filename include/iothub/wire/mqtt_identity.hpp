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

#include <iothub/base/percent.hpp>
#include <iothub/wire/api_version.hpp>

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

}  // namespace v0
}  // namespace iothub
