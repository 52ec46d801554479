// How a client keeps its policies. A policy is a value, or a reference to what the caller keeps; the caller gives it as
// one of these, or as a function that makes it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// A policy from what the caller gave: a reference, a value to move, or a function that makes one in its place.
template <class Policy, class Source>
Policy make_policy(Source&& source) {
  if constexpr (std::is_reference_v<Policy>) {
    return source;
  } else if constexpr (std::is_invocable_r_v<Policy, Source>) {
    return std::forward<Source>(source)();
  } else {
    return Policy(std::forward<Source>(source));
  }
}

// Eight random bytes, unless there is a seed already. Without either, 0: then all clients wait alike.
template <class Crypto>
std::uint64_t make_seed(std::uint64_t seed, Crypto& crypto) {
  char bytes[sizeof seed];
  if (seed != 0 || !crypto.fill_random(byte_span{bytes, sizeof bytes})) return seed;
  for (char const b : bytes) seed = seed << 8 | static_cast<unsigned char>(b);
  return seed;
}

// The policies of one client. A base of its state that stands before the driver's, so that the driver finds them alive;
// the loop, where it is the client's own, outlives all.
template <class Transport, class Clock, class Crypto>
struct held_policies {
  template <class T, class C, class K>
  held_policies(owned<loop> own, T&& transport, C&& clock, K&& crypto)
      : own_loop(std::move(own)),
        transport_(make_policy<Transport>(std::forward<T>(transport))),
        clock_(make_policy<Clock>(std::forward<C>(clock))),
        crypto_(make_policy<Crypto>(std::forward<K>(crypto))) {}

  owned<loop> own_loop;
  Transport transport_;
  Clock clock_;
  Crypto crypto_;
};

}  // namespace detail
}  // namespace v0
}  // namespace iothub
