// Clocks on a loop: what clients use unless they are given another.
#pragma once

#include <cstdint>
#include <utility>

#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/clock.hpp>

namespace iothub {
inline namespace v0 {

// The loop's own time, real or virtual. A value; the loop must outlive it.
class loop_clock {
 public:
  explicit loop_clock(loop& on) noexcept : loop_{&on} {}
  [[nodiscard]] time_point now() const noexcept { return loop_->now(); }
  [[nodiscard]] utc_time utc_now() const noexcept { return loop_->utc_now(); }

 private:
  loop* loop_;
};

// A clock that is wrong: its wall time is off by `offset`, and from the moment of its making it gains `drift` parts per
// million (loses, if negative). Its now() stays the base's, since the loop compares deadlines with it.
template <clock Base = loop_clock>
class skewed_clock {
 public:
  explicit skewed_clock(Base base, duration offset = {}, std::int32_t drift_ppm = 0) noexcept
      : base_{std::move(base)}, since_{base_.now()}, offset_{offset}, drift_ppm_{drift_ppm} {}
  explicit skewed_clock(loop& on, duration offset = {}, std::int32_t drift_ppm = 0) noexcept
      : skewed_clock{Base{on}, offset, drift_ppm} {}

  [[nodiscard]] time_point now() const { return base_.now(); }
  [[nodiscard]] utc_time utc_now() const { return base_.utc_now() + offset_ + drift(); }
  // The wall clock jumps to be wrong by `offset`, drift so far included.
  void set_offset(duration offset) {
    since_ = base_.now();
    offset_ = offset;
  }

 private:
  // In two steps, since microseconds times parts per million would overflow after 292 years divided by a million.
  [[nodiscard]] duration drift() const {
    duration::rep const passed = (base_.now() - since_).count();
    return duration{passed / 1'000'000 * drift_ppm_ + passed % 1'000'000 * drift_ppm_ / 1'000'000};
  }

  Base base_;
  time_point since_;
  duration offset_;
  std::int32_t drift_ppm_;
};

static_assert(clock<loop_clock> && clock<skewed_clock<loop_clock>>);

}  // namespace v0
}  // namespace iothub
