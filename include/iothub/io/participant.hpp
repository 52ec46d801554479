// A participant is anything a loop drives: a client, a served connection, a timer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <iothub/base/time.hpp>
#include <iothub/io/timer_wheel.hpp>

namespace iothub {
inline namespace v0 {

class loop;
class participant;

namespace detail {
// What a participant needs of its loop to leave it, so that this header stands without loop.hpp.
class participant_owner {
 public:
  virtual void remove(participant& p) noexcept = 0;

 protected:
  ~participant_owner() = default;
};
}  // namespace detail

// What happens to a participant that becomes ready inside a nested run: one that some step() started, because it calls
// something that blocks.
enum class nesting : unsigned char {
  once,       // never stepped again before its own step() has returned
  reentrant,  // stepped even while its own step() is below on the stack; it guards itself
  handler,    // calls user code: like `once`, and besides it waits while loop::max_handler_depth runs are nested
};

// The loop calls step() when the participant was woken or its deadline is due, and re-reads deadline() after each step.
// No timer is ever set or cancelled: a participant that changes its deadline outside step() calls loop::wake().
// A participant may be destroyed at any time, also inside its own step().
class participant {
 public:
  participant() noexcept = default;
  participant(participant const&) = delete;
  participant& operator=(participant const&) = delete;

  // Does what can be done now, a bounded amount; wakes itself when more is left. When it throws, the exception leaves
  // the run, and the participant is stepped again by the next one.
  virtual void step(time_point now) = 0;
  // When step() is due without being woken; `never` when only an event can help. A deadline that has passed already
  // means: again in the next turn, at the same time. Must not throw.
  [[nodiscard]] virtual time_point deadline() const = 0;
  // For the stall report: what this waits for, in half a sentence ("device pump-7 waits for CONNACK").
  [[nodiscard]] virtual std::string describe() const { return {}; }
  // Must always give the same answer.
  [[nodiscard]] virtual nesting nested() const noexcept { return nesting::once; }

 protected:
  virtual ~participant() {  // leaves its loop, if it is in one
    if (owner_ != nullptr) owner_->remove(*this);
  }

 private:
  friend class loop;
  enum class queue : unsigned char { none, ready, postponed };
  struct links {
    participant* previous = nullptr;
    participant* next = nullptr;
  };
  detail::participant_owner* owner_ = nullptr;
  detail::timer_links<participant> timer_;
  links queue_links_;   // in the loop's ready list, or among the handlers that wait for a less deep run
  links member_links_;  // in the loop's list of all its participants
  std::uint32_t woken_in_turn_ = 0;
  queue queue_ = queue::none;
  unsigned char steps_running_ = 0;  // how many of its steps are on the stack
  bool woken_while_running_ = false;
};

}  // namespace v0
}  // namespace iothub
