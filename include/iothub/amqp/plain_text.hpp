// Values as the text that other protocols carry, and AMQP's time.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>

#include <iothub/amqp/types.hpp>
#include <iothub/amqp/value_view.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/uuid.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// AMQP's timestamps count milliseconds since 1970 (Part 1, 1.6.17).
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
[[nodiscard]] inline std::string plain_text(value_view const& what) {
  switch (what.type()) {
    case kind::string:
    case kind::symbol:
    case kind::binary: return std::string{what.content()};
    case kind::boolean: return *what.as_bool() ? "true" : "false";
    case kind::uuid: return uuid_text(what.content());
    case kind::timestamp: return to_iso8601(from_timestamp(*what.as_timestamp()));
    case kind::float32:
    case kind::float64: {
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

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
