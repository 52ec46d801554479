// How the hub says no over AMQP: error conditions, Microsoft docs and azure-iot-sdk-node amqp_common_errors.ts,
// amqp_service_errors.ts, azure-iot-sdk-csharp AmqpErrorMapper.cs. And values as text.
#pragma once

#include <string>
#include <string_view>

#include <iothub/amqp/plain_text.hpp>
#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/terminus.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/error.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// The condition that stands for an error of the hub core.
[[nodiscard]] inline std::string_view amqp_condition(error const& why) noexcept {
  namespace is = amqp::condition;
  if (why.hub_code() == 400003) return is::not_allowed;  // azure-iot-sdk-csharp: InvalidOperation
  if (why.hub_code() == 400027) return is::link_stolen;
  switch (why.code()) {
    case errc::unauthorized:
    case errc::device_disabled: return is::unauthorized_access;
    case errc::not_found:
    case errc::device_not_found:
    case errc::module_not_found: return is::not_found;
    case errc::queue_full: return is::resource_limit_exceeded;
    case errc::too_large: return is::message_size_exceeded;
    case errc::throttled: return "com.microsoft:device-container-throttled";
    case errc::quota_exceeded: return "com.microsoft:quota-exceeded";
    case errc::lock_lost: return "com.microsoft:message-lock-lost";
    case errc::precondition_failed: return "com.microsoft:precondition-failed";
    case errc::already_exists: return "com.microsoft:device-already-exists";
    case errc::bad_request:
    case errc::invalid_argument:
    case errc::malformed: return "com.microsoft:argument-error";
    case errc::forbidden: return is::not_allowed;
    case errc::service_unavailable:
    case errc::device_timeout: return "com.microsoft:timeout";
    case errc::connection_lost:
    case errc::not_connected: return is::detach_forced;
    case errc::unsupported: return is::not_implemented;
    default: return is::internal_error;
  }
}

// An error to send: holds what the view names.
struct amqp_refusal {
  std::string_view condition;
  std::string description;
  amqp::value info = {};

  amqp_refusal(error const& why, std::string_view tracking_id)
      : condition{amqp_condition(why)},
        description{why.message()},
        info{amqp::value::symbol_map({{"com.microsoft:tracking-id", tracking_id}})} {}
  [[nodiscard]] amqp::error_view view() const noexcept { return {condition, description, info.bytes()}; }
};

using amqp::from_timestamp;
using amqp::to_timestamp;

// A value of an application property as the text that other protocols carry.
[[nodiscard]] inline std::string text_of(amqp::value_view const& what) { return amqp::plain_text(what); }

}  // namespace hub
}  // namespace v0
}  // namespace iothub
