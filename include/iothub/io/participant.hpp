// A participant is anything a loop drives: a client, a served connection, a timer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

class loop;

// The loop calls step() when the participant was woken or its deadline is due, and re-reads deadline() after each step.
// No timer is ever set or cancelled: a participant that changes its deadline outside step() calls loop::wake().
class participant {
 public:
  participant() noexcept = default;
  participant(participant const&) = delete;
  participant& operator=(participant const&) = delete;

  // Does what can be done now, a bounded amount; wakes itself when more is left.
  virtual void step(time_point now) = 0;
  // When step() is due without being woken; `never` when only an event can help.
  [[nodiscard]] virtual time_point deadline() const = 0;
  // For the stall report: what this waits for, in half a sentence ("device pump-7 waits for CONNACK").
  [[nodiscard]] virtual std::string describe() const { return {}; }

 protected:
  virtual ~participant();  // leaves its loop, if it is in one

 private:
  friend class loop;
  loop* loop_ = nullptr;
  std::uint64_t links_[4] = {};  // the loop's: ready list and timer wheel
};

}  // namespace v0
}  // namespace iothub
