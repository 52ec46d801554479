// When to try again: exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015), from a seeded generator, so that a run can be repeated.
#pragma once

#include <cstdint>

#include <iothub/base/error.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/time.hpp>
#include <iothub/device/device_options.hpp>

namespace iothub {
inline namespace v0 {

enum class retry_class : std::uint8_t {
  soon,   // the network, or a hub that restarts
  later,  // the hub asked for less
  stop,   // a person has to change something
};

// Credentials, certificates (of a hub that was never reached before), unknown or disabled identities and misuse stop;
// throttles and an unavailable hub wait longer; the rest is tried soon. MQTT says "unavailable" (CONNACK 3) for a
// disabled device too, and the official SDKs all go on trying on it, so this does.
[[nodiscard]] constexpr retry_class classify_for_retry(errc code) noexcept {
  if (is_auth(code) || is_usage(code)) return retry_class::stop;
  switch (code) {
    case errc::bad_request:
    case errc::forbidden:
    case errc::not_found:
    case errc::device_not_found:
    case errc::module_not_found:
      return retry_class::stop;
    case errc::throttled:
    case errc::quota_exceeded:
    case errc::service_unavailable:
    case errc::server_error:
    case errc::protocol_error:
    case errc::malformed:
      return retry_class::later;
    default:
      return retry_class::soon;
  }
}

class reconnect_schedule {
 public:
  reconnect_schedule(reconnect_options const& options, std::uint64_t seed) noexcept
      : options_{options}, random_{seed} {}

  // The wait before the next attempt; each call counts as one.
  [[nodiscard]] duration next_delay(retry_class how) noexcept;
  void connected(time_point now) noexcept { connected_at_ = now; }
  // Forgets the attempts when the connection that ends now proved good.
  void disconnected(time_point now) noexcept {
    if (connected_at_ != never && now - connected_at_ >= options_.proven_after) attempts_ = 0;
    connected_at_ = never;
  }
  void reset() noexcept { attempts_ = 0; }
  [[nodiscard]] unsigned attempts() const noexcept { return attempts_; }
  // For jitter elsewhere: 0 to `most`.
  [[nodiscard]] duration jitter(duration most) noexcept { return duration{random_.between(0, most.count())}; }

 private:
  reconnect_options options_;
  prng random_;
  unsigned attempts_ = 0;
  time_point connected_at_ = never;
};

// --- implementation -------------------------------------------------------------------------------------------------

inline duration reconnect_schedule::next_delay(retry_class how) noexcept {
  bool const later = how == retry_class::later;
  if (options_.own_delay != nullptr) {
    retry_attempt const attempt{.number = attempts_, .throttled = later, .random = random_()};
    if (attempts_ != 64) ++attempts_;
    duration const wanted = options_.own_delay(attempt);
    return wanted > duration{0} ? wanted : duration{0};
  }
  duration ceiling = later ? options_.throttled_base_delay : options_.base_delay;
  duration const most = later ? options_.throttled_max_delay : options_.max_delay;
  for (unsigned n = 0; n != attempts_ && ceiling < most; ++n) ceiling = ceiling > most / 2 ? most : ceiling * 2;
  if (ceiling > most) ceiling = most;
  if (attempts_ != 64) ++attempts_;
  // A throttled client never comes back sooner than the plain base delay.
  duration const least = later ? options_.base_delay : options_.min_delay;
  return duration{random_.between(least.count(), ceiling.count())};
}

}  // namespace v0
}  // namespace iothub
