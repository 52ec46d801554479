// The hub's errors as the hub says them: the code and the status of each errc, and the bodies of HTTP answers.
// hub_errors.hpp reads them, and names the sources.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/error.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/hub_errors.hpp>

namespace iothub {
inline namespace v0 {

// The code that stands for an errc; 0 for those that no hub sends.
[[nodiscard]] inline int hub_code_of(errc code) noexcept;
// The status under which the hub says it; 500 for those that no hub sends.
[[nodiscard]] inline int http_status_of(errc code) noexcept;

enum class error_form : std::uint8_t { text, json, bare_json };

// What the hub says when it says no.
struct hub_error {
  int code = 500001;
  std::string message = {};
  std::string tracking_id = {};  // hexadecimal digits, made anew for every answer
  utc_time time = {};
  json::value info = json::value::make_object();  // json only: {"timeout":"00:00:30"}
};

[[nodiscard]] inline std::string print_error_body(hub_error const& what, error_form form);
// Status, headers and body.
[[nodiscard]] inline http::response make_error_response(hub_error const& what, error_form form);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// One row an errc: the status under which the hub says it, and the code it gives.
struct errc_row {
  errc code;
  int status;
  int hub_code;
};
inline constexpr errc_row errc_rows[] = {
    {errc::bad_request, 400, 400004},         {errc::invalid_argument, 400, 400004},
    {errc::malformed, 400, 400006},           {errc::unauthorized, 401, 401002},
    {errc::forbidden, 403, 403000},           {errc::quota_exceeded, 403, 403002},
    {errc::queue_full, 403, 403004},          {errc::device_disabled, 403, 403012},
    {errc::not_found, 404, 404000},           {errc::device_not_found, 404, 404001},
    {errc::job_not_found, 404, 404002},       {errc::module_not_found, 404, 404010},
    {errc::device_offline, 404, 404103},      {errc::unsupported, 405, 405000},
    {errc::already_exists, 409, 409001},      {errc::precondition_failed, 412, 412001},
    {errc::lock_lost, 412, 412002},           {errc::too_large, 413, 413001},
    {errc::throttled, 429, 429001},           {errc::server_error, 500, 500001},
    {errc::bad_device_response, 502, 502000}, {errc::service_unavailable, 503, 503001},
    {errc::device_timeout, 504, 504101},
};

// "01/18/2017 08:11:45", as tracking texts have it.
inline std::string tracking_time(utc_time time) {
  std::string const iso = to_iso8601(time, 0, iso8601_zone::none);
  std::string text;
  text.append(iso, 5, 2).append("/").append(iso, 8, 2).append("/").append(iso, 0, 4);
  return text.append(" ").append(iso, 11, 8);
}

inline json::value error_object(hub_error const& what, error_form form) {
  json::value body = json::value::make_object();
  body.set("errorCode", what.code);
  body.set("trackingId", what.tracking_id + "-TimeStamp:" + tracking_time(what.time));
  body.set("message", what.message);
  if (form == error_form::json) body.set("info", what.info);
  body.set("timestampUtc", to_iso8601(what.time, 7));
  return body;
}

}  // namespace detail

inline int hub_code_of(errc code) noexcept {
  for (auto const& row : detail::errc_rows)
    if (row.code == code) return row.hub_code;
  return 0;
}
inline int http_status_of(errc code) noexcept {
  for (auto const& row : detail::errc_rows)
    if (row.code == code) return row.status;
  return 500;
}

inline std::string print_error_body(hub_error const& what, error_form form) {
  if (form == error_form::bare_json) return detail::error_object(what, form).dump();
  json::value body = json::value::make_object();
  if (form == error_form::json) {
    body.set("Message", detail::error_object(what, form).dump());
    body.set("ExceptionMessage", "");
    return body.dump();
  }
  std::string text{"ErrorCode:"};
  text.append(hub_code_name(what.code)).append(";").append(what.message);
  body.set("Message", std::move(text));
  body.set("ExceptionMessage",
           "Tracking ID:" + what.tracking_id + "-G:0-TimeStamp:" + detail::tracking_time(what.time));
  return body.dump();
}

inline http::response make_error_response(hub_error const& what, error_form form) {
  http::response answer;
  answer.status = what.code / 1000;
  answer.headers.add("Content-Type", "application/json; charset=utf-8");
  if (auto const name = hub_code_name(what.code); !name.empty())
    answer.headers.add("iothub-errorcode", name);
  answer.body = print_error_body(what, form);
  return answer;
}

}  // namespace v0
}  // namespace iothub
