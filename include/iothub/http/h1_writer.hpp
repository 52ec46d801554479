// Writes HTTP/1.1 messages (RFC 9112). The one choke point for header fields on their way out.
#pragma once

#include <charconv>
#include <cstddef>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/http/h1_syntax.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

// How a message is written.
struct h1_write {
  bool close = false;     // adds Connection: close
  bool no_body = false;   // the answer to a HEAD request: the fields only
  std::size_t chunk = 0;  // send the body in chunks of this size; 0 sends it whole with Content-Length
};

// Appends the message, or nothing at all: errc::invalid_argument for a method, target, reason, field name or value that
// cannot be written (CR, LF, NUL above all). `host` becomes the Host field unless the request has one. Content-Length
// and Transfer-Encoding are the writer's: those of the caller are left out.
[[nodiscard]] inline result<void> write_request(byte_buffer& out, request const& what, std::string_view host,
                                                h1_write how = {});
[[nodiscard]] inline result<void> write_response(byte_buffer& out, response const& what, h1_write how = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// The one place that all header fields pass on their way out.
inline result<void> check_fields(headers const& fields) {
  for (header const& field : fields)
    if (!is_token(field.name) || !is_field_value(field.value))
      return error{errc::invalid_argument, "HTTP: a header field has a character that cannot be sent"};
  return {};
}

inline void append_fields(byte_buffer& out, headers const& fields) {
  for (header const& field : fields) {
    if (iequals(field.name, "Content-Length") || iequals(field.name, "Transfer-Encoding")) continue;
    out.append(field.name);
    out.append(": ");
    out.append(field.value);
    out.append("\r\n");
  }
}

inline void append_body(byte_buffer& out, std::string_view body, h1_write how, bool announce_empty) {
  if (how.chunk != 0 && !body.empty()) {
    out.append("Transfer-Encoding: chunked\r\n\r\n");
    if (how.no_body) return;
    for (; !body.empty(); body.remove_prefix(body.size() < how.chunk ? body.size() : how.chunk)) {
      std::string_view const part = body.substr(0, how.chunk);
      char size[16];
      out.append({size, static_cast<std::size_t>(std::to_chars(size, size + sizeof size, part.size(), 16).ptr - size)});
      out.append("\r\n");
      out.append(part);
      out.append("\r\n");
    }
    out.append("0\r\n\r\n");
    return;
  }
  if (announce_empty || !body.empty()) {
    out.append("Content-Length: ");
    append_int(out, body.size());
    out.append("\r\n");
  }
  out.append("\r\n");
  if (!how.no_body) out.append(body);
}

}  // namespace detail

inline result<void> write_request(byte_buffer& out, request const& what, std::string_view host, h1_write how) {
  if (!is_token(what.method)) return error{errc::invalid_argument, "HTTP: the method is no token"};
  if (!is_target(what.target))
    return error{errc::invalid_argument, "HTTP: the request target has a character that must be percent-encoded"};
  if (!is_field_value(host)) return error{errc::invalid_argument, "HTTP: the host name has a control character"};
  if (auto good = detail::check_fields(what.headers); !good) return good;
  out.append(what.method);
  out.append(" ");
  out.append(what.target);
  out.append(" HTTP/1.1\r\n");
  if (!what.headers.has("Host")) {
    out.append("Host: ");
    out.append(host);
    out.append("\r\n");
  }
  detail::append_fields(out, what.headers);
  if (how.close && !list_has(what.headers, "Connection", "close")) out.append("Connection: close\r\n");
  // A length of 0 is said only by methods that anticipate content (RFC 9110 section 8.6).
  bool const anticipates = what.method == "POST" || what.method == "PUT" || what.method == "PATCH";
  detail::append_body(out, what.body, how, anticipates);
  return {};
}

inline result<void> write_response(byte_buffer& out, response const& what, h1_write how) {
  if (what.status < 100 || what.status > 599) return error{errc::invalid_argument, "HTTP: a status outside 100 to 599"};
  if (!is_field_value(what.reason)) return error{errc::invalid_argument, "HTTP: the reason has a control character"};
  if (auto good = detail::check_fields(what.headers); !good) return good;
  bool const bodiless = what.status < 200 || what.status == 204 || what.status == 304;  // RFC 9110 section 6.4.1
  out.append("HTTP/1.1 ");
  append_int(out, what.status);
  out.append(" ");
  out.append(what.reason.empty() ? reason_of(what.status) : std::string_view{what.reason});
  out.append("\r\n");
  detail::append_fields(out, what.headers);
  if (how.close && !list_has(what.headers, "Connection", "close")) out.append("Connection: close\r\n");
  if (bodiless)
    out.append("\r\n");
  else
    detail::append_body(out, what.body, how, true);
  return {};
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
