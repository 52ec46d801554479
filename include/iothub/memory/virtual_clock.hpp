// A clock that stands still until it is told otherwise: for tests of single parts, without a loop.
#pragma once

#include <iothub/base/time.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/clock.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

class virtual_clock {
 public:
  explicit virtual_clock(utc_time utc = virtual_epoch, time_point now = time_point{std::chrono::hours{1}}) noexcept
      : now_{now}, utc_{utc} {}

  [[nodiscard]] time_point now() const noexcept { return now_; }
  [[nodiscard]] utc_time utc_now() const noexcept { return utc_; }

  // Both readings go on by `time`, which is not negative.
  void advance(duration time) noexcept {
    now_ += time;
    utc_ += time;
  }
  // The wall clock alone jumps.
  void set_utc(utc_time utc) noexcept { utc_ = utc; }

 private:
  time_point now_;
  utc_time utc_;
};

static_assert(clock<virtual_clock>);

}  // namespace memory
}  // namespace v0
}  // namespace iothub
