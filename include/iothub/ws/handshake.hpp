// The opening handshake of WebSocket (RFC 6455 section 4) in values of HTTP, for either role.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/sha1.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/http/h1_syntax.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace ws {

inline constexpr std::size_t key_bytes = 16;
inline constexpr std::string_view version = "13";

// The answer to a key (section 1.3).
[[nodiscard]] inline std::string accept_of(std::string_view key);

// --- client ---------------------------------------------------------------------------------------------------------

// `key` is the base64 of key_bytes random bytes. Nobody is asked for an extension.
[[nodiscard]] inline http::request make_request(std::string_view target, std::string_view key,
                                                std::string_view subprotocol);
// Whether the server agreed (section 4.1). An answer other than 101 gives the code of its kind: errc::bad_request,
// unauthorized, forbidden, not_found, throttled, service_unavailable, server_error, with http_status(); a redirect and
// whatever breaks the handshake errc::protocol_error.
[[nodiscard]] inline result<void> check_response(http::response const& answer, std::string_view key,
                                                 std::string_view subprotocol);

// --- server ---------------------------------------------------------------------------------------------------------

// Whether the request asks for a WebSocket at all.
[[nodiscard]] inline bool wants_websocket(http::request const& what) noexcept {
  return http::list_has(what.headers, "Upgrade", "websocket");
}
// Section 4.2.1, but for Host, Origin and target, which are the server's business. An error says what is wrong, and
// http_status() what to answer: 400, or 426 with the version of above for another version (section 4.4).
[[nodiscard]] inline result<void> check_request(http::request const& what);
// The first that the client offers among those that are `known`; empty where there is none.
[[nodiscard]] inline std::string_view choose_subprotocol(http::request const& what,
                                                         std::span<std::string_view const> known) noexcept;
// 101 to a request that was checked.
[[nodiscard]] inline http::response make_response(http::request const& what, std::string_view subprotocol);

// ---------------------------------------------------------------------------------------------------------------------

inline std::string accept_of(std::string_view key) {
  digest160 const digest = sha1(std::string{key}.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
  return to_base64({reinterpret_cast<char const*>(digest.data()), digest.size()});
}

inline http::request make_request(std::string_view target, std::string_view key, std::string_view subprotocol) {
  http::request out{.target = std::string{target}};
  out.headers.add("Upgrade", "websocket");
  out.headers.add("Connection", "Upgrade");
  out.headers.add("Sec-WebSocket-Key", key);
  out.headers.add("Sec-WebSocket-Version", version);
  if (!subprotocol.empty()) out.headers.add("Sec-WebSocket-Protocol", subprotocol);
  return out;
}

namespace detail {

inline errc code_of_status(int status) noexcept {
  switch (status) {
    case 401: return errc::unauthorized;
    case 403: return errc::forbidden;
    case 404: return errc::not_found;
    case 429: return errc::throttled;
    case 503: return errc::service_unavailable;
    default: break;
  }
  return status >= 500 ? errc::server_error : status >= 400 ? errc::bad_request : errc::protocol_error;
}

inline std::size_t count(http::headers const& fields, std::string_view name) noexcept {
  std::size_t found = 0;
  for (http::header const& field : fields) found += iequals(field.name, name) ? 1 : 0;
  return found;
}

inline error refusal(int status, char const* text) {
  return error{errc::bad_request, std::string{"WebSocket: "} + text}.with_http(status, 0, {});
}

}  // namespace detail

inline result<void> check_response(http::response const& answer, std::string_view key, std::string_view subprotocol) {
  if (answer.status != 101) {
    std::string text = "the server answered the WebSocket handshake with " + std::to_string(answer.status);
    std::string_view const reason = answer.reason;
    if (!reason.empty() && is_clean_text(reason)) text.append(" ").append(reason);
    return error{detail::code_of_status(answer.status), std::move(text)}.with_http(answer.status, 0, {});
  }
  auto const wrong = [](char const* what) {
    return error{errc::protocol_error, std::string{"the server's WebSocket handshake is broken: "} + what};
  };
  if (!http::list_has(answer.headers, "Upgrade", "websocket")) return wrong("Upgrade does not say websocket");
  if (!http::list_has(answer.headers, "Connection", "upgrade")) return wrong("Connection does not say upgrade");
  if (trim(answer.headers.get("Sec-WebSocket-Accept")) != accept_of(key))
    return wrong("Sec-WebSocket-Accept is no answer to the key");
  if (!trim(answer.headers.get("Sec-WebSocket-Extensions")).empty()) return wrong("an extension that nobody asked for");
  if (trim(answer.headers.get("Sec-WebSocket-Protocol")) != subprotocol)
    return wrong("the subprotocol is not the one that was asked for");
  return {};
}

inline result<void> check_request(http::request const& what) {
  auto const& fields = what.headers;
  if (what.method != "GET") return detail::refusal(400, "the method of the handshake is not GET");
  if (!wants_websocket(what))
    return detail::refusal(426, "this path is for WebSockets: Upgrade does not say websocket");
  if (!http::list_has(fields, "Connection", "upgrade")) return detail::refusal(400, "Connection does not say upgrade");
  if (trim(fields.get("Sec-WebSocket-Version")) != version || detail::count(fields, "Sec-WebSocket-Version") != 1)
    return detail::refusal(426, "Sec-WebSocket-Version is not 13");
  auto const key = from_base64(trim(fields.get("Sec-WebSocket-Key")));
  if (!key || key->size() != key_bytes || detail::count(fields, "Sec-WebSocket-Key") != 1)
    return detail::refusal(400, "Sec-WebSocket-Key is not the base64 of 16 bytes");
  return {};
}

inline std::string_view choose_subprotocol(http::request const& what,
                                           std::span<std::string_view const> known) noexcept {
  for (http::header const& field : what.headers) {
    if (!iequals(field.name, "Sec-WebSocket-Protocol")) continue;
    splitter parts{field.value, ','};
    for (std::string_view part; parts.next(part);)
      for (std::string_view const name : known)
        if (trim(part) == name) return name;
  }
  return {};
}

inline http::response make_response(http::request const& what, std::string_view subprotocol) {
  http::response out{.status = 101};
  out.headers.add("Upgrade", "websocket");
  out.headers.add("Connection", "Upgrade");
  out.headers.add("Sec-WebSocket-Accept", accept_of(trim(what.headers.get("Sec-WebSocket-Key"))));
  if (!subprotocol.empty()) out.headers.add("Sec-WebSocket-Protocol", subprotocol);
  return out;
}

}  // namespace ws
}  // namespace v0
}  // namespace iothub
