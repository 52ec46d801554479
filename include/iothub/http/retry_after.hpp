// How long a busy server asks to wait: Retry-After as seconds or as a date (RFC 9110 section 10.2.3).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

// Sun, 06 Nov 1994 08:49:37 GMT: the one form that senders may use (RFC 9110 section 5.6.7).
[[nodiscard]] inline maybe<utc_time> parse_date(std::string_view text) {
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(25) != " GMT") return {};
  auto const month = months.find(text.substr(8, 3));
  if (month == months.npos || month % 3 != 0) return {};
  std::string iso{text.substr(12, 4)};
  append_int(iso.append(month < 27 ? "-0" : "-"), month / 3 + 1);
  iso.append("-").append(text.substr(5, 2)).append("T").append(text.substr(17, 8)).append("Z");
  auto const date = parse_iso8601(iso);
  if (!date) return {};
  return *date;
}

// Nothing where it does not say, or says what is neither; at most a day. A date is compared with the server's own
// (Date), where it has one, else with `now`.
[[nodiscard]] inline maybe<duration> retry_after(headers const& from, utc_time now) {
  std::string_view const text = from.get("Retry-After");
  constexpr duration longest = std::chrono::hours{24};
  if (auto const seconds = parse_int<std::int64_t>(text)) {
    if (*seconds < 0) return {};
    return *seconds > 86'400 ? longest : duration{std::chrono::seconds{*seconds}};
  }
  auto const then = parse_date(text);
  if (!then) return {};
  if (auto const theirs = parse_date(from.get("Date"))) now = *theirs;
  if (*then <= now) return duration{0};
  return *then - now > longest ? longest : *then - now;
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
