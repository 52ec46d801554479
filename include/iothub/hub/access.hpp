// Who may do what: shared access policies, SAS tokens, permissions per operation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/hub/security.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Service-side operations, as far as their permissions differ or may come to differ.
enum class operation : std::uint8_t {
  read_identity,
  write_identity,
  delete_identity,
  read_device_statistics,
  read_service_statistics,  // ServiceConnect is unconfirmed for the real hub
  read_twin,
  write_twin,
  query,
  invoke_method,
  send_c2d,
  receive_feedback,
  purge_c2d,                // ServiceConnect is unconfirmed for the real hub
  read_events,
};

// Microsoft docs: "Control access to IoT Hub by using shared access signatures", permissions.
constexpr permission required(operation what) noexcept {
  switch (what) {
    case operation::read_identity:
    case operation::read_device_statistics: return permission::registry_read;
    case operation::write_identity:
    case operation::delete_identity: return permission::registry_write;
    default: return permission::service_connect;
  }
}

constexpr std::uint8_t bits(permission p) noexcept { return static_cast<std::uint8_t>(p); }

// A shared access policy: a name, what it allows, and two keys of which either signs.
struct access_policy {
  std::string name = {};
  std::uint8_t permissions = 0;  // bits(permission) or-ed; the write permission implies read
  std::string primary_key = {};  // base64
  std::string secondary_key = {};
  [[nodiscard]] bool allows(permission p) const noexcept {
    std::uint8_t have = permissions;
    if ((have & bits(permission::registry_write)) != 0)
      have = static_cast<std::uint8_t>(have | bits(permission::registry_read));
    return (have & bits(p)) != 0;
  }
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
