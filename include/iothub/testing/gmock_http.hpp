// A GoogleMock HTTP transport, for tests of what stands on one. Pass it by reference wherever a transport is wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <iothub/base/ascii.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/http_transport.hpp>

namespace iothub {
inline namespace v0 {
namespace testing {

// Without expectations requests are taken (ids count from 1) and never answered. To answer one:
//   EXPECT_CALL(http, start(_, Field(&http::request::method, "GET"), _)).WillOnce(http.answer({.status = 404}));
// or later: http.complete(id, …), which wakes the client that is attached.
struct mock_http_transport {
  mock_http_transport() {
    using ::testing::_;
    ON_CALL(*this, start(_, _, _)).WillByDefault([this](auto&&...) { return ++last_id_; });
    ON_CALL(*this, next_completion()).WillByDefault([this] { return take(); });
    ON_CALL(*this, deadline()).WillByDefault([] { return never; });
    ON_CALL(*this, attach(_, _)).WillByDefault([this](loop& on, participant& whom) {
      loop_ = &on;
      participant_ = &whom;
    });
  }

  MOCK_METHOD(exchange_id, start, (endpoint const& where, http::request&& what, time_point now));
  MOCK_METHOD(void, cancel, (exchange_id id));
  MOCK_METHOD(void, step, (time_point now));
  MOCK_METHOD(std::optional<http_completion>, next_completion, ());
  MOCK_METHOD(time_point, deadline, (), (const));
  MOCK_METHOD(void, attach, (loop& on, participant& whom));

  // An action for start(): takes the request and answers it at once.
  auto answer(result<http::response> with) {
    return [this, with = std::move(with)](endpoint const&, http::request&&, time_point) {
      exchange_id const id = ++last_id_;
      complete(id, with);
      return id;
    };
  }
  // Ends an exchange.
  void complete(exchange_id id, result<http::response> with) {
    done_.push_back(http_completion{.id = id, .outcome = std::move(with)});
    if (loop_ != nullptr) loop_->wake(*participant_);
  }
  [[nodiscard]] exchange_id last_id() const noexcept { return last_id_; }

 private:
  std::optional<http_completion> take() {
    if (done_.empty()) return std::nullopt;
    std::optional<http_completion> first{std::move(done_.front())};
    done_.erase(done_.begin());
    return first;
  }

  std::vector<http_completion> done_;
  exchange_id last_id_ = 0;
  loop* loop_ = nullptr;
  participant* participant_ = nullptr;
};

static_assert(http_transport<mock_http_transport>);

// An http::response that asks to wait so many seconds before the next attempt (RFC 9110 section 10.2.3).
MATCHER_P(HasRetryAfter, seconds,
          "asks for a wait in seconds that " + ::testing::DescribeMatcher<std::int64_t>(seconds, negation)) {
  auto const asked = parse_int<std::int64_t>(arg.headers.get("Retry-After"));
  if (!asked) {
    *result_listener << "whose Retry-After is no number: \"" << std::string{arg.headers.get("Retry-After")} << '"';
    return false;
  }
  *result_listener << "which asks for " << *asked << " s";
  return ::testing::SafeMatcherCast<std::int64_t>(seconds).Matches(*asked);
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
