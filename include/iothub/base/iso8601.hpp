// Dates and times in text (ISO 8601 as RFC 3339 profiles it). IoT Hub writes three or seven digits of a second and Z,
// in some answers no Z at all, and 0001-01-01 for "never"; it is all UTC.
#pragma once

#include <chrono>
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
  std::chrono::year_month_day const date{day};
  auto micros = static_cast<std::uint64_t>((t - day).count());
  auto const seconds = static_cast<unsigned>(micros / 1'000'000);
  micros %= 1'000'000;
  out = detail::write_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *out++ = '-';
  out = detail::write_digits(out, static_cast<unsigned>(date.month()), 2);
  *out++ = '-';
  out = detail::write_digits(out, static_cast<unsigned>(date.day()), 2);
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
  if (y < 1 || m < 1 || d < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 ||
      fraction < 0 || !detail::take_zone(text, offset))
    return refuse();
  year_month_day const date{year{y}, month{static_cast<unsigned>(m)}, day{static_cast<unsigned>(d)}};
  if (!date.ok()) return refuse();
  return utc_time{sys_days{date}} + hours{hour} + minutes{minute - offset} + seconds{second == 60 ? 59 : second} +
         microseconds{fraction};
}

}  // namespace v0
}  // namespace iothub
