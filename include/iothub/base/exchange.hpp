// std::exchange, which asks the compiler about tuples for each pair of types it is used with.
#pragma once

#include <type_traits>
#include <utility>

namespace iothub {
inline namespace v0 {

template <class T>
constexpr T exchanged(T& place, std::type_identity_t<T> fresh) noexcept {
  T old = std::move(place);
  place = std::move(fresh);
  return old;
}

}  // namespace v0
}  // namespace iothub
