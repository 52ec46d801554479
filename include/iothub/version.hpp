// The version of the library, and the API versions that it speaks to the hub.
#pragma once

#include <string_view>

// major * 10000 + minor * 100 + patch: 0.1.0 is 100. Compare it with < and >=.
#define IOTHUB_VERSION 100

namespace iothub {
inline namespace v0 {

inline constexpr std::string_view version_text = "0.1.0";

// What the clients announce in the MQTT user name and in every REST query (Microsoft docs: "Use MQTT to connect to an
// IoT hub", "IoT Hub REST API"). A hub of another age is asked by an option, not by changing this.
inline constexpr std::string_view device_api_version = "2021-04-12";
inline constexpr std::string_view service_api_version = "2021-04-12";

}  // namespace v0
}  // namespace iothub
