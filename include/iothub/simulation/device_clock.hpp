// A device's own wall clock, which may be wrong: off by some time, drifting, and jumping when the simulation says so.
#pragma once

#include <cstdint>

#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/clock.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

struct clock_error {
  duration offset{0};
  std::int32_t drift_ppm = 0;  // gained (lost, if negative) since `since`
  time_point since = {};
};

// now() is the loop's: it never goes back, and the loop compares deadlines with it. Loop and error must outlive it.
class device_clock {
 public:
  device_clock(loop const& on, clock_error const& wrong) noexcept : loop_{&on}, wrong_{&wrong} {}
  [[nodiscard]] time_point now() const noexcept { return loop_->now(); }
  [[nodiscard]] utc_time utc_now() const noexcept {
    duration::rep const passed = (loop_->now() - wrong_->since).count();
    return loop_->utc_now() + wrong_->offset +
           duration{passed / 1'000'000 * wrong_->drift_ppm + passed % 1'000'000 * wrong_->drift_ppm / 1'000'000};
  }

 private:
  loop const* loop_;
  clock_error const* wrong_;
};

static_assert(clock<device_clock>);

}  // namespace sim
}  // namespace v0
}  // namespace iothub
