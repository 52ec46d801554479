// A loop in virtual time: when nobody has work, time jumps to the next deadline. A wait of an hour takes no time, the
// same program takes the same steps in each run, and a wait that nothing can end says so instead of hanging.
#pragma once

#include <cstdint>

#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

// 2024-01-01T00:00:00Z, where virtual time begins unless told otherwise.
inline constexpr utc_time virtual_epoch = from_unix_seconds(1'704'067'200);

class virtual_loop final : public loop {
 public:
  // Turns without progress of time after which a run ends with errc::stalled: somebody always wakes somebody.
  static constexpr std::uint64_t max_turns_per_instant = std::uint64_t{1} << 26;

  explicit virtual_loop(utc_time start = virtual_epoch) noexcept : loop{first_instant}, start_{start} {}

  [[nodiscard]] utc_time utc_now() const noexcept override { return start_ + (now() - first_instant); }
  // Sets the wall clock, forward or back; now() and all deadlines stay. To let time pass, use run_for().
  void set_utc(utc_time utc) noexcept { start_ += utc - utc_now(); }
  // The whole process stands still for that long, as when a laptop sleeps: nobody is stepped meanwhile, and all that
  // was due finds itself late.
  void stall(duration time) noexcept {
    time_point const until = iothub::add(instant_, time);
    if (until > asleep_until_) asleep_until_ = until;
  }
  // How long virtual time has been running.
  [[nodiscard]] duration elapsed() const noexcept { return now() - first_instant; }

 private:
  // Not zero, so that a forgotten time_point{} is seen to be long past.
  static constexpr time_point first_instant = time_point{std::chrono::hours{1}};

  bool wait(time_point until) override {
    if (asleep_until_ > instant_ && asleep_until_ > until) until = asleep_until_;
    if (until > instant_) {
      if (until == never) return false;
      instant_ = until;
      turns_ = 0;
      set_now(until);
    } else if (has_work() && ++turns_ > max_turns_per_instant) {
      turns_ = 0;
      return false;
    }
    return true;
  }
  [[nodiscard]] time_point read_clock() const noexcept override { return instant_; }

  utc_time start_;
  time_point instant_ = first_instant;
  time_point asleep_until_ = first_instant;
  std::uint64_t turns_ = 0;
};

}  // namespace memory
}  // namespace v0
}  // namespace iothub
