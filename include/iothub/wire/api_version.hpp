// The protocol versions that this library speaks; the newest stable ones that Microsoft documents.
#pragma once

#include <string_view>

namespace iothub {
inline namespace v0 {

// Microsoft docs: iot-mqtt-connect-to-iot-hub ("api-version=2021-04-12"), also of the device's HTTPS API.
inline constexpr std::string_view device_api_version = "2021-04-12";
// IoT Hub service REST reference, version 2021-04-12.
inline constexpr std::string_view service_api_version = "2021-04-12";

}  // namespace v0
}  // namespace iothub
