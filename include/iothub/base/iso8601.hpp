// Dates and times in text (ISO 8601 as RFC 3339 profiles it). IoT Hub writes three or seven digits of a second and Z,
// in some answers no Z at all, and 0001-01-01 for "never"; it is all UTC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

enum class iso8601_zone : std::uint8_t { z, none };

// The most that write_iso8601 writes: 2024-01-01T00:00:00.0000000Z.
inline constexpr std::size_t iso8601_max_size = 28;

// Writes the time at `out` with 0 to 7 digits of a second, cut and not rounded, and returns the end. Times outside the
// years 1 to 9999 are moved to the nearer end of that range.
inline char* write_iso8601(char* out, utc_time t, int digits, iso8601_zone zone = iso8601_zone::z) noexcept;
inline void append_iso8601(std::string& out, utc_time t, int digits, iso8601_zone zone = iso8601_zone::z);
inline void append_iso8601(byte_buffer& out, utc_time t, int digits, iso8601_zone zone = iso8601_zone::z);

// "2024-01-01T00:00:20.000Z"
[[nodiscard]] inline std::string to_iso8601(utc_time t, int digits = 3, iso8601_zone zone = iso8601_zone::z);

// Reads a date and a time with 0 to 9 digits of a second (cut to microseconds), followed by Z, by an offset such as
// +02:00, or by nothing, which means UTC. errc::malformed for everything else, also for a day that does not exist.
[[nodiscard]] inline result<utc_time> parse_iso8601(std::string_view text);

