// What the device core wants its driver to tell the user, in the order it happened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/device/device_event.hpp>
#include <iothub/device/method_calls.hpp>
#include <iothub/device/outbox.hpp>
#include <iothub/device/twin_document.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

enum class connection_status : std::uint8_t {
  disconnected,  // nothing is tried: never connected, closed, or given up
  connecting,    // the first attempt, or a planned reconnect
  connected,     // everything that was subscribed is subscribed again
  retrying,      // the connection was lost or refused; the next attempt comes by itself
};

enum class connection_reason : std::uint8_t {
  none,
  opened,           // by connect()
  recovered,        // the connection is back after one that was lost
  closed,           // by close()
  token_renewal,    // planned: the SAS token is replaced before it expires
  connection_lost,  // the network, or the hub closed it (MQTT never says why)
  not_reachable,    // an attempt did not get through
  bad_credentials,  // wrong, expired or missing; or the identity is unknown
  device_disabled,
  hub_unavailable,  // it throttles or asks to come later; over MQTT also: the device is disabled
  refused,          // the hub, or this library, will not do what was asked
  gave_up,          // a limit of the options passed
};

[[nodiscard]] constexpr std::string_view to_string(connection_status s) noexcept;
[[nodiscard]] constexpr std::string_view to_string(connection_reason r) noexcept;

enum class device_action_kind : std::uint8_t {
  connection_changed,  // `status`, `reason`
  operation_done,      // `operation`, `outcome`; `version` of a patch; `twin`
  method_called,       // `call`, `request`; or `outcome` says that the payload is no JSON
  desired_changed,     // `desired`
  message_received,    // `message`, `where`, `connection`
};

struct device_action {
  device_action_kind kind = device_action_kind::connection_changed;
  connection_status status = connection_status::disconnected;
  connection_reason reason = connection_reason::none;
  ticket where = 0;
  std::uint32_t connection = 0;
  operation_id operation = 0;
  call_id call = 0;
  std::int64_t version = 0;
  result<void> outcome = {};
  method_request request = {};
  owned<device_twin> twin = {};
  owned<c2d_message> message = {};
  desired_update desired = {};
};

// --- implementation -------------------------------------------------------------------------------------------------

constexpr std::string_view to_string(connection_status s) noexcept {
  switch (s) {
    case connection_status::disconnected: return "disconnected";
    case connection_status::connecting: return "connecting";
    case connection_status::connected: return "connected";
    case connection_status::retrying: return "retrying";
  }
  return "unknown";
}

constexpr std::string_view to_string(connection_reason r) noexcept {
  switch (r) {
    case connection_reason::none: return "none";
    case connection_reason::opened: return "opened";
    case connection_reason::recovered: return "recovered";
    case connection_reason::closed: return "closed";
    case connection_reason::token_renewal: return "token_renewal";
    case connection_reason::connection_lost: return "connection_lost";
    case connection_reason::not_reachable: return "not_reachable";
    case connection_reason::bad_credentials: return "bad_credentials";
    case connection_reason::device_disabled: return "device_disabled";
    case connection_reason::hub_unavailable: return "hub_unavailable";
    case connection_reason::refused: return "refused";
    case connection_reason::gave_up: return "gave_up";
  }
  return "unknown";
}

}  // namespace v0
}  // namespace iothub
