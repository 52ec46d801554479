// The targets of the HTTP requests of back ends and devices (IoT Hub service and device REST references, api-version
// 2021-04-12): what the clients need. rest_routes.hpp reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/wire/api_version.hpp>

namespace iothub {
inline namespace v0 {

enum class route_kind : std::uint8_t {
  list_devices,
  get_device,
  put_device,
  delete_device,
  list_modules,
  get_module,
  put_module,
  delete_module,
  get_twin,  // of a module where module_id is not empty; so are the next three
  patch_twin,
  put_twin,
  invoke_method,
  query,
  registry_statistics,
  service_statistics,
  purge_c2d,       // throws away what waits for a device
  send_telemetry,  // the device's own; of a module where module_id is not empty
};

[[nodiscard]] inline std::string_view route_method(route_kind kind) noexcept;
// "/twins/d1/methods?api-version=2021-04-12"
[[nodiscard]] inline std::string route_target(route_kind kind, std::string_view device_id, std::string_view module_id,
                                              std::string_view api_version = service_api_version,
                                              maybe<int> top = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

struct route_shape {
  route_kind kind;
  std::string_view method;
  std::string_view path;  // {d} and {m} stand for ids
};
// The first shape of a kind is the device's, a second one the module's.
inline constexpr route_shape route_shapes[] = {
    {route_kind::query, "POST", "devices/query"},
    {route_kind::list_devices, "GET", "devices"},
    {route_kind::get_device, "GET", "devices/{d}"},
    {route_kind::put_device, "PUT", "devices/{d}"},
    {route_kind::delete_device, "DELETE", "devices/{d}"},
    {route_kind::list_modules, "GET", "devices/{d}/modules"},
    {route_kind::get_module, "GET", "devices/{d}/modules/{m}"},
    {route_kind::put_module, "PUT", "devices/{d}/modules/{m}"},
    {route_kind::delete_module, "DELETE", "devices/{d}/modules/{m}"},
    {route_kind::get_twin, "GET", "twins/{d}"},
    {route_kind::patch_twin, "PATCH", "twins/{d}"},
    {route_kind::put_twin, "PUT", "twins/{d}"},
    {route_kind::get_twin, "GET", "twins/{d}/modules/{m}"},
    {route_kind::patch_twin, "PATCH", "twins/{d}/modules/{m}"},
    {route_kind::put_twin, "PUT", "twins/{d}/modules/{m}"},
    {route_kind::invoke_method, "POST", "twins/{d}/methods"},
    {route_kind::invoke_method, "POST", "twins/{d}/modules/{m}/methods"},
    {route_kind::registry_statistics, "GET", "statistics/devices"},
    {route_kind::service_statistics, "GET", "statistics/service"},
    {route_kind::purge_c2d, "DELETE", "devices/{d}/commands"},
    {route_kind::send_telemetry, "POST", "devices/{d}/messages/events"},
    {route_kind::send_telemetry, "POST", "devices/{d}/modules/{m}/messages/events"},
};

}  // namespace detail

inline std::string_view route_method(route_kind kind) noexcept {
  for (auto const& shape : detail::route_shapes)
    if (shape.kind == kind) return shape.method;
  return "GET";
}

inline std::string route_target(route_kind kind, std::string_view device_id, std::string_view module_id,
                                std::string_view api_version, maybe<int> top) {
  std::string_view path;
  for (auto const& shape : detail::route_shapes) {
    bool const of_module = shape.path.find("{m}") != std::string_view::npos;
    if (shape.kind != kind || (!path.empty() && of_module != !module_id.empty())) continue;
    path = shape.path;
  }
  std::string target;
  target.reserve(64 + device_id.size() + module_id.size());
  splitter segments{path, '/'};
  std::string_view segment;
  while (segments.next(segment)) {
    target.push_back('/');
    if (segment == "{d}")
      append_percent(target, device_id);
    else if (segment == "{m}")
      append_percent(target, module_id);
    else
      target.append(segment);
  }
  target.push_back('?');
  if (top) {
    append_int(target.append("top="), *top);
    target.push_back('&');
  }
  append_percent(target.append("api-version="), api_version);
  return target;
}

}  // namespace v0
}  // namespace iothub
