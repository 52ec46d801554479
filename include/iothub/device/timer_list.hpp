// The timers of one client: a handful, so a list is searched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <iothub/base/borrowed_handler.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

using timer_id = std::uint64_t;

class timer_list {
 public:
  // A period above 0 has it called again and again.
  timer_id add(time_point at, duration period, function<void()> call) {
    timer t;
    t.id = last_ + 1;
    t.at = at;
    t.period = period;
    t.call = std::move(call);
    timers_.push_back(std::move(t));
    return ++last_;
  }
  bool cancel(timer_id id) noexcept {
    for (std::size_t i = 0; i != timers_.size(); ++i) {
      if (timers_[i].id != id) continue;
      timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(i));
      return true;
    }
    return false;
  }
  // Runs the earliest that is due; false when none is. The call may add and cancel timers.
  inline bool run_due(time_point now);
  [[nodiscard]] time_point deadline() const noexcept {
    time_point earliest = never;
    for (timer const& t : timers_)
      if (t.at < earliest) earliest = t.at;
    return earliest;
  }
  [[nodiscard]] std::size_t size() const noexcept { return timers_.size(); }
  [[nodiscard]] bool empty() const noexcept { return timers_.empty(); }

 private:
  struct timer {
    timer_id id = 0;
    time_point at = never;
    duration period = {};
    function<void()> call = {};
  };
  lean_vector<timer> timers_;
  timer_id last_ = 0;
};

inline bool timer_list::run_due(time_point now) {
  std::size_t first = timers_.size();
  for (std::size_t i = 0; i != timers_.size(); ++i)
    if (timers_[i].at <= now && (first == timers_.size() || timers_[i].at < timers_[first].at)) first = i;
  if (first == timers_.size()) return false;
  timer_id const id = timers_[first].id;
  if (timers_[first].period <= duration{0}) {
    function<void()> call = std::move(timers_[first].call);
    timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(first));
    call();
    return true;
  }
  // A late one does not catch up: the next is one period from when this was due, but never in the past.
  time_point const next = iothub::add(timers_[first].at, timers_[first].period);
  timers_[first].at = next > now ? next : iothub::add(now, timers_[first].period);
  detail::borrowed_handler borrowed{timers_[first].call, [this, id]() -> function<void()>* {
                                      for (timer& t : timers_)
                                        if (t.id == id) return &t.call;
                                      return nullptr;
                                    }};
  borrowed.call()();
  return true;
}

}  // namespace v0
}  // namespace iothub
