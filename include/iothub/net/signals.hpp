// Ctrl-C and SIGTERM end a program by stopping its loop, so that it can say goodbye. A second signal ends it at once.
#pragma once

#include <signal.h>

#include <iothub/base/config.hpp>
#include <iothub/base/shared_cell.hpp>
#include <iothub/net/epoll_loop.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

// While it lives, SIGINT and SIGTERM call stop() of the loop; one at a time in a process.
class stop_on_signals {
 public:
  explicit stop_on_signals(epoll_loop& on) noexcept {
    IOTHUB_ASSERT(loop_to_stop().load() == nullptr);
    loop_to_stop().store(&on);
    struct sigaction action = {};
    action.sa_handler = [](int) {
      if (epoll_loop* const l = loop_to_stop().load()) l->stop();
    };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &interrupt_before_);
    sigaction(SIGTERM, &action, &terminate_before_);
  }
  stop_on_signals(stop_on_signals const&) = delete;
  stop_on_signals& operator=(stop_on_signals const&) = delete;
  ~stop_on_signals() {
    sigaction(SIGINT, &interrupt_before_, nullptr);
    sigaction(SIGTERM, &terminate_before_, nullptr);
    loop_to_stop().store(nullptr);
  }

 private:
  // Constant-initialised: there is no guard that a signal handler could wait for.
  static iothub::detail::shared_cell<epoll_loop*>& loop_to_stop() noexcept {
    static constinit iothub::detail::shared_cell<epoll_loop*> target{nullptr};
    return target;
  }

  struct sigaction interrupt_before_ = {};
  struct sigaction terminate_before_ = {};
};

}  // namespace net
}  // namespace v0
}  // namespace iothub
