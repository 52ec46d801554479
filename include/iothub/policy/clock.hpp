// The clock policy. Two readings, since skew between them is a real fault: now() never goes back and drives deadlines;
// utc_now() may jump and dates tokens and messages.
#pragma once

#include <concepts>

#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

template <class C>
concept clock = requires(C const& c) {
  { c.now() } -> std::same_as<time_point>;
  { c.utc_now() } -> std::same_as<utc_time>;
};

}  // namespace v0
}  // namespace iothub
