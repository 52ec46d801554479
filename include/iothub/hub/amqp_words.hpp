// How the hub says no over AMQP: error conditions, Microsoft docs and azure-iot-sdk-node amqp_common_errors.ts,
// amqp_service_errors.ts, azure-iot-sdk-csharp AmqpErrorMapper.cs. And values as text.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/terminus.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/value.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/uuid.hpp>

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

// AMQP's timestamps count milliseconds since 1970.
[[nodiscard]] constexpr std::int64_t to_timestamp(utc_time t) noexcept {
  return std::chrono::floor<std::chrono::milliseconds>(t.time_since_epoch()).count();
}
[[nodiscard]] constexpr utc_time from_timestamp(std::int64_t milliseconds) noexcept {
  // What the library's clock cannot hold ends at the years 0 and 9999.
  constexpr std::int64_t first = -62'135'596'800'000;
  constexpr std::int64_t last = 253'402'300'799'999;
  return utc_time{std::chrono::milliseconds{milliseconds < first ? first : milliseconds > last ? last : milliseconds}};
}

// A value of an application property as the text that other protocols carry; empty for null and for compound values.
[[nodiscard]] inline std::string text_of(amqp::value_view const& what) {
  switch (what.type()) {
    case amqp::kind::string:
    case amqp::kind::symbol:
    case amqp::kind::binary: return std::string{what.content()};
    case amqp::kind::boolean: return *what.as_bool() ? "true" : "false";
    case amqp::kind::uuid: return to_uuid(what.content());
    case amqp::kind::timestamp: return to_iso8601(from_timestamp(*what.as_timestamp()));
    case amqp::kind::float32:
    case amqp::kind::float64: {
      char digits[32];
      auto const end = std::to_chars(digits, digits + sizeof digits, *what.as_double()).ptr;
      return {digits, end};
    }
    default: break;
  }
  if (auto const number = what.as_int()) return std::to_string(*number);
  if (auto const number = what.as_uint()) return std::to_string(*number);
  return {};
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
