// AMQP error conditions of IoT Hub and of its event endpoint, as codes that a caller may branch on.
//
// Sources: azure-iot-sdk-node amqp_common_errors.ts, amqp_service_errors.ts and the device's amqp_device_errors.ts;
// azure-iot-sdk-csharp AmqpErrorMapper.cs; @azure/core-amqp errors.ts and azure-eventhub _pyamqp error.py for the event
// endpoint. One condition may mean different things to different peers: resource-limit-exceeded is a full queue to who
// sends to a device, the daily quota to a device, and too many readers to a reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/error.hpp>

namespace iothub {
inline namespace v0 {

enum class amqp_side : std::uint8_t { device, back_end, event_reader };

// A condition that no table knows is errc::server_error. `amqp:link:redirect` is no failure and not for this.
[[nodiscard]] constexpr errc amqp_errc(std::string_view condition, amqp_side side) noexcept;
// The same with the peer's own sentence, and what its operator asks for.
[[nodiscard]] inline error amqp_error(std::string_view condition, std::string_view description, amqp_side side,
                                      std::string_view tracking_id = {});

// ---------------------------------------------------------------------------------------------------------------------

constexpr errc amqp_errc(std::string_view condition, amqp_side side) noexcept {
  if (condition == "amqp:not-found") return side == amqp_side::event_reader ? errc::not_found : errc::device_not_found;
  if (condition == "amqp:resource-limit-exceeded")
    return side == amqp_side::back_end ? errc::queue_full : errc::quota_exceeded;
  struct row {
    std::string_view condition;
    errc code;
  };
  constexpr row rows[] = {
      {"amqp:unauthorized-access", errc::unauthorized},
      {"amqp:link:stolen", errc::link_stolen},
      {"amqp:link:message-size-exceeded", errc::too_large},
      {"amqp:link:detach-forced", errc::service_unavailable},
      {"amqp:connection:forced", errc::service_unavailable},
      {"amqp:resource-locked", errc::service_unavailable},
      {"amqp:resource-deleted", errc::not_found},
      {"amqp:internal-error", errc::server_error},
      {"amqp:not-implemented", errc::unsupported},
      {"amqp:not-allowed", errc::bad_request},
      {"amqp:invalid-field", errc::bad_request},
      {"amqp:decode-error", errc::bad_request},
      {"amqp:illegal-state", errc::bad_request},
      {"amqp:frame-size-too-small", errc::bad_request},
      {"amqp:precondition-failed", errc::precondition_failed},
      {"amqp:connection:framing-error", errc::protocol_error},
      {"amqp:session:window-violation", errc::protocol_error},
      {"amqp:session:errant-link", errc::protocol_error},
      {"amqp:session:handle-in-use", errc::protocol_error},
      {"amqp:session:unattached-handle", errc::protocol_error},
      {"amqp:link:transfer-limit-exceeded", errc::protocol_error},
      {"com.microsoft:argument-error", errc::bad_request},
      {"com.microsoft:argument-out-of-range", errc::bad_request},
      {"com.microsoft:entity-disabled", errc::forbidden},
      {"com.microsoft:auth-failed", errc::unauthorized},
      {"com.microsoft:unauthorized", errc::unauthorized},
      {"com.microsoft:publisher-revoked", errc::unauthorized},
      {"com.microsoft:device-already-exists", errc::already_exists},
      {"com.microsoft:entity-already-exists", errc::already_exists},
      {"com.microsoft:device-container-throttled", errc::throttled},
      {"com.microsoft:server-busy", errc::throttled},
      {"com.microsoft:iot-hub-suspended", errc::forbidden},
      {"com.microsoft:iot-hub-not-found-error", errc::not_found},
      {"com.microsoft:message-lock-lost", errc::lock_lost},
      {"com.microsoft:session-lock-lost", errc::lock_lost},
      {"com.microsoft:precondition-failed", errc::precondition_failed},
      {"com.microsoft:quota-exceeded", errc::quota_exceeded},
      {"com.microsoft:timeout", errc::service_unavailable},
      {"com.microsoft:operation-cancelled", errc::service_unavailable},
      {"com.microsoft:store-lock-lost", errc::service_unavailable},
      {"com.microsoft:partition-not-owned", errc::link_stolen},
  };
  for (row const& each : rows)
    if (each.condition == condition) return each.code;
  return errc::server_error;
}

inline error amqp_error(std::string_view condition, std::string_view description, amqp_side side,
                        std::string_view tracking_id) {
  std::string text{description.empty() ? condition : description};
  if (!description.empty()) text.append(" (").append(condition).append(")");
  error made{amqp_errc(condition, side), std::move(text)};
  if (!tracking_id.empty()) made.with_http(0, 0, std::string{tracking_id});
  return made;
}

}  // namespace v0
}  // namespace iothub