namespace detail {

// The calendar in whole numbers, for the years 1 to 9999 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms",
// has the derivation), since <chrono>'s costs every user time; see base/time.hpp. Years begin in March here, so that a
// leap day is the last day of its year, and days are counted in cycles of 400 years (146,097 days); 719,468 of them lie
// before 1970-01-01.
inline constexpr int days_before_epoch = 719'468;

inline constexpr std::int64_t days_from_date(int year, int month, int day) noexcept {
  if (month < 3) --year;
  int const month_from_march = (month + 9) % 12;
  return 365 * year + year / 4 - year / 100 + year / 400 + (153 * month_from_march + 2) / 5 + day - 1 -
         days_before_epoch;
}

struct date_of_day {
  int year = 1970;
  int month = 1;
  int day = 1;
};
inline constexpr date_of_day date_from_days(std::int64_t days) noexcept {
  int const since = static_cast<int>(days) + days_before_epoch;
  int const cycle = since / 146'097;
  int const in_cycle = since % 146'097;
  // A day is in the year that remains when the leap days before it are taken out.
  int const year = (in_cycle - in_cycle / 1'460 + in_cycle / 36'524 - in_cycle / 146'096) / 365;
  int const in_year = in_cycle - (365 * year + year / 4 - year / 100);
  int const month_from_march = (5 * in_year + 2) / 153;
  int const month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {400 * cycle + year + (month < 3 ? 1 : 0), month, in_year - (153 * month_from_march + 2) / 5 + 1};
}
inline constexpr bool is_date(int year, int month, int day) noexcept {
  if (year < 1 || month < 1 || month > 12 || day < 1) return false;
  bool const leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  int const length = month == 2 ? (leap ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
  return day <= length;
}

inline char* write_digits(char* out, unsigned value, int count) noexcept {
  for (int i = count; i-- > 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
  return out + count;
}
// `count` digits at the front of the text, taken off it; -1 where there are none.
inline int take_digits(std::string_view& text, std::size_t count) noexcept {
  if (text.size() < count) return -1;
  int value = 0;
  for (std::size_t i = 0; i != count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}
inline bool take_char(std::string_view& text, char c) noexcept {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}
// The fraction behind the seconds, in microseconds; -1 where a dot has no digits or more than nine.
inline int take_fraction(std::string_view& text) noexcept {
  if (!take_char(text, '.')) return 0;
  int micros = 0;
  int count = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), ++count)
    if (count < 6) micros = micros * 10 + (text.front() - '0');
  if (count == 0 || count > 9) return -1;
  for (; count < 6; ++count) micros *= 10;
  return micros;
}
// Z, an offset or nothing up to the end of the text, in minutes east of Greenwich; false for anything else.
inline bool take_zone(std::string_view text, int& minutes) noexcept {
  minutes = 0;
  if (text.empty() || text == "Z" || text == "z") return true;
  bool const west = text.front() == '-';
  if (!west && text.front() != '+') return false;
  text.remove_prefix(1);
  int const hours = take_digits(text, 2);
  if (!take_char(text, ':')) return false;
  int const rest = take_digits(text, 2);
  if (hours < 0 || hours > 23 || rest < 0 || rest > 59 || !text.empty()) return false;
  minutes = (hours * 60 + rest) * (west ? -1 : 1);
  return true;
}

}  // namespace detail

inline char* write_iso8601(char* out, utc_time t, int digits, iso8601_zone zone) noexcept {
  constexpr utc_time first = from_unix_seconds(-62'135'596'800);
  constexpr utc_time last = from_unix_seconds(253'402'300'799) + std::chrono::microseconds{999'999};
  if (t < first) t = first;
  if (t > last) t = last;
  auto const day = std::chrono::floor<std::chrono::days>(t);
  detail::date_of_day const date = detail::date_from_days(day.time_since_epoch().count());
  auto micros = static_cast<std::uint64_t>((t - day).count());
  auto const seconds = static_cast<unsigned>(micros / 1'000'000);
  micros %= 1'000'000;
  out = detail::write_digits(out, static_cast<unsigned>(date.year), 4);
  *out++ = '-';
  out = detail::write_digits(out, static_cast<unsigned>(date.month), 2);
  *out++ = '-';
  out = detail::write_digits(out, static_cast<unsigned>(date.day), 2);
  *out++ = 'T';
  out = detail::write_digits(out, seconds / 3600, 2);
  *out++ = ':';
  out = detail::write_digits(out, seconds / 60 % 60, 2);
  *out++ = ':';
  out = detail::write_digits(out, seconds % 60, 2);
  if (digits > 0) {
    *out++ = '.';
    char fraction[7];
    detail::write_digits(fraction, static_cast<unsigned>(micros * 10), 7);
    for (int i = 0; i != digits && i != 7; ++i) *out++ = fraction[i];
  }
  if (zone == iso8601_zone::z) *out++ = 'Z';
  return out;
}

inline void append_iso8601(std::string& out, utc_time t, int digits, iso8601_zone zone) {
  char text[iso8601_max_size];
  out.append(text, static_cast<std::size_t>(write_iso8601(text, t, digits, zone) - text));
}
inline void append_iso8601(byte_buffer& out, utc_time t, int digits, iso8601_zone zone) {
  char* const begin = out.prepare(iso8601_max_size).data();
  out.commit(static_cast<std::size_t>(write_iso8601(begin, t, digits, zone) - begin));
}
inline std::string to_iso8601(utc_time t, int digits, iso8601_zone zone) {
  std::string out;
  append_iso8601(out, t, digits, zone);
  return out;
}

inline result<utc_time> parse_iso8601(std::string_view text) {
  using namespace std::chrono;
  auto const refuse = [] { return error{errc::malformed, "not a date and time such as 2024-01-01T00:00:20.000Z"}; };
  int const y = detail::take_digits(text, 4);
  if (!detail::take_char(text, '-')) return refuse();
  int const m = detail::take_digits(text, 2);
  if (!detail::take_char(text, '-')) return refuse();
  int const d = detail::take_digits(text, 2);
  if (!detail::take_char(text, 'T') && !detail::take_char(text, 't') && !detail::take_char(text, ' ')) return refuse();
  int const hour = detail::take_digits(text, 2);
  if (!detail::take_char(text, ':')) return refuse();
  int const minute = detail::take_digits(text, 2);
  if (!detail::take_char(text, ':')) return refuse();
  int const second = detail::take_digits(text, 2);
  int const fraction = detail::take_fraction(text);
  int offset = 0;
  if (!detail::is_date(y, m, d) || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 ||
      fraction < 0 || !detail::take_zone(text, offset))
    return refuse();
  return utc_time{days{detail::days_from_date(y, m, d)}} + hours{hour} + minutes{minute - offset} +
         seconds{second == 60 ? 59 : second} + microseconds{fraction};
}

}  // namespace v0
}  // namespace iothub
