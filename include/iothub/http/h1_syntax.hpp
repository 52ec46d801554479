// The small pieces of HTTP syntax that reader and writer share (RFC 9110 section 5).
#pragma once

#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

enum class h1_role : unsigned char { client, server };

[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept;        // RFC 9110 section 5.6.2
[[nodiscard]] constexpr bool is_field_value(std::string_view text) noexcept;  // no control character but a tab
[[nodiscard]] constexpr bool is_target(std::string_view text) noexcept;       // visible ASCII without #, not empty
// Whether a comma-separated list field (Connection, Upgrade) holds the token, in any of the fields of that name.
[[nodiscard]] inline bool list_has(headers const& fields, std::string_view name, std::string_view token) noexcept;
// The usual reason phrase of a status.
[[nodiscard]] constexpr std::string_view reason_of(int status) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

constexpr bool is_token(std::string_view text) noexcept {
  for (char c : text)
    if (!is_alnum(c) && (c < '!' || std::string_view{"!#$%&'*+-.^_`|~"}.find(c) == std::string_view::npos))
      return false;
  return !text.empty();
}

constexpr bool is_field_value(std::string_view text) noexcept {
  for (char c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

constexpr bool is_target(std::string_view text) noexcept {
  for (char c : text)
    if (c <= 0x20 || c == 0x7f || c == '#' || static_cast<unsigned char>(c) > 0x7f) return false;
  return !text.empty();
}

inline bool list_has(headers const& fields, std::string_view name, std::string_view token) noexcept {
  for (header const& field : fields) {
    if (!iequals(field.name, name)) continue;
    splitter parts{field.value, ','};
    for (std::string_view part; parts.next(part);)
      if (iequals(trim(part), token)) return true;
  }
  return false;
}

constexpr std::string_view reason_of(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return status < 200 ? "Informational" : status < 300 ? "Success" : status < 400 ? "Redirection" : "Error";
  }
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
