// Time is an argument. Cores get `now` handed in; the monotonic clock below has no now() so that none of them can read
// the time by accident. Deadlines, keep-alive and back-off use the monotonic time_point; token expiry and enqueued
// times use utc_time, which may jump.
#pragma once

#include <cstdint>
#include <limits>

// Durations, time points and clocks, without calendars and their streams: the whole of libstdc++'s <chrono> (gcc 12 and
// later) brings <sstream> and is an eighth of what including this library costs. Programs include <chrono> as ever.
#if defined(__GLIBCXX__) && __has_include(<bits/chrono.h>)
#include <bits/chrono.h>
#else
#include <chrono>
#endif

namespace iothub {
inline namespace v0 {

using duration = std::chrono::microseconds;

struct monotonic_clock {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<monotonic_clock, duration>;
  static constexpr bool is_steady = true;
};

using time_point = monotonic_clock::time_point;
using utc_time = std::chrono::time_point<std::chrono::system_clock, duration>;

// The deadline of something that waits for no time at all.
inline constexpr time_point never = time_point::max();

// `start` + `wait` without overflow.
constexpr time_point add(time_point start, duration wait) noexcept {
  return wait >= never - start ? never : start + wait;
}

constexpr std::int64_t unix_seconds(utc_time t) noexcept {
  return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
}
constexpr utc_time from_unix_seconds(std::int64_t seconds) noexcept {
  constexpr std::int64_t limit = std::numeric_limits<std::int64_t>::max() / 1'000'000;
  if (seconds > limit) return utc_time::max();
  if (seconds < -limit) return utc_time::min();
  return utc_time{std::chrono::seconds{seconds}};
}

}  // namespace v0
}  // namespace iothub
