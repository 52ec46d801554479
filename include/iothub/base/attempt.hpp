// What is left out when it fails.
#pragma once

#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {

// Runs what the peer can do without, a good-bye above all, from where nothing may be thrown.
template <class Call>
void attempt(Call call) noexcept {
#if IOTHUB_EXCEPTIONS
  try {
    call();
  } catch (...) {
  }
#else
  call();
#endif
}

}  // namespace v0
}  // namespace iothub
