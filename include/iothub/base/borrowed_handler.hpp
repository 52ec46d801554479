// How user code is called that may do anything to the place from which it was called.
#pragma once

#include <utility>

#include <iothub/base/function.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// Runs a handler that may replace or remove itself: it is out of its place meanwhile, and goes back if the place is
// still there and free.
template <class Signature, class FindPlace>
class borrowed_handler {
 public:
  borrowed_handler(function<Signature>& place, FindPlace find) : call_{std::move(place)}, find_{std::move(find)} {}
  borrowed_handler(borrowed_handler const&) = delete;
  borrowed_handler& operator=(borrowed_handler const&) = delete;
  ~borrowed_handler() {
    function<Signature>* const place = find_();
    if (place != nullptr && !*place) *place = std::move(call_);
  }
  function<Signature>& call() noexcept { return call_; }

 private:
  function<Signature> call_;
  FindPlace find_;
};

}  // namespace detail
}  // namespace v0
}  // namespace iothub
