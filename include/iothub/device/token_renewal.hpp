// When a token has to be replaced. Time is the monotonic one from the moment of minting: a wall clock that jumps while
// connected moves nothing.
#pragma once

#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

class token_renewal {
 public:
  // A token good for `lifetime` was put to use at `now`; it is due `margin` plus `jitter` before it expires. A lifetime
  // of zero means a token that nobody can renew: it is never due.
  void minted(time_point now, duration lifetime, duration margin, duration jitter) noexcept {
    if (lifetime <= duration{0}) return clear();
    duration const early = margin + jitter;
    due_ = add(now, early < lifetime ? lifetime - early : lifetime / 2);
  }
  // It was tried and did not work.
  void again(time_point at) noexcept { due_ = at; }
  void clear() noexcept { due_ = never; }
  [[nodiscard]] bool due(time_point now) const noexcept { return due_ != never && now >= due_; }
  [[nodiscard]] time_point deadline() const noexcept { return due_; }

 private:
  time_point due_ = never;
};

}  // namespace v0
}  // namespace iothub
