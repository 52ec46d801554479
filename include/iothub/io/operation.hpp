// The operations that are under way: what each needs when it ends, under an id, with a deadline. The id stands for the
// operation everywhere, so that nothing points into user code, and an answer that comes too late finds nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <iothub/base/maybe.hpp>
#include <iothub/base/slot_map.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

using operation_id = slot_id;  // never 0, never used twice by one table

// T is what the operation needs to end, for example its completion. Idle the table owns no memory.
template <class T>
class operation_table {
 public:
  struct entry {
    operation_id id = 0;
    T value;
  };

  // `deadline` may be `never`.
  operation_id start(time_point deadline, T value) {
    timers_.reserve(timers_.size() + 1);  // so that nothing fails once the value has moved
    operation_id const id = operations_.emplace(std::move(value));
    timers_.push_back({deadline, ++started_, id});
    raise(timers_.size() - 1);
    return id;
  }
  // Null when it has ended. Holds until the next start().
  [[nodiscard]] T* find(operation_id id) noexcept { return operations_.find(id); }
  // Takes it out; nothing when it has ended.
  maybe<T> finish(operation_id id) {
    maybe<T> value = operations_.take(id);
    if (value) forget_ended();
    return value;
  }
  // Takes out the next one whose deadline is at or before `now`: earliest first, then in the order they were started.
  // With `never` it takes them all, one by one.
  maybe<entry> next_expired(time_point now) {
    if (timers_.empty() || timers_.front().deadline > now) return {};
    operation_id const id = timers_.front().id;
    maybe<T> value = operations_.take(id);
    forget_ended();
    return entry{id, std::move(*value)};
  }

  [[nodiscard]] time_point deadline() const noexcept { return timers_.empty() ? never : timers_.front().deadline; }
  [[nodiscard]] std::size_t size() const noexcept { return operations_.size(); }
  [[nodiscard]] bool empty() const noexcept { return operations_.empty(); }

 private:
  // A heap, earliest first. Operations that ended stay in it until they come to the top or are the greater part.
  struct timer {
    time_point deadline = never;
    std::uint64_t sequence = 0;
    operation_id id = 0;
    friend bool operator<(timer const& a, timer const& b) noexcept {
      return a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence < b.sequence;
    }
  };

  void forget_ended() noexcept {
    if (operations_.empty()) return timers_.clear();
    while (operations_.find(timers_.front().id) == nullptr) pop();
    if (timers_.size() < 32 || timers_.size() / 2 < operations_.size()) return;
    std::size_t kept = 0;
    for (timer const& t : timers_)
      if (operations_.find(t.id) != nullptr) timers_[kept++] = t;
    timers_.resize(kept);
    for (std::size_t i = kept / 2; i-- != 0;) sink(i);
  }
  void pop() noexcept {
    timers_.front() = timers_.back();
    timers_.pop_back();
    if (!timers_.empty()) sink(0);
  }
  void raise(std::size_t i) noexcept {
    while (i != 0 && timers_[i] < timers_[(i - 1) / 2]) {
      std::swap(timers_[i], timers_[(i - 1) / 2]);
      i = (i - 1) / 2;
    }
  }
  void sink(std::size_t i) noexcept {
    for (;;) {
      std::size_t child = 2 * i + 1;
      if (child >= timers_.size()) return;
      if (child + 1 < timers_.size() && timers_[child + 1] < timers_[child]) ++child;
      if (!(timers_[child] < timers_[i])) return;
      std::swap(timers_[i], timers_[child]);
      i = child;
    }
  }

  slot_map<T> operations_;
  std::vector<timer> timers_;
  std::uint64_t started_ = 0;
};

}  // namespace v0
}  // namespace iothub
