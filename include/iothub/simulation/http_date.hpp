// The time as HTTP writes it: Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 section 5.6.7).
#pragma once

#include <chrono>
#include <string>

#include <iothub/base/ascii.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

[[nodiscard]] inline std::string http_date(utc_time t) {
  constexpr char const* weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr char const* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto const day = std::chrono::floor<std::chrono::days>(t);
  std::chrono::year_month_day const date{day};
  std::chrono::hh_mm_ss const time{std::chrono::floor<std::chrono::seconds>(t) - day};
  std::string text = weekdays[std::chrono::weekday{day}.c_encoding()];
  auto const two = [&text](char const* before, long long number) {
    append_int(text.append(before).append(number < 10 ? "0" : ""), number);
  };
  two(", ", static_cast<unsigned>(date.day()));
  text.append(" ").append(months[static_cast<unsigned>(date.month()) - 1]).append(" ");
  append_int(text, static_cast<int>(date.year()));
  two(" ", time.hours().count());
  two(":", time.minutes().count());
  two(":", time.seconds().count());
  return text + " GMT";
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
