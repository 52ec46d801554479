// The right to answer one direct method call, once.
#pragma once

#include <utility>

#include <iothub/base/attempt.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/result.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// A handler that needs time keeps it and answers later, from anywhere in the same thread, also after its client is gone
// (then nobody hears it). The hub waits as long as the caller said, 300 s at most. One that is destroyed unanswered,
// for example because its handler threw, answers 500.
class responder {
 public:
  using target = function<result<void>(method_response&&)>;

  responder() noexcept = default;
  explicit responder(target to) noexcept : to_{std::move(to)} {}
  responder(responder&&) noexcept = default;
  responder& operator=(responder&& other) noexcept {
    if (this == &other) return *this;
    drop();
    to_ = std::move(other.to_);
    return *this;
  }
  ~responder() { drop(); }

  // Answers. errc::not_connected: the connection on which the call came is gone, the caller has been told already.
  // errc::invalid_state: it was answered before. errc::too_large: the payload is above 128 KB, and the caller got 500.
  // errc::closed: the client is gone. An outcome nobody looks at may be dropped.
  result<void> answer(method_response response) {
    if (!to_) return error{errc::invalid_state, "this method call was answered already"};
    result<void> outcome = to_(std::move(response));  // when memory runs out here it is not answered yet
    to_ = {};
    return outcome;
  }
  void operator()(method_response response) { (void)answer(std::move(response)); }

  // False after the answer.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(to_); }

 private:
  void drop() noexcept {
    if (!to_) return;
    attempt([this] {  // without memory for an answer the caller times out
      (void)answer({.status = 500, .payload = {{"message", "the device did not handle the call"}}});
    });
  }

  target to_;
};

}  // namespace v0
}  // namespace iothub
