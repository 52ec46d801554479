// The N-th call fails: wraps a byte stream, so that a test can try every point of failure of a flow, one per run, until
// the flow runs through without reaching the N-th.
#pragma once

#include <cstdint>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

// Counts the calls of all streams that share it, over all their connections.
struct failure_plan {
  std::uint64_t fail_call = 0;  // counted from 1; 0: none
  std::uint64_t calls = 0;
  errc code = errc::connection_lost;

  // Whether the call that starts now fails.
  bool next_fails() noexcept { return ++calls == fail_call; }
  [[nodiscard]] bool reached() const noexcept { return fail_call != 0 && calls >= fail_call; }
};

// Counts open(), and those read() and write() that would have moved something or ended: a call that would block cannot
// fail in a way that differs from failing at the next. A failed read or write closes the connection.
template <byte_stream Next>
class fail_at {
 public:
  fail_at(Next next, failure_plan& plan) : next_{std::move(next)}, plan_{&plan} {}

  result<void> open(endpoint const& where, time_point now) {
    last_error_.reset();
    if (plan_->next_fails()) return failure();
    return next_.open(where, now);
  }
  io_result read(byte_span into, time_point now) {
    if (last_error_) return {io_status::failed, 0};
    return pass(next_.read(into, now));
  }
  // The bytes of a failed write may have been sent, as with a real one.
  io_result write(byte_view from, time_point now) {
    if (last_error_) return {io_status::failed, 0};
    return pass(next_.write(from, now));
  }
  void close() {
    last_error_.reset();
    next_.close();
  }
  [[nodiscard]] error last_error() const { return last_error_ ? *last_error_ : error{next_.last_error()}; }
  [[nodiscard]] time_point deadline() const { return next_.deadline(); }
  void attach(loop& on, participant& whom) { next_.attach(on, whom); }

  [[nodiscard]] Next& next_layer() noexcept { return next_; }

 private:
  [[nodiscard]] error failure() const { return {plan_->code, "call " + std::to_string(plan_->calls) + " was to fail"}; }
  io_result pass(io_result moved) {
    if (moved.status == io_status::would_block || !plan_->next_fails()) return moved;
    next_.close();
    last_error_ = failure();
    return {io_status::failed, 0};
  }

  Next next_;
  failure_plan* plan_;
  std::optional<error> last_error_;
};

}  // namespace memory
}  // namespace v0
}  // namespace iothub
