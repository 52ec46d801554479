// The hub's HTTP answers: the header fields that all of them carry, and the bodies of refusals.
// Sources: recorded answers of the service in azure-sdk-for-net (SessionRecords); Microsoft docs
// troubleshoot-error-codes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/http/message.hpp>
#include <iothub/hub/tracking.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/status_map.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 section 5.6.7)
class http_date {
 public:
  explicit http_date(utc_time t) noexcept;
  operator std::string_view() const noexcept { return {text_, sizeof text_}; }  // NOLINT

 private:
  char text_[29];
};
inline http_date::http_date(utc_time t) noexcept {
  constexpr std::string_view days = "SunMonTueWedThuFriSat";
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  char digits[iso8601_max_size];
  std::string_view const iso{digits, static_cast<std::size_t>(write_iso8601(digits, t, 0, iso8601_zone::z) - digits)};
  auto const day = std::chrono::floor<std::chrono::days>(t);
  auto const weekday = std::chrono::weekday{day}.c_encoding();
  auto const month = parse_int<unsigned>(iso.substr(5, 2)).value_or(1) - 1;
  char* at = text_;
  for (std::string_view const part : {days.substr(weekday * 3, 3), std::string_view{", "}, iso.substr(8, 2),
                                      std::string_view{" "}, months.substr(month * 3, 3), std::string_view{" "},
                                      iso.substr(0, 4), std::string_view{" "}, iso.substr(11, 8),
                                      std::string_view{" GMT"}})
    at += part.copy(at, part.size());
}

// What one request is answered with.
class answering {
 public:
  answering(tracking_id request_id, utc_time now) noexcept : request_id_{request_id}, now_{now} {}

  [[nodiscard]] http::response json(json::value const& body) const { return json_text(body.dump()); }
  // The same of a body that is printed already. `memory`: what the header fields may take the place of.
  [[nodiscard]] http::response json_text(std::string body, http::headers memory = {}) const {
    http::response answer;
    answer.headers = std::move(memory);
    answer.headers.clear();
    answer.headers.reserve(6, 192);
    answer.headers.add("Content-Type", "application/json; charset=utf-8");
    answer.body = std::move(body);
    return dated(std::move(answer));
  }
  [[nodiscard]] http::response nothing() const { return dated({.status = 204}); }
  [[nodiscard]] http::response refusal(error const& why, error_form form = error_form::text) const {
    return dated(make_error_response(outward(why, request_id_, now_), form));
  }
  // A refused method call says how long it was waited.
  [[nodiscard]] http::response method_refusal(error const& why, std::string_view waited) const {
    hub_error outside = outward(why, request_id_, now_);
    if (!waited.empty()) outside.info.set("timeout", waited);
    return dated(make_error_response(outside, error_form::json));
  }

  // For whoever answers later.
  [[nodiscard]] tracking_id request_id() const noexcept { return request_id_; }

 private:
  [[nodiscard]] http::response dated(http::response answer) const {
    answer.headers.add("Server", "iothub-fake");
    answer.headers.add("Date", http_date(now_));
    answer.headers.add("Vary", "Origin");
    answer.headers.add("x-ms-request-id", request_id_);
    return answer;
  }

  tracking_id request_id_;
  utc_time now_;
};

// 00:00:30
[[nodiscard]] inline std::string time_span(std::chrono::seconds time) {
  std::string text;
  for (auto part : {time.count() / 3600, time.count() / 60 % 60, time.count() % 60}) {
    if (!text.empty()) text += ':';
    if (part < 10) text += '0';
    append_int(text, part);
  }
  return text;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
