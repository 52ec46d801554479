// How long to wait before trying again: exponential back-off with full jitter, as a pure value (the scheme of Brooker,
// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Full jitter, since a hub that restarts meets all of
// its devices at once, and only spreading them over the whole interval keeps them from coming back in waves.
#pragma once

#include <cstdint>

#include <iothub/base/config.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

// The wait before attempt n (counted from 0) is `shortest` plus a random part of what `first` doubled n times allows,
// and never more than `longest`.
struct retry_schedule {
  duration shortest = std::chrono::milliseconds{100};
  duration first = std::chrono::seconds{1};
  duration longest = std::chrono::seconds{60};
  std::uint32_t attempts = 0;  // give up after so many; 0: never

  friend bool operator==(retry_schedule const&, retry_schedule const&) = default;
};

// For a hub that asked for less (429, 503, quota): ten seconds at least, and a minute soon.
inline constexpr retry_schedule throttled_schedule{.shortest = std::chrono::seconds{10},
                                                   .first = std::chrono::seconds{10},
                                                   .longest = std::chrono::seconds{120},
                                                   .attempts = 0};

// The same arguments give the same delay with every compiler. Give each client its own seed.
[[nodiscard]] constexpr duration retry_delay(retry_schedule const& how, std::uint32_t attempt,
                                             std::uint64_t seed) noexcept {
  IOTHUB_ASSERT(how.shortest >= duration{0} && how.first >= duration{0} && how.longest >= how.shortest);
  duration const room = how.longest - how.shortest;
  duration spread = how.first;
  for (std::uint32_t i = 0; i != attempt && spread < room; ++i) spread = spread > room / 2 ? room : spread * 2;
  if (spread > room) spread = room;
  prng random{seed ^ (std::uint64_t{attempt} << 32)};
  return how.shortest + duration{random.between(0, spread.count())};
}

// Whether attempt n (counted from 0) may be made at all.
[[nodiscard]] constexpr bool may_retry(retry_schedule const& how, std::uint32_t attempt) noexcept {
  return how.attempts == 0 || attempt < how.attempts;
}

}  // namespace v0
}  // namespace iothub
