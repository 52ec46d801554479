// An HTTP transport from one function that blocks: the quickest way to plug in another HTTP library.
//   blocking_http http{[](endpoint const& where, http::request const& what) -> result<http::response> { … }};
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <iothub/base/config.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/policy/http_transport.hpp>

namespace iothub {
inline namespace v0 {

// The function is called from step(), one exchange a step, in the order they were started; so start() does not block,
// but the loop stands still while the function runs. What it throws becomes errc::io_error of that exchange.
template <class Call>
requires std::is_invocable_r_v<result<http::response>, Call&, endpoint const&,
                               http::request const&> class blocking_http {
 public:
  explicit blocking_http(Call call) : call_(std::move(call)) {}

  exchange_id start(endpoint const& where, http::request&& what, time_point /*now*/) {
    waiting_.push_back(exchange{.id = last_id_ + 1, .where = where, .what = std::move(what)});
    wake();
    return ++last_id_;
  }
  void cancel(exchange_id id) {
    remove(waiting_, id);
    remove(done_, id);
  }
  void step(time_point /*now*/) {
    if (waiting_.empty()) return;
    done_.reserve(done_.size() + 1);
    exchange const next = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    done_.push_back(http_completion{.id = next.id, .outcome = run(next)});
    if (!waiting_.empty()) wake();
  }
  std::optional<http_completion> next_completion() {
    if (done_.empty()) return std::nullopt;
    std::optional<http_completion> out{std::move(done_.front())};
    done_.erase(done_.begin());
    return out;
  }
  [[nodiscard]] time_point deadline() const noexcept { return waiting_.empty() ? never : time_point{}; }
  void attach(loop& on, participant& whom) noexcept {
    loop_ = &on;
    participant_ = &whom;
  }

 private:
  struct exchange {
    exchange_id id = 0;
    endpoint where = {};
    http::request what = {};
  };

  result<http::response> run(exchange const& next) {
#if IOTHUB_EXCEPTIONS
    try {
      return call_(next.where, next.what);
    } catch (...) {
      return errc::io_error;
    }
#else
    return call_(next.where, next.what);
#endif
  }
  template <class List>
  static void remove(List& list, exchange_id id) {
    for (auto it = list.begin(); it != list.end(); ++it) {
      if (it->id != id) continue;
      list.erase(it);
      return;
    }
  }
  void wake() noexcept {
    if (loop_ != nullptr) loop_->wake(*participant_);
  }

  Call call_;
  std::vector<exchange> waiting_;
  std::vector<http_completion> done_;
  exchange_id last_id_ = 0;
  loop* loop_ = nullptr;
  participant* participant_ = nullptr;
};

}  // namespace v0
}  // namespace iothub
