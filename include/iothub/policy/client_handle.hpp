// What is the same in every client that a user holds: it owns a state, and it runs the loop.
//
// The state is not moved when the handle is. It goes with the handle, or, when that is destroyed inside one of the
// client's own calls (in a handler, say), as soon as the last of them has returned: release() sees to that.
#pragma once

#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {

// State offers release(), on() and run(f), as the drivers do. It may be incomplete until a member is used.
template <class State>
class client_handle {
 public:
  client_handle(client_handle&& other) noexcept : state_{exchanged(other.state_, nullptr)} {}
  client_handle& operator=(client_handle&& other) noexcept {
    if (this != &other) {
      release();
      state_ = exchanged(other.state_, nullptr);
    }
    return *this;
  }

  // Runs the loop for that long; false when stop() ended it early.
  bool run_for(duration time) {
    auto& s = state();
    return s.run([&] { return s.on().run_for(time).has_value(); });
  }
  // Runs the loop until done() says true, at most until `limit`: whether it did.
  template <class Predicate>
  bool run_until(Predicate done, time_point limit = never) {
    auto& s = state();
    return s.run([&] { return s.on().run_until(std::move(done), limit).has_value(); });
  }
  // Does all that can be done without waiting.
  void poll() {
    auto& s = state();
    s.run([&] { s.on().poll(); });
  }
  // Ends all runs of the loop, and with them blocking calls (errc::cancelled). May be called from another thread where
  // the loop says so.
  void stop() noexcept { state().on().stop(); }
  [[nodiscard]] loop& get_loop() noexcept { return state().on(); }

 protected:
  explicit client_handle(State* state) noexcept : state_{state} {}
  ~client_handle() { release(); }
  [[nodiscard]] State& state() const noexcept {
    IOTHUB_ASSERT(state_ != nullptr);  // moved from
    return *state_;
  }

 private:
  void release() noexcept {
    if (state_ != nullptr) exchanged(state_, nullptr)->release();
  }

  State* state_;
};

}  // namespace v0
}  // namespace iothub
